"""Replaces a server by another version of itself, or one that is mute: the old one comes back if the new one fails."""

from dataclasses import replace
from functools import partial

from ...core.foreign import ForeignServer
from ...core.lifecycle import RUNNING
from ...core.model import ServerRecord, ServerState
from ...core.pep440 import equal
from ...core.reconcile import Replace
from ...errors import SupervisorError, VersionConflict
from ..operations.operation import RunningOperation
from ..processes.stop import StopReason
from ..starting.ensure import Ensurer
from ..starting.planning import Planner
from ..starting.rehearsal import Rehearsal
from ..starting.resolve import ResolvedRequest, again, of_kind
from ..starting.takeover import Takeover
from ..state.context import EngineContext
from .automatic_restart import Restarter
from .termination import Termination


class Replacer:
    """Runs inside the operation of an `ensure` whose plan is Replace."""

    def __init__(
        self,
        context: EngineContext,
        planner: Planner,
        ensurer: Ensurer,
        rehearsal: Rehearsal,
        termination: Termination,
        restarter: Restarter,
        takeover: Takeover,
    ) -> None:
        self._context = context
        self._records = context.records
        self._events = context.events
        self._planner = planner
        self._ensurer = ensurer
        self._rehearsal = rehearsal
        self._termination = termination
        self._restarter = restarter
        self._takeover = takeover

    async def run(self, resolved: ResolvedRequest, plan: Replace, operation: RunningOperation) -> ServerRecord:
        """The new server, ready, on the ports of the old one if these are free then.

        Raises:
            SupervisorError: the new one did not become ready; the old one runs again, or the error says why not.
        """
        if resolved.required is None and isinstance(plan.old, ServerRecord):
            # It is mute, and any version will do: its own, then. Another may run beside it already.
            kept = plan.old.chosen or resolved.chosen
            resolved = replace(resolved, version=plan.old.version or resolved.version, chosen=kept)
        # Everything that can fail before the old one is touched. It takes its time: then it is all looked at again.
        await self._rehearsal.of(replace(resolved, first=plan.ports), operation, vacated=plan.ports)
        if not await self._still(resolved, plan):
            return await self._start(resolved, operation)
        old, reason = self._begin(resolved, plan)
        operation.committed = True
        operation.progress("replacing", f"{old.id} {old.version or ''} by {resolved.version or 'a new launch'}")
        stopped = await self._termination.end_launch(
            resolved.server, operation, reason, partial(self._last_look, resolved, operation)
        )
        self._restarter.forget(resolved.server)
        operation.extend()
        self._records.change(resolved.server, version=resolved.version, chosen=resolved.chosen)
        self._records.move(resolved.server, ServerState.STARTING, restarts=stopped.restarts + 1)
        self._takeover.wanted_without_owner(resolved.server, resolved.asker)
        try:
            new = await self._start(replace(resolved, first=plan.ports), operation)
        except SupervisorError as error:
            await self._roll_back(resolved, old, operation, error)
            raise
        self._events.publish(
            "server.replaced", server=new.id, was=old.version, now=new.version, reason=plan.reason, proof=plan.proof
        )
        return new

    async def _still(self, resolved: ResolvedRequest, plan: Replace) -> bool:
        """Whether it is still to be replaced. False: it was a stranger, and is left alone.

        Raises:
            VersionConflict: it was ours, and somebody uses it now.
        """
        if isinstance(plan.old, ForeignServer):
            now = await self._planner.without(resolved, (), replacing=True)
            return (
                isinstance(now, Replace) and isinstance(now.old, ForeignServer) and now.old.process == plan.old.process
            )
        again = await self._planner.with_own(resolved, plan.old)
        if not isinstance(again, Replace):
            raise _came_into_use(plan.old)
        return True

    def _last_look(
        self, resolved: ResolvedRequest, operation: RunningOperation, record: ServerRecord, now: float
    ) -> None:
        """The last moment before the signal. From then on it is seen through, whoever goes: the old one is lost."""
        if any(lease.expires > now for lease in record.leases) or self._planner.owners(resolved, record):
            raise _came_into_use(record)
        operation.irrevocable = True

    def _begin(self, resolved: ResolvedRequest, plan: Replace) -> tuple[ServerRecord, StopReason]:
        """The row to be replaced, and the reason to end its tree. A stranger gets the row first."""
        if isinstance(plan.old, ForeignServer):
            self._takeover.condemn(resolved.server, resolved.kind, plan.old, why=plan.reason)
        record = self._records.server(resolved.server)
        return record, StopReason.ORPHAN if record.foreign else StopReason.DAEMON

    async def _start(self, resolved: ResolvedRequest, operation: RunningOperation) -> ServerRecord:
        started = await self._ensurer.start(resolved, operation, replacing=False)
        assert isinstance(started, ServerRecord)  # noqa: S101 (nothing more was to be replaced)
        return started

    async def _roll_back(
        self, resolved: ResolvedRequest, old: ServerRecord, operation: RunningOperation, error: SupervisorError
    ) -> None:
        """Start the old version again, from its own environment. What it was started with by others is gone."""
        record = self._records.servers.get(resolved.server)
        if record is None or record.state is not ServerState.FAILED or record.root is not None:
            return
        meanwhile = self._runs_beside(resolved, old)
        if meanwhile is not None:
            error.hint = f"{old.version or 'the old launch'} runs as {meanwhile.id}, which was started meanwhile"
            return
        self._records.move(resolved.server, ServerState.STARTING, version=old.version, chosen=old.chosen)
        operation.extend()
        try:
            back = await self._start(again(resolved.kind, old), operation)
        except SupervisorError as second:
            self._events.warn(
                "server.rolled_back", server=old.id, version=old.version, reason=error.message, failed=second.message
            )
            error.hint = f"{old.version or 'the old launch'} could not be started again either: {second.message}"
            return
        self._events.warn("server.rolled_back", server=back.id, version=back.version, reason=error.message, failed=None)
        error.data["rolled_back_to"] = back.version
        error.hint = f"{back.id} {back.version or ''} runs again; its log and this error say what went wrong"

    def _runs_beside(self, resolved: ResolvedRequest, old: ServerRecord) -> ServerRecord | None:
        """Another server of the old version: whoever needed that one while the new one tried has it now."""
        others = of_kind(self._context, resolved.kind, resolved.project, resolved.asker)
        stays = RUNNING - {ServerState.STOPPING}
        return next((r for r in others if r.id != old.id and r.state in stays and equal(r.version, old.version)), None)


def _came_into_use(record: ServerRecord) -> VersionConflict:
    return VersionConflict(
        f"{record.id} {record.version or ''} came into use before it could be replaced",
        hint="ask again: another one is started beside it",
        data={"running": record.version},
    )
