"""`server.restart`: a server that a user has started again."""

from ...core.model import ServerRecord, ServerState
from ..identification import bridges
from ..operations.operation import RunningOperation
from ..starting.ensure import Ensurer
from ..starting.rehearsal import Rehearsal
from ..starting.resolve import ResolvedRequest
from ..starting.versions import Versions
from ..state.context import EngineContext
from .automatic_restart import Restarter
from .termination import Termination


class Relauncher:
    """Runs inside the operation of a restart."""

    def __init__(
        self,
        context: EngineContext,
        rehearsal: Rehearsal,
        termination: Termination,
        restarter: Restarter,
        ensurer: Ensurer,
        versions: Versions,
    ) -> None:
        self._context = context
        self._records = context.records
        self._rehearsal = rehearsal
        self._termination = termination
        self._restarter = restarter
        self._ensurer = ensurer
        self._versions = versions

    async def run(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """The server, ready again.

        Raises:
            SupervisorError: it could not have been started again, and goes on as it was; or it was stopped, and did not
                start.
        """
        record = self._records.server(server_id)
        # Its recipe, or its project's addon, may have changed while the request waited for its turn.
        kind = self._context.catalog.get(record.kind)
        resolved = await self._versions.again(kind, record)
        await self._rehearsal.of(resolved, operation, vacated=record.ports)
        operation.committed = True
        found = await bridges.seen(self._context, record)
        async with bridges.held_off(self._context, resolved.kind, record.ports):
            started = await self._change(resolved, operation)
        return started.with_(bridges=found)

    async def _change(self, resolved: ResolvedRequest, operation: RunningOperation) -> ServerRecord:
        server_id = resolved.server
        record = await self._termination.end_launch(server_id, operation)
        self._restarter.forget(server_id)
        if record.state is not ServerState.STARTING:
            # Otherwise an operation broke before anything was started: there was nothing to stop.
            self._records.move(server_id, ServerState.STARTING, restarts=record.restarts + 1)
        started = await self._ensurer.start(resolved, operation, replacing=False)
        assert isinstance(started, ServerRecord)  # noqa: S101 (nothing was to be replaced)
        return started
