"""`server.restart`: restarts a server because a user has asked for it."""

from ...core.model import ServerRecord
from ..identification import bridges
from ..operations.operation import RunningOperation
from ..starting.rehearsal import Rehearsal
from ..starting.start import Starter
from ..starting.versions.addon_versions import Versions
from ..state.context import EngineContext
from .termination import Termination


class Relauncher:
    """Runs inside the operation of a restart."""

    def __init__(
        self,
        context: EngineContext,
        rehearsal: Rehearsal,
        termination: Termination,
        starter: Starter,
        versions: Versions,
    ) -> None:
        self._context = context
        self._records = context.records
        self._rehearsal = rehearsal
        self._termination = termination
        self._starter = starter
        self._versions = versions

    async def run(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """Return the server, ready again.

        Raises:
            SupervisorError: the server could not have been started again, so it was left as it was; or the server was
                stopped and did not start.
        """
        record = self._records.server(server_id)
        # Read the kind now: its recipe, or the project's addon, may have changed while the request was queued.
        kind = self._context.catalog.get(record.kind)
        resolved = await self._versions.again(kind, record)
        await self._rehearsal.of(resolved, operation, vacated=record.ports)
        operation.committed = True
        found = await bridges.seen(self._context, record)
        async with bridges.held_off(self._context, resolved.kind, record.ports):
            ended = await self._termination.end_launch(server_id, operation)
            self._termination.begin_launch(ended)
            started = await self._starter.start_in_place(resolved, operation)
        return started.with_(bridges=found)
