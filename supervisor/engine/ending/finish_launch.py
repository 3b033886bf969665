"""Follows the end of a launch: processes that are left, the history, and the record."""

from collections.abc import Sequence
from typing import TypedDict

from ...core.model import ServerFailure, ServerRecord
from ...errors import StopFailed
from ...native.api import variable_if_told
from ..identification.server_client import ServerClient
from ..processes.stop import Stopper
from ..processes.tree import Target
from ..state.context import TOKEN_VARIABLE, EngineContext
from ..state.history import ended


class LaunchFinisher:
    """Checks what a launch has left behind, and records how the launch has ended."""

    def __init__(self, context: EngineContext, stopper: Stopper, server_client: ServerClient) -> None:
        self._context = context
        self._records = context.records
        self._stopper = stopper
        self._server_client = server_client

    async def check_ports_released(self, record: ServerRecord) -> None:
        """Raise if a process that carries the launch token, but is not proven to be of the tree, still holds a port.

        Raises:
            StopFailed: the message and the hint name the process.
        """
        platform = self._context.platform
        facts = await platform.lanes.look(platform.ports.facts, record.ports.values())
        for fact in facts.values():
            for listener in fact.listeners:
                process = listener.occupant.identity
                if process is None:
                    continue
                token = await platform.lanes.look(variable_if_told, platform.processes, process, TOKEN_VARIABLE)
                if token == self._context.token(record):
                    raise StopFailed(
                        f"port {fact.port} is still held by pid {process.pid}, which {record.id} left behind",
                        hint=f"it cannot be proven to be the server's; if you know it, end it: kill {process.pid}",
                        data={"pids": [process.pid], "port": fact.port},
                    )

    async def warn_of_leftovers(self, target: Target, told: tuple[int, ...]) -> tuple[str, ...]:
        """Warn of processes of the launch that are left, except those in `told`, of which the caller was warned.

        Returns a note on each of them and of those in `told`, for people.

        A descendant that has left its session, and whose parents have ended, cannot be proven to be the server's.
        """
        if target.token is not None and not target.foreign:
            pids = [pid for pid in await self._stopper.find_left_behind(target) if pid not in told]
            if pids:
                self._context.events.warn("server.left_behind", server=target.label, pids=pids)
            told = (*told, *pids)
        return await self._context.platform.lanes.look(self._described, told) if told else ()

    def _described(self, pids: Sequence[int]) -> tuple[str, ...]:
        """Return a note on each process that a stop has left running. Blocking."""
        seen = {pid: self._context.platform.probe.describe(pid) for pid in pids}
        return tuple(
            f"left running: pid {pid} ({' '.join(occupant.brief)}), an editor or not proven to be the server's"
            for pid, occupant in seen.items()
            if occupant.identity is not None
        )

    def add_to_history(
        self,
        record: ServerRecord,
        how: str,
        *,
        status: int | None = None,
        by: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Add the end of a launch to the history.

        The exit of an observed server is left out, because its history belongs to the program that started it.
        """
        if not record.launch or (record.observed_only and how == "exited"):
            return
        if status is None and (record.root or record.process) and not record.foreign:
            ended_processes = [process for process in (record.root, record.process) if process]
            status = self._context.platform.processes.exit_status(ended_processes[0])
        wall = self._context.platform.clock.wall()
        self._records.remember(ended(record, how, wall, status=status, by=by, detail=detail))

    def add_failure_to_history(self, record: ServerRecord, how: str, *, by: str | None = None) -> None:
        """Add the end of a launch to the history, with what its failure, if there was one, says of the end."""
        self.add_to_history(record, how, by=by, **_described(record.failure))

    def drop_record(self, record: ServerRecord) -> None:
        """Drop the record of a server, and the secrets of its launch."""
        self._server_client.forget(record)
        self._records.drop(record.id)


class _Described(TypedDict, total=False):
    status: int | None
    detail: str


def _described(failure: ServerFailure | None) -> _Described:
    """Return the fields of a history entry that a failure fills."""
    return {} if failure is None else {"status": failure.exit, "detail": failure.message}
