"""What `service` writes and runs, one step after the other, and the record of it; in a dry run only the record."""

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..errors import ServiceRefused, StateNotWritable
from ..values import frozen

COMMAND_TIMEOUT_S = 120.0
NO_SUCH_PROGRAM = 127


class Ran(NamedTuple):
    """What a command of the service manager came to."""

    status: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """What it said last, for people."""
        lines = (self.err or self.out).strip().splitlines()
        return lines[-1] if lines else f"exit status {self.status}"


Runner = Callable[[Sequence[str]], Ran]


@frozen
class Step:
    """One thing that was done, or would be."""

    action: str
    what: str
    status: int | None = None
    text: str | None = None
    """What a dry run would write."""


class Steps:
    """Does one thing after the other, and keeps the record. `dry_run`: keeps the record only."""

    def __init__(self, runner: Runner, *, dry_run: bool = False) -> None:
        self._runner = runner
        self.dry_run = dry_run
        self.taken: list[Step] = []
        self.notes: list[str] = []

    def write(self, path: Path, text: str, encoding: str = "utf-8") -> bool:
        """Write a file, atomically. False: this is what it said already.

        Raises:
            StateNotWritable: the system refused.
        """
        data = text.encode(encoding)
        if _contents(path) == data:
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

    def folder(self, path: Path) -> None:
        """Make a folder, for its user only.

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
        """Remove a file. False: it is not there.

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

    def run(self, *argv: str, may_fail: bool = False, fine: Sequence[int] = (0,)) -> Ran:
        """Run a command that changes something; in a dry run it is taken to succeed.

        Raises:
            ServiceRefused: it failed, and that is not `fine`.
        """
        ran = Ran(0, "", "") if self.dry_run else self._runner(argv)
        self.taken.append(Step("ran", " ".join(argv), None if self.dry_run else ran.status))
        if ran.status not in fine and not may_fail:
            raise ServiceRefused(
                f"{argv[0]} failed: {ran.last_words}",
                data={"command": [*argv], "exit": ran.status, "output": (ran.err or ran.out).strip()},
            )
        return ran

    def act(self, action: str, what: str, do: Callable[[], object]) -> None:
        """Do something for which there is no command. It raises what `do` raises."""
        if not self.dry_run:
            do()
        self.taken.append(Step(action, what))

    def ask(self, *argv: str) -> Ran:
        """Run a command that only tells something, in a dry run too. It is not put on record."""
        return self._runner(argv)

    def note(self, text: str) -> None:
        """Something that the user should know besides."""
        self.notes.append(text)


def system_runner(environment: Mapping[str, str] = os.environ) -> Runner:
    """Runs the real commands, with no input, their output in plain English where the program knows that.

    A program that is not there has the exit status that a shell would give it.
    """
    variables = {**environment, "LC_ALL": "C"}

    def run(argv: Sequence[str]) -> Ran:
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
            return Ran(NO_SUCH_PROGRAM, "", f"{argv[0]} is not there")
        except subprocess.TimeoutExpired as problem:
            raise ServiceRefused(
                f"{argv[0]} did not end within {COMMAND_TIMEOUT_S:g} s", data={"command": [*argv]}
            ) from problem
        return Ran(done.returncode, done.stdout, done.stderr)

    return run


def _contents(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise StateNotWritable(f"cannot read {path}: {problem}") from problem
