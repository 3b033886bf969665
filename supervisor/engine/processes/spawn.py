"""Turns a recipe into a running process, with an environment and a log of its own."""

import contextlib
import errno
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...core.log_text import GAP, excerpt
from ...core.model import ProcessIdentity, ServerRecord
from ...errors import StartFailed, StateNotWritable
from ...kinds.kind import Kind, command_line, environment, expand
from ...kinds.versions import fitted
from ...native.api import Command
from ...values import frozen
from ..environments.store import Environment
from ..state.context import PROJECT_VARIABLE, TOKEN_VARIABLE, Facilities
from .spawn_errors import explained

LOGS_KEPT = 5
LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 16 * 1024
EARLY_LINES = 4
"""At most so many lines of a tail are an excerpt of what stands before it, the marks of gaps included."""

LOG_TAIL_LINE = 400
"""Characters. What people are shown of a line; `logs` has all of it."""

LOG_TAIL_JSON = 4096
"""Bytes of JSON. Each failed server's tail lies in the registry, and in front of whoever asks about it."""


@frozen
class Recipe:
    """Everything that a launch needs besides its record."""

    kind: Kind
    private: Environment | None
    secrets: Mapping[str, str]
    owner_pid: int | None


class Spawner:
    """Starts servers."""

    def __init__(self, facilities: Facilities) -> None:
        self._facilities = facilities

    def log_for(self, server_id: str, launch: str) -> Path:
        """The log file of a launch that is about to begin.

        Raises:
            StateNotWritable: its folder cannot be made.
        """
        folder = self._facilities.logs.joinpath("servers", server_id)
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True)
        except OSError as error:
            raise StateNotWritable(f"no folder for the server's log: {error}", hint="make it writable") from error
        return folder / f"{launch}.log"

    def prune_logs(self, record: ServerRecord) -> None:
        """Remove what is too old beside a server's current log."""
        if record.log is None:
            return
        current = Path(record.log)
        older: list[Path] = []
        # A folder that cannot be looked at is no reason to do without the server.
        with contextlib.suppress(OSError):
            older = [path for path in current.parent.iterdir() if path.suffix == ".log" and path != current]
        for path in sorted(older, key=written_at)[: 1 - LOGS_KEPT]:
            with contextlib.suppress(OSError):
                path.unlink()

    def spawn(self, record: ServerRecord, recipe: Recipe) -> ProcessIdentity:
        """Start the server of a record that is already in the registry.

        Raises:
            StartFailed: the program could not be run.
        """
        command = self._command(record, recipe)
        try:
            return self._facilities.wing.processes.spawn(command)
        except OSError as error:
            raise _not_started(record, error, command) from error

    async def rehearse(self, record: ServerRecord, recipe: Recipe) -> None:
        """Do what `spawn` does, but for the start itself.

        Raises:
            ConfigInvalid: the recipe has a placeholder that nothing can be put in for.
            StartFailed: the program cannot be run.
        """
        command = self._command(record, recipe)
        try:
            await self._facilities.wing.lanes.do(self._facilities.wing.processes.rehearse, command)
        except OSError as error:
            raise _not_started(record, error, command) from error

    def _command(self, record: ServerRecord, recipe: Recipe) -> Command:
        values = values_of(record, recipe.private)
        if recipe.owner_pid is not None:
            values["owner_pid"] = str(recipe.owner_pid)
        variables = environment(recipe.kind, self._facilities.environment, values, recipe.secrets)
        variables[TOKEN_VARIABLE] = self._facilities.token(record)
        if record.project is not None:
            variables[PROJECT_VARIABLE] = record.project
        log = Path(record.log or "")
        keeps_input = recipe.kind.stdin == "open"
        return Command(command_line(recipe.kind, values), variables, log.parent, log, keeps_input)


def _not_started(record: ServerRecord, error: OSError, command: Command) -> StartFailed:
    told = explained(error, command)
    data = {}
    if error.errno == errno.ENOENT and not os.path.split(command.argv[0])[0]:
        # The command compares this with the user's own PATH.
        data = {"program": command.argv[0], "daemon_path": command.environment.get("PATH", "")}
    return StartFailed(f"{record.id} could not be started: {told.problem}", hint=told.advice, data=data)


def values_of(record: ServerRecord, private: Environment | None) -> dict[str, str]:
    """What the placeholders of a recipe stand for."""
    values = {name: str(port) for name, port in record.ports.items()}
    values["server_id"] = record.id
    values["project"] = record.project or ""
    values["version"] = record.version or ""
    values["log_dir"] = str(Path(record.log).parent) if record.log else ""
    if private is not None:
        values["python"] = str(private.python)
    return values


def addresses(kind: Kind, record: ServerRecord, private: Environment | None) -> tuple[str | None, tuple[str, ...]]:
    """The URL of a server, and the command line of its bridge for AI clients where what it runs in is there."""
    kind, values = fitted(kind, record.version), values_of(record, private)
    wants_python = any("{python}" in word for word in kind.connect)
    connect = tuple(expand(word, values) for word in kind.connect) if private or not wants_python else ()
    return expand(kind.url, values) if kind.url else None, connect


def written_at(log: Path) -> float:
    """Wall time. The oldest is whatever cannot be looked at: it may have gone meanwhile, or lead nowhere."""
    try:
        return log.stat().st_mtime
    except OSError:
        return 0.0


def log_lines(path: str | None) -> tuple[str, ...]:
    """The beginning and the end of a log, line by line; empty where there is none."""
    if path is None:
        return ()
    try:
        with Path(path).open("rb") as file:
            begin = file.read(LOG_TAIL_BYTES)
            size = file.seek(0, 2)
            file.seek(max(len(begin), size - LOG_TAIL_BYTES))
            gap = b"\n" if file.tell() > len(begin) else b""
            text = (begin + gap + file.read()).decode(errors="replace")
    except OSError:
        return ()
    return tuple(text.splitlines())


def log_tail(path: str | None) -> tuple[str, ...]:
    """What people are shown of a log: its last lines, and before them those that name an error."""
    return bounded_tail(excerpt(log_lines(path), LOG_TAIL_LINES))


def bounded_tail(lines: Sequence[str]) -> tuple[str, ...]:
    """The last lines that people are shown: printable, each cut, and as many as fit into `LOG_TAIL_JSON`.

    Lines that end with a gap stand for an earlier part of the log, and are kept before others are.
    """
    lines = lines[-LOG_TAIL_LINES:]
    begins = max((number + 1 for number, line in enumerate(lines[:EARLY_LINES]) if line == GAP), default=0)
    early, room = _fitting(lines[:begins], LOG_TAIL_JSON)
    late, _ = _fitting(lines[begins:][::-1], room)
    return (*early, *reversed(late))


def _fitting(lines: Sequence[str], room: int) -> tuple[list[str], int]:
    """As many of these lines as fit, as they are shown, and the room that is left."""
    kept: list[str] = []
    for line in lines:
        shown = "".join(
            letter if letter.isprintable() else " " if letter == "\t" else "?" for letter in line[:LOG_TAIL_LINE]
        )
        room -= len(json.dumps(shown, ensure_ascii=False).encode()) + 1
        if room < 0:
            break
        kept.append(shown)
    return kept, room
