"""What follows the end of a launch: a warning of processes that are left, and an entry in the history."""

from collections.abc import Sequence
from typing import TypedDict

from ...core.model import ServerFailure, ServerRecord
from ...errors import StopFailed
from ...native.api import variable_if_told
from ..identification.server_client import ServerClient
from ..processes.stop import Stopper
from ..processes.tree import Target
from ..state.context import TOKEN_VARIABLE, EngineContext
from ..state.history import ended_launch


class LaunchAftermath:
    """Checks what a launch has left behind, and records how it has ended. Signals no process."""

    def __init__(self, context: EngineContext, stopper: Stopper, server_client: ServerClient) -> None:
        self._context = context
        self._records = context.records
        self._stopper = stopper
        self._server_client = server_client

    async def check_ports_released(self, record: ServerRecord) -> None:
        """Check that no process with the launch token listens on a port of the launch, after its tree was ended.

        Such a process is not proven to be of the tree.

        Raises:
            StopFailed: one does. The message and the hint name it.
        """
        platform = self._context.platform
        facts = await platform.lanes.look(platform.ports.facts, record.ports.values())
        for fact in facts.values():
            for listener in fact.listeners:
                process = listener.occupant.identity
                if process is None:
                    continue
                token = await platform.lanes.look(variable_if_told, platform.processes, process, TOKEN_VARIABLE)
                if token == self._context.launch_token(record):
                    raise StopFailed(
                        f"port {fact.port} is still held by pid {process.pid}, which {record.id} left behind",
                        hint=f"it cannot be proven to be the server's; if you know it, end it: kill {process.pid}",
                        data={"pids": [process.pid], "port": fact.port},
                    )

    async def warn_of_left_behind(self, target: Target, already_warned: tuple[int, ...]) -> tuple[str, ...]:
        """Warn of processes that carry the launch token and are left behind.

        `already_warned` are pids of which an event has warned. A descendant that has left its session, and whose
        parents have ended, cannot be proven to be the server's.

        Returns:
            A note on each process that is left behind, those in `already_warned` included, for people.
        """
        if target.token is not None and not target.foreign:
            pids = [pid for pid in await self._stopper.find_left_behind(target) if pid not in already_warned]
            if pids:
                self._context.events.warn("server.left_behind", server=target.label, pids=pids)
            already_warned = (*already_warned, *pids)
        return (
            await self._context.platform.lanes.look(self._describe_left_behind, already_warned)
            if already_warned
            else ()
        )

    def _describe_left_behind(self, pids: Sequence[int]) -> tuple[str, ...]:
        """Return a note on each process that a stop has left behind. Blocks."""
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

        `how` is "stopped", "reaped", "exited" or the like, `by` the requester. If `status` is None, the system is asked
        for the exit status. The exit of an observed server is left out, because its history belongs to the program that
        started it.
        """
        if not record.launch or (record.observed_only and how == "exited"):
            return
        if status is None and (record.root or record.process) and not record.foreign:
            ended_processes = [process for process in (record.root, record.process) if process]
            status = self._context.platform.processes.exit_status(ended_processes[0])
        wall = self._context.platform.clock.wall()
        self._records.remember(ended_launch(record, how, wall, status=status, by=by, detail=detail))

    def add_failure_to_history(self, record: ServerRecord, how: str, *, by: str | None = None) -> None:
        """Add the end of a launch to the history, with exit status and message of its failure, if it has failed."""
        self.add_to_history(record, how, by=by, **_history_fields(record.failure))

    def drop_record(self, record: ServerRecord) -> None:
        """Drop the record of a server, and the secrets of its launch."""
        self._server_client.forget(record)
        self._records.drop(record.id)


class _HistoryFields(TypedDict, total=False):
    status: int | None
    detail: str


def _history_fields(failure: ServerFailure | None) -> _HistoryFields:
    """Return those fields of a history entry that a failure says."""
    return {} if failure is None else {"status": failure.exit, "detail": failure.message}
