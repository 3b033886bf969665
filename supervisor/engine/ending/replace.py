"""Replaces a server by another version, or a server that does not answer; the old one returns if the new one fails."""

from dataclasses import replace
from functools import partial

from ...core.foreign import ForeignServer
from ...core.lifecycle import RUNNING
from ...core.model import ServerRecord, ServerState
from ...core.pep440 import same_version
from ...core.reconcile import Replace
from ...errors import SupervisorError, VersionConflict
from ..operations.operation import RunningOperation
from ..processes.stop import StopReason
from ..starting.planning import Planner
from ..starting.rehearsal import Rehearsal
from ..starting.resolve import ResolvedRequest, records_that_could_answer
from ..starting.start import Starter
from ..starting.takeover import Takeover
from ..state.context import EngineContext
from .roll_back import RollBack
from .termination import Termination


class Replacer:
    """Replaces servers, inside the operation of an `ensure` whose plan is Replace."""

    def __init__(
        self,
        context: EngineContext,
        planner: Planner,
        starter: Starter,
        rehearsal: Rehearsal,
        termination: Termination,
        takeover: Takeover,
    ) -> None:
        self._context = context
        self._records = context.records
        self._events = context.events
        self._planner = planner
        self._starter = starter
        self._rehearsal = rehearsal
        self._termination = termination
        self._takeover = takeover
        self._rollback = RollBack(context, starter)

    async def replace_server(
        self, resolved: ResolvedRequest, plan: Replace, operation: RunningOperation
    ) -> ServerRecord:
        """Return the new server, ready, on the ports of the old server if these are free once that has stopped.

        Raises:
            SupervisorError: the new server did not become ready. The old one runs again, or the error says why not.
        """
        if resolved.required is None and isinstance(plan.old, ServerRecord):
            # The server does not answer, and any version fits, so keep its version. A server of another version may run
            # beside it already.
            kept = plan.old.chosen or resolved.chosen
            resolved = replace(resolved, version=plan.old.version or resolved.version, chosen=kept)
        # Try everything that can fail before the old server is touched. That takes its time, so check the plan again.
        await self._rehearsal.rehearse(replace(resolved, preferred_ports=plan.ports), operation, vacated=plan.ports)
        if not await self._is_still_to_be_replaced(resolved, plan):
            return await self._starter.start_without_replacing(resolved, operation)
        old, reason = self._old_record_and_reason(resolved, plan)
        operation.committed = True
        operation.progress("replacing", f"{old.id} {old.version or ''} by {resolved.version or 'a new launch'}")
        ended = await self._termination.end_launch(
            resolved.server, operation, reason, partial(self._refuse_if_in_use, resolved, operation)
        )
        operation.restart_deadline()
        self._termination.mark_starting(ended, becomes=resolved)
        self._takeover.keep_without_owner(resolved.server, resolved.intended_owner)
        try:
            new = await self._starter.start_without_replacing(replace(resolved, preferred_ports=plan.ports), operation)
        except SupervisorError as error:
            await self._roll_back(resolved, old, operation, error)
            raise
        self._events.publish(
            "server.replaced", server=new.id, was=old.version, now=new.version, reason=plan.reason, proof=plan.proof
        )
        return new

    async def _is_still_to_be_replaced(self, resolved: ResolvedRequest, plan: Replace) -> bool:
        """Plan again, and return whether the old server is still to be replaced.

        Raises:
            VersionConflict: the old server is the daemon's own, and is in use again.
        """
        if isinstance(plan.old, ForeignServer):
            plan_now = await self._planner.plan_start(resolved, (), replacing=True)
            return (
                isinstance(plan_now, Replace)
                and isinstance(plan_now.old, ForeignServer)
                and plan_now.old.process == plan.old.process
            )
        if not isinstance(await self._planner.plan_for_running(resolved, plan.old), Replace):
            raise _in_use_again(plan.old)
        return True

    def _refuse_if_in_use(
        self, resolved: ResolvedRequest, operation: RunningOperation, record: ServerRecord, now: float
    ) -> None:
        """Make the final check before the first signal. `now`: monotonic seconds.

        From then on the operation is completed even if all callers leave, because the old server is lost.

        Raises:
            VersionConflict: the server has got an owner or a lease.
        """
        if any(lease.expires > now for lease in record.leases) or self._planner.other_owners(resolved, record):
            raise _in_use_again(record)
        operation.irrevocable = True

    def _old_record_and_reason(self, resolved: ResolvedRequest, plan: Replace) -> tuple[ServerRecord, StopReason]:
        """Return the record of the old server, and why its tree is stopped. A foreign server gets a record first."""
        if isinstance(plan.old, ForeignServer):
            self._takeover.record_for_replacement(resolved.server, resolved.kind, plan.old, why=plan.reason)
        record = self._records.server(resolved.server)
        return record, StopReason.ORPHAN if record.foreign else StopReason.DAEMON

    async def _roll_back(
        self, resolved: ResolvedRequest, old: ServerRecord, operation: RunningOperation, error: SupervisorError
    ) -> None:
        """Start the old version again, from its own environment."""
        if not self._rollback.is_possible(resolved.server):
            return
        beside = self._find_old_version_beside(resolved, old)
        if beside is not None:
            error.hint = f"{old.version or 'the old launch'} runs as {beside.id}, which was started in between"
            return
        await self._rollback.roll_back(self._starter.recipe_of(old) or resolved.kind, old, operation, error)

    def _find_old_version_beside(self, resolved: ResolvedRequest, old: ServerRecord) -> ServerRecord | None:
        """Return another server of the old version, which a client has started while the new version was tried."""
        others = records_that_could_answer(self._context, resolved.kind, resolved.project, resolved.intended_owner)
        stays = RUNNING - {ServerState.STOPPING}
        return next(
            (r for r in others if r.id != old.id and r.state in stays and same_version(r.version, old.version)), None
        )


def _in_use_again(record: ServerRecord) -> VersionConflict:
    return VersionConflict(
        f"{record.id} {record.version or ''} came into use before it could be replaced",
        hint="ask again: another one is started beside it",
        data={"running": record.version},
    )
