"""Turns a recipe into a running process, with an environment and a log of its own."""

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..core.model import ProcessIdentity, ServerRecord
from ..errors import StartFailed, StateNotWritable
from ..frozen import frozen
from ..kinds.kind import Kind, command_line, environment, expand
from ..kinds.versions import fitted
from ..native.api import Command
from .environment_store import Environment
from .facilities import PROJECT_VARIABLE, TOKEN_VARIABLE, Facilities

LOGS_KEPT = 5
LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 16 * 1024
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
        for path in sorted(older, key=_written_at)[: 1 - LOGS_KEPT]:
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
            raise _not_started(record, error) from error

    async def rehearse(self, record: ServerRecord, recipe: Recipe) -> None:
        """Do what `spawn` does, but for the start itself.

        Raises:
            ConfigInvalid: the recipe has a placeholder that nothing can be put in for.
            StartFailed: the program cannot be run.
        """
        command = self._command(record, recipe)
        try:
            await asyncio.to_thread(self._facilities.wing.processes.rehearse, command)
        except OSError as error:
            raise _not_started(record, error) from error

    def _command(self, record: ServerRecord, recipe: Recipe) -> Command:
        values = values_of(record, recipe.private)
        if recipe.owner_pid is not None:
            values["owner_pid"] = str(recipe.owner_pid)
        variables = environment(recipe.kind, self._facilities.environment, values, recipe.secrets)
        variables[TOKEN_VARIABLE] = self._facilities.token(record)
        if record.project is not None:
            variables[PROJECT_VARIABLE] = record.project
        log = Path(record.log or "")
        return Command(command_line(recipe.kind, values), variables, log.parent, log)


def _not_started(record: ServerRecord, error: OSError) -> StartFailed:
    return StartFailed(f"{record.id} could not be started: {_told(error)}", hint="check the kind's command")


def _told(error: OSError) -> str:
    """Without its number."""
    beside = f": {error.filename}" if error.filename else ""
    return f"{error.strerror}{beside}" if error.strerror else str(error)


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


def _written_at(log: Path) -> float:
    """Wall time. The oldest is whatever cannot be looked at: it may have gone meanwhile, or lead nowhere."""
    try:
        return log.stat().st_mtime
    except OSError:
        return 0.0


def log_tail(path: str | None) -> tuple[str, ...]:
    """The last lines of a log, for people; empty where there is none."""
    if path is None:
        return ()
    try:
        with Path(path).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - LOG_TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ()
    return bounded_tail(text.splitlines())


def bounded_tail(lines: Sequence[str]) -> tuple[str, ...]:
    """The last lines that people are shown: printable, each cut, and as many as fit into `LOG_TAIL_JSON`."""
    kept: list[str] = []
    room = LOG_TAIL_JSON
    for line in reversed(lines[-LOG_TAIL_LINES:]):
        shown = "".join(
            letter if letter.isprintable() else " " if letter == "\t" else "?" for letter in line[:LOG_TAIL_LINE]
        )
        room -= len(json.dumps(shown, ensure_ascii=False).encode()) + 1
        if room < 0:
            break
        kept.append(shown)
    return tuple(reversed(kept))
