"""Tries everything of a start that can fail, before a running server is stopped for it."""

from ...core.lifecycle import SERVING
from ...core.model import Ports
from ...core.reconcile import Adopt, Refuse, Replace
from ...errors import SupervisorError
from ...kinds.credentials import mint
from ..operations.operation import RunningOperation
from ..processes.spawn import LaunchInputs, Spawner, url_and_connect
from ..state.context import EngineContext
from .planning import Planner, exhausted
from .resolve import ResolvedRequest
from .start import Starter


class Rehearsal:
    """Uses the code that will start the server. Changes nothing except what a start needs, such as an environment."""

    def __init__(self, context: EngineContext, planner: Planner, starter: Starter, spawner: Spawner) -> None:
        self._context = context
        self._records = context.records
        self._planner = planner
        self._starter = starter
        self._spawner = spawner

    async def of(self, resolved: ResolvedRequest, operation: RunningOperation, *, vacated: Ports) -> None:
        """Raise if the requested server could not be started once the ports `vacated` are free.

        Raises:
            SupervisorError: why it could not. The running server was not touched.
        """
        try:
            await self._try(resolved, operation, vacated)
        except SupervisorError as error:
            record = self._records.servers.get(resolved.server)
            if record is not None and record.state in SERVING:
                error.message = f"{resolved.server} goes on as it was: {error.message}"
                error.args = (error.message,)
            raise

    async def _try(self, resolved: ResolvedRequest, operation: RunningOperation, vacated: Ports) -> None:
        kind = resolved.kind
        private = await self._starter.provide(resolved, operation)
        operation.restart_deadline()
        launch = self._context.random.token(4)
        record = self._records.server(resolved.server).with_(
            version=resolved.version,
            ports=await self._ports(resolved, vacated),
            launch=launch,
            log=str(self._spawner.log_for(resolved.server, launch)),
        )
        url_and_connect(kind, record, private)
        secrets = mint(kind, resolved.version)
        await self._spawner.rehearse(record, LaunchInputs(kind, private, secrets, owner_pid=None))
        self._records.commit()

    async def _ports(self, resolved: ResolvedRequest, vacated: Ports) -> Ports:
        """Return the ports that the server would get. A server that keeps its ports needs no look at them."""
        if resolved.first is not None and resolved.first == vacated:
            return resolved.first
        plan = await self._planner.without(resolved, (), replacing=False, vacated=vacated.values())
        match plan:
            case Refuse(reason=reason, occupied=occupied):
                raise exhausted(reason, occupied)
            case Adopt(foreign_server):
                return foreign_server.ports
            case Replace(ports=ports):
                return ports
        return plan.ports
