"""The steps of `service`: it writes files and runs commands in order, and records them. A dry run only records."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import ServiceRefused, StateNotWritable
from ..values import frozen

COMMAND_TIMEOUT_S = 120.0
NO_SUCH_PROGRAM = 127


class CommandResult(NamedTuple):
    """The result of a command of the service manager."""

    status: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        """The last line of its output, for people."""
        lines = (self.err or self.out).strip().splitlines()
        return lines[-1] if lines else f"exit status {self.status}"


CommandRunner = Callable[[Sequence[str]], CommandResult]
"""Runs a command line and waits for its end."""


@frozen
class Step:
    """One step that was taken, or that a dry run would have taken.

    `action` is a word such as "wrote", and `what` the file, service or command line. `status` is the exit status of a
    command that has run.
    """

    action: str
    what: str
    status: int | None = None
    text: str | None = None
    """The content that a dry run would have written."""


class Steps:
    """Takes steps and records them. In a dry run the steps are only recorded. `notes`: sentences for the user."""

    def __init__(self, runner: CommandRunner, *, dry_run: bool = False) -> None:
        self._runner = runner
        self.dry_run = dry_run
        self.taken: list[Step] = []
        self.notes: list[str] = []

    def write(self, path: Path, text: str, encoding: str = "utf-8") -> bool:
        """Write a file, atomically. Return False if the file had this content already.

        Raises:
            StateNotWritable: the system refused.
        """
        data = text.encode(encoding)
        if _read_if_there(path) == data:
            self.taken.append(Step("unchanged", str(path)))
            return False
        if not self.dry_run:
            draft = path.with_name(f".{path.name}.new")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                draft.write_bytes(data)
                draft.replace(path)
            except OSError as problem:
                raise StateNotWritable(f"cannot write {path}: {problem}") from problem
        self.taken.append(Step("wrote", str(path), text=text if self.dry_run else None))
        return True

    def make_folder(self, path: Path) -> None:
        """Make a folder that only this user can enter.

        Raises:
            StateNotWritable: the system refused.
        """
        if path.is_dir():
            return
        if not self.dry_run:
            try:
                path.mkdir(parents=True, exist_ok=True)
                path.chmod(0o700)
            except OSError as problem:
                raise StateNotWritable(f"cannot make {path}: {problem}") from problem
        self.taken.append(Step("made", str(path)))

    def remove(self, path: Path) -> bool:
        """Remove a file. Return False if it does not exist.

        Raises:
            StateNotWritable: the system refused.
        """
        if not path.exists():
            return False
        if not self.dry_run:
            try:
                path.unlink(missing_ok=True)
            except OSError as problem:
                raise StateNotWritable(f"cannot remove {path}: {problem}") from problem
        self.taken.append(Step("removed", str(path)))
        return True

    def run(self, *argv: str, may_fail: bool = False, accepted: Sequence[int] = (0,)) -> CommandResult:
        """Run a command that changes something. A dry run assumes that the command would succeed.

        With `may_fail` every exit status is accepted.

        Raises:
            ServiceRefused: the command ended with a status that is not in `accepted`.
        """
        ran = CommandResult(0, "", "") if self.dry_run else self._runner(argv)
        self.taken.append(Step("ran", " ".join(argv), None if self.dry_run else ran.status))
        if ran.status not in accepted and not may_fail:
            raise ServiceRefused(
                f"{argv[0]} failed: {ran.last_line}",
                data={"command": [*argv], "exit": ran.status, "output": (ran.err or ran.out).strip()},
            )
        return ran

    def act(self, action: str, what: str, do: Callable[[], object]) -> None:
        """Take a step for which there is no command. Raises what `do` raises."""
        if not self.dry_run:
            do()
        self.taken.append(Step(action, what))

    def ask(self, *argv: str) -> CommandResult:
        """Run a command that changes nothing, in a dry run too. It is not recorded."""
        return self._runner(argv)

    def note(self, text: str) -> None:
        """Add a note for the user."""
        self.notes.append(text)


def system_runner(environment: Mapping[str, str] = os.environ) -> CommandRunner:
    """Return the runner of real commands, without input and with English output (LC_ALL=C).

    A program that does not exist has the exit status that a shell would report.
    """
    variables = {**environment, "LC_ALL": "C"}

    def run(argv: Sequence[str]) -> CommandResult:
        try:
            done = subprocess.run(
                argv,
                env=variables,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMMAND_TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError:
            return CommandResult(NO_SUCH_PROGRAM, "", f"{argv[0]} is not installed")
        except subprocess.TimeoutExpired as problem:
            raise ServiceRefused(
                f"{argv[0]} did not end within {COMMAND_TIMEOUT_S:g} s", data={"command": [*argv]}
            ) from problem
        return CommandResult(done.returncode, done.stdout, done.stderr)

    return run


def _read_if_there(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise StateNotWritable(f"cannot read {path}: {problem}") from problem
