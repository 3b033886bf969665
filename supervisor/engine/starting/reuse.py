"""Decides on a request for a server that runs already: reuse the server, replace it, or refuse the request."""

from ...core.model import ServerRecord, ServerState
from ...core.reconcile import Answer, OwnServer, Refusal, Refuse, Replace, StartAnother, plan_for_running
from ...errors import VersionConflict
from ..state.context import EngineContext
from .planning import Planner, refusal_error
from .resolve import ResolvedRequest
from .takeover import Takeover
from .versions.choice import chosen_for_reuse


class Reuser:
    """Looks at the server that has the requested id. The state of its record is one of `SERVING`."""

    def __init__(self, context: EngineContext, planner: Planner, takeover: Takeover) -> None:
        self._context = context
        self._records = context.records
        self._planner = planner
        self._takeover = takeover

    async def reuse(self, resolved: ResolvedRequest) -> ServerRecord | Replace:
        """Return the running server, READY, if it fits the request; or, with nothing touched, the plan to replace it.

        Raises:
            VersionConflict: the server runs another version, and has to stay as it is.
            InvalidParams: the server runs on other ports.
            StartFailed: the server does not answer, and has to stay as it is.
        """
        plan = await self._planner.plan_for_running(resolved, self._records.server(resolved.server))
        # Read the record only now, because the server may have got owners while it was asked.
        record = self._records.server(resolved.server)
        match plan:
            case Replace():
                return plan
            case StartAnother(kept):
                raise VersionConflict(
                    f"{kept.what} runs version {kept.version} and cannot be replaced: {kept.reason}",
                    hint="ask again: another one is started beside it",
                    data={"running": kept.version, "requested": resolved.required},
                )
            case Refuse(refusal):
                if refusal is Refusal.UNHEALTHY and record.state is ServerState.READY:
                    self._records.move(record.id, ServerState.UNHEALTHY)
                raise refusal_error(record, plan)
        if record.observed_only:
            reason = "a server was asked for, and this one fits"
            record = self._takeover.adopt_observed(record.id, resolved.project, resolved.intended_owner, why=reason)
        record = self._records.change(record.id, chosen=chosen_for_reuse(record, resolved))
        self._context.events.publish("server.reused", server=record.id, version=record.version)
        if record.state is ServerState.UNHEALTHY:
            return self._records.move(record.id, ServerState.READY)
        return record

    def refuse_mismatch(self, resolved: ResolvedRequest, record: ServerRecord) -> None:
        """Refuse a request that the running server rules out, before anything is changed. Does not ask the server.

        Raises:
            InvalidParams: the server runs on other ports.
        """
        plan = plan_for_running(self._planner.spec(resolved, ()), OwnServer(record, Answer.RIGHT))
        if isinstance(plan, Refuse):
            raise refusal_error(record, plan)
