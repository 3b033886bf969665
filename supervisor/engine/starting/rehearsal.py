"""Tries every step of a start that can fail before a launch, while the server that the start replaces still runs."""

from ...core.lifecycle import SERVING
from ...core.model import Ports
from ...core.reconcile import Adopt, Refuse, Replace
from ...errors import SupervisorError
from ...kinds.server_secrets import make_secrets
from ..operations.operation import RunningOperation
from ..processes.spawn import LaunchInputs, Spawner, url_and_connect
from ..state.context import EngineContext
from .planning import Planner, ports_exhausted
from .resolve import ResolvedRequest
from .start import Starter


class Rehearsal:
    """Uses the code that will start the server. Changes nothing, but builds the environment if it is missing."""

    def __init__(self, context: EngineContext, planner: Planner, starter: Starter, spawner: Spawner) -> None:
        self._context = context
        self._records = context.records
        self._planner = planner
        self._starter = starter
        self._spawner = spawner

    async def rehearse(self, resolved: ResolvedRequest, operation: RunningOperation, *, vacated: Ports) -> None:
        """Check that the requested server can be started once the ports `vacated` are free.

        Raises:
            SupervisorError: the reason why it cannot. The running server was not touched.
        """
        try:
            await self._try_steps(resolved, operation, vacated)
        except SupervisorError as error:
            record = self._records.servers.get(resolved.server)
            if record is not None and record.state in SERVING:
                error.message = f"{resolved.server} goes on as it was: {error.message}"
                error.args = (error.message,)
            raise

    async def _try_steps(self, resolved: ResolvedRequest, operation: RunningOperation, vacated: Ports) -> None:
        kind = resolved.kind
        private = await self._starter.provide(resolved, operation)
        operation.restart_deadline()
        launch = self._context.random.token(4)
        record = self._records.server(resolved.server).with_(
            version=resolved.version,
            ports=await self._ports_after(resolved, vacated),
            launch=launch,
            log=str(self._spawner.log_for(resolved.server, launch)),
        )
        # Each of these raises what it would raise in the start; the results are not needed.
        url_and_connect(kind, record, private)
        secrets = make_secrets(kind, resolved.version)
        await self._spawner.rehearse(record, LaunchInputs(kind, private, secrets, owner_pid=None))
        self._records.commit()

    async def _ports_after(self, resolved: ResolvedRequest, vacated: Ports) -> Ports:
        """Return the ports that the server would get. Ports that the server keeps are not looked at.

        Raises:
            PortsExhausted: no set of ports is free.
        """
        if resolved.preferred_ports is not None and resolved.preferred_ports == vacated:
            return resolved.preferred_ports
        plan = await self._planner.plan_start(resolved, (), replacing=False, vacated=vacated.values())
        match plan:
            case Refuse(reason=reason, occupied=occupied):
                raise ports_exhausted(reason, occupied)
            case Adopt(foreign_server):
                return foreign_server.ports
            case Replace(ports=ports):
                return ports
        return plan.ports
