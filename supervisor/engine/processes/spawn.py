"""Starts the process of a server, with its own environment variables and its own log."""

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path

from ...core.exhaustion import MAKE_ROOM, is_exhaustion
from ...core.model import ProcessIdentity, ServerRecord
from ...errors import StartFailed, StateNotWritable, SupervisorError, SystemExhausted
from ...kinds.kind import Kind, expand, launch_command, launch_environment
from ...kinds.versions import kind_for_version
from ...native.api import ChildCommand
from ...values import frozen
from ..environments.store import Environment
from ..logs.excerpt import written_at
from ..state.context import PROJECT_VARIABLE, TOKEN_VARIABLE, EngineContext
from ..state.placeholders import placeholder_values
from . import argument_files
from .spawn_errors import explain_spawn_error

LOGS_KEPT = 5
"""How many logs of each server are kept, the current one included."""


@frozen
class LaunchInputs:
    """What a launch needs besides the server's record.

    `private_environment`: None for a kind without a package. `owner_pid`: the value of the placeholder `owner_pid`.
    """

    kind: Kind
    private_environment: Environment | None
    secrets: Mapping[str, str]
    owner_pid: int | None


class Spawner:
    """Starts the processes of servers, and keeps a few of their logs."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._files_at_start: dict[str, frozenset[str]] = {}
        """By server id: the files that the command line named and that existed at the last start."""

    def log_for(self, server_id: str, launch: str) -> Path:
        """Return the path of the log file of a launch that is about to begin, and make the folder.

        Raises:
            StateNotWritable: the folder of the log cannot be made.
        """
        folder = self._context.logs.joinpath("servers", server_id)
        try:
            if not folder.is_dir():
                folder.mkdir(parents=True)
        except OSError as error:
            raise StateNotWritable(
                f"the folder for the server's log cannot be made: {error}", hint="make it writable"
            ) from error
        return folder / f"{launch}.log"

    def prune_logs(self, record: ServerRecord) -> None:
        """Remove a server's oldest logs, so that `LOGS_KEPT` are left."""
        if record.log is None:
            return
        current = Path(record.log)
        older: list[Path] = []
        # A folder that cannot be listed must not prevent the start.
        with contextlib.suppress(OSError):
            older = [path for path in current.parent.iterdir() if path.suffix == ".log" and path != current]
        for path in sorted(older, key=written_at)[: 1 - LOGS_KEPT]:
            with contextlib.suppress(OSError):
                path.unlink()

    def spawn(self, record: ServerRecord, inputs: LaunchInputs) -> ProcessIdentity:
        """Start the server of a record that is already in the registry.

        Raises:
            StartFailed: the program could not be run.
            SystemExhausted: the system has no process, memory or descriptor for it.
        """
        command = self._command(record, inputs)
        # Look before the start: once there is a process, nothing may fail before its identity is in the record.
        self._files_at_start[record.id] = argument_files.existing_files(command.argv)
        try:
            return self._context.platform.processes.spawn(command)
        except OSError as error:
            raise _not_started(record, error, command) from error

    async def rehearse(self, record: ServerRecord, inputs: LaunchInputs) -> None:
        """Do everything that `spawn` does except the start itself.

        Raises:
            ConfigInvalid: the recipe has a placeholder without a value.
            StartFailed: the program cannot be run, or a file among its arguments has gone.
            SystemExhausted: the system has no more open files.
        """
        command = self._command(record, inputs)
        lanes = self._context.platform.lanes
        try:
            await lanes.do(self._context.platform.processes.rehearse, command)
        except OSError as error:
            raise _not_started(record, error, command) from error
        gone = await lanes.do(
            argument_files.find_missing_file, command.argv, self._files_at_start.get(record.id, frozenset())
        )
        if gone is not None:
            hint = "put it back, or mend the kind's command"
            raise StartFailed(f"{record.id} could not be started: {gone} is not there", hint=hint)

    def _command(self, record: ServerRecord, inputs: LaunchInputs) -> ChildCommand:
        """Return the command of a launch, with its environment variables and its log."""
        values = placeholder_values(record, inputs.private_environment)
        if inputs.owner_pid is not None:
            values["owner_pid"] = str(inputs.owner_pid)
        variables = launch_environment(inputs.kind, self._context.variables, values, inputs.secrets)
        variables[TOKEN_VARIABLE] = self._context.launch_token(record)
        if record.project is not None:
            variables[PROJECT_VARIABLE] = record.project
        log = Path(record.log or "")
        keeps_input = inputs.kind.stdin == "open"
        return ChildCommand(launch_command(inputs.kind, values), variables, log.parent, log, keeps_input)


def _not_started(record: ServerRecord, error: OSError, command: ChildCommand) -> SupervisorError:
    """Return the error for a command that the system refused to run."""
    if is_exhaustion(error):
        return SystemExhausted(f"{record.id} could not be started: {error.strerror or error}", hint=MAKE_ROOM)
    diagnosis = explain_spawn_error(error, command)
    data = {}
    if error.errno == errno.ENOENT and not os.path.split(command.argv[0])[0]:
        # The command line compares this PATH with the user's own.
        data = {"program": command.argv[0], "daemon_path": command.environment.get("PATH", "")}
    return StartFailed(f"{record.id} could not be started: {diagnosis.problem}", hint=diagnosis.advice, data=data)


def url_and_connect(
    kind: Kind, record: ServerRecord, private_environment: Environment | None
) -> tuple[str | None, tuple[str, ...]]:
    """Return the URL of a server, and the command line of its bridge for AI clients; None and () where there is none.

    A bridge that needs the private environment has no command line until the environment exists.
    """
    kind, values = kind_for_version(kind, record.version), placeholder_values(record, private_environment)
    wants_python = any("{python}" in word for word in kind.connect)
    connect = tuple(expand(word, values) for word in kind.connect) if private_environment or not wants_python else ()
    return expand(kind.url, values) if kind.url else None, connect
