"""`server.restart`: restarts a server because a user has asked for it."""

from ...core.lifecycle import SERVING
from ...core.model import ServerRecord
from ...errors import SupervisorError
from ...kinds.stamp import changes_since_launch
from ..identification import bridges
from ..operations.operation import RunningOperation
from ..starting.rehearsal import Rehearsal
from ..starting.resolve import ResolvedRequest
from ..starting.start import Starter
from ..starting.versions.addon_versions import AddonVersions
from ..state.context import EngineContext
from .roll_back import RollBack
from .termination import Termination


class RequestedRestarter:
    """Restarts servers, each inside the operation of its request."""

    def __init__(
        self,
        context: EngineContext,
        rehearsal: Rehearsal,
        termination: Termination,
        starter: Starter,
        versions: AddonVersions,
    ) -> None:
        self._context = context
        self._records = context.records
        self._rehearsal = rehearsal
        self._termination = termination
        self._starter = starter
        self._versions = versions
        self._rollback = RollBack(context, starter)

    async def restart(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """Return the server, ready again.

        Raises:
            SupervisorError: the server could not have been started again, so it was left as it was; or the server was
                stopped and did not start.
        """
        record = self._records.server(server_id)
        # Read the kind now: its recipe, or the project's addon, may have changed while the request was queued.
        kind = self._context.catalog.get(record.kind)
        resolved = await self._versions.resolve_with_current_version(kind, record)
        await self._rehearsal.rehearse(resolved, operation, vacated=record.ports)
        operation.committed = True
        found = await bridges.find_bridges(self._context, record)
        async with bridges.held_off(self._context, resolved.kind, record.ports):
            ended = await self._termination.end_launch(server_id, operation)
            self._termination.mark_starting(ended)
            try:
                started = await self._starter.start_without_replacing(resolved, operation)
            except SupervisorError as error:
                await self._roll_back(resolved, record, operation, error)
                raise
        return started.with_(bridges=found)

    async def _roll_back(
        self, resolved: ResolvedRequest, old: ServerRecord, operation: RunningOperation, error: SupervisorError
    ) -> None:
        """Start the server by its old recipe and version again, if it served, and was to get another one."""
        before = self._starter.recipe_of(old)
        changed = bool(changes_since_launch(old, resolved.kind)) or before not in (None, resolved.kind)
        if old.state not in SERVING or not self._rollback.is_possible(old.id):
            return
        if before is not None and (changed or old.version != resolved.version):
            await self._rollback.roll_back(before, old, operation, error)
        elif changed:
            error.hint = f"{error.hint}; its old recipe is not known any more, because the daemon was restarted"
