"""Starts what ran before again, because its replacement did not become ready."""

from ...core.model import ServerRecord, ServerState
from ...errors import SupervisorError
from ...kinds.kind import Kind
from ..operations.operation import RunningOperation
from ..starting.resolve import resolve_with_same_version
from ..starting.start import Starter
from ..state.context import EngineContext


class RollBack:
    """Starts old launches again, inside the operation of the replacement that has failed."""

    def __init__(self, context: EngineContext, starter: Starter) -> None:
        self._context = context
        self._records = context.records
        self._starter = starter

    def is_possible(self, server_id: str) -> bool:
        """Return whether the replacement has failed and left no process, so that the old launch can return."""
        record = self._records.servers.get(server_id)
        return record is not None and record.state is ServerState.FAILED and record.root is None

    async def roll_back(
        self, kind: Kind, old: ServerRecord, operation: RunningOperation, error: SupervisorError
    ) -> None:
        """Start the old version by its recipe again, and tell in the hint of `error` what came of that.

        A foreign server may have run with other environment variables. These are lost.
        """
        events = self._context.events
        was = old.version or "the old launch"
        self._records.move(old.id, ServerState.STARTING, version=old.version, chosen=old.chosen)
        operation.restart_deadline()
        try:
            back = await self._starter.start_without_replacing(resolve_with_same_version(kind, old), operation)
        except SupervisorError as second:
            events.warn(
                "server.rolled_back", server=old.id, version=old.version, reason=error.message, failed=second.message
            )
            error.hint = f"{was} could not be started again either: {second.message}"
            return
        events.warn("server.rolled_back", server=back.id, version=back.version, reason=error.message, failed=None)
        error.data["rolled_back_to"] = back.version
        error.hint = (
            f"{' '.join(filter(None, (back.id, back.version)))} runs again as before; logs tell what went wrong"
        )
