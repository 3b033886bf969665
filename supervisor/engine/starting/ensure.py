"""Decides whether the server that runs answers a request for one, and has a server started where none runs."""

from ...core.lifecycle import SERVING
from ...core.model import ServerRecord, ServerState
from ...core.reconcile import Answer, OwnServer, Refusal, Refuse, Replace, Reuse, StartAnother, plan_for_running
from ...errors import VersionConflict
from ..operations.operation import RunningOperation
from ..state.context import EngineContext
from .planning import Planner, refusal
from .resolve import ResolvedRequest
from .start import Starter
from .takeover import Takeover
from .versions.choice import merged


class Ensurer:
    """The core of `server.ensure`. Runs inside an operation; the record of the server exists."""

    def __init__(self, context: EngineContext, planner: Planner, takeover: Takeover, starter: Starter) -> None:
        self._context = context
        self._records = context.records
        self._planner = planner
        self._takeover = takeover
        self._starter = starter

    async def run(
        self, resolved: ResolvedRequest, operation: RunningOperation, before: ServerRecord | None
    ) -> ServerRecord | Replace:
        """Return the server, ready; or, with nothing touched, the plan to replace what has to make room first.

        `before` is the record at rest that the start began with. A start that is taken back restores it.

        Raises:
            SupervisorError: the server does not run, and its record says why.
        """
        record = self._records.server(resolved.server)
        if record.state in SERVING:
            operation.progress("deciding", f"looking at {resolved.server}")
            return self._follow(resolved, await self._planner.plan_for_running(resolved, record))
        return await self._starter.start(resolved, operation, before)

    def refuse_mismatch(self, resolved: ResolvedRequest, record: ServerRecord) -> None:
        """Refuse a request that the running server rules out, before anything is changed.

        Raises:
            InvalidParams: the server runs on other ports.
        """
        plan = plan_for_running(self._planner.spec(resolved, ()), OwnServer(record, Answer.RIGHT))
        if isinstance(plan, Refuse):
            raise refusal(record, plan)

    def _follow(
        self, resolved: ResolvedRequest, plan: Reuse | Replace | Refuse | StartAnother
    ) -> ServerRecord | Replace:
        """Follow the plan for a server that runs."""
        # Read the record again, because the server may have got owners while it was asked.
        record = self._records.server(resolved.server)
        match plan:
            case Replace():
                return plan
            case StartAnother(rival):
                raise VersionConflict(
                    f"{rival.what} runs version {rival.version} and cannot be replaced: {rival.reason}",
                    hint="ask again: another one is started beside it",
                    data={"running": rival.version, "requested": resolved.required},
                )
            case Refuse(refused):
                if refused is Refusal.UNHEALTHY and record.state is ServerState.READY:
                    self._records.move(record.id, ServerState.UNHEALTHY)
                raise refusal(record, plan)
        if record.observed_only:
            reason = "a server was asked for, and this one fits"
            record = self._takeover.keep(record.id, resolved.project, resolved.asker, why=reason)
        record = self._records.change(record.id, chosen=merged(record, resolved))
        self._context.events.publish("server.reused", server=record.id, version=record.version)
        if record.state is ServerState.UNHEALTHY:
            return self._records.move(record.id, ServerState.READY)
        return record
