"""`server.restart`: a server that a user has started again."""

from ...core.model import ServerRecord, ServerState
from ..identification import bridges
from ..operations.operation import Flight
from ..starting.ensure import Ensurer
from ..starting.rehearsal import Rehearsal
from ..starting.resolve import Demand
from ..starting.versions import Versions
from ..state.context import Facilities
from .automatic_restart import Restarter
from .termination import Endings


class Relauncher:
    """Runs inside the flight of a restart."""

    def __init__(
        self,
        facilities: Facilities,
        rehearsal: Rehearsal,
        endings: Endings,
        restarter: Restarter,
        ensurer: Ensurer,
        versions: Versions,
    ) -> None:
        self._facilities = facilities
        self._records = facilities.records
        self._rehearsal = rehearsal
        self._endings = endings
        self._restarter = restarter
        self._ensurer = ensurer
        self._versions = versions

    async def run(self, server_id: str, flight: Flight) -> ServerRecord:
        """The server, ready again.

        Raises:
            SupervisorError: it could not have been started again, and goes on as it was; or it was stopped, and did not
                start.
        """
        record = self._records.server(server_id)
        # Its recipe, or its project's addon, may have changed while the request waited for its turn.
        kind = self._facilities.catalog.get(record.kind)
        demand = await self._versions.again(kind, record)
        await self._rehearsal.of(demand, flight, vacated=record.ports)
        flight.committed = True
        found = await bridges.seen(self._facilities, record)
        async with bridges.held_off(self._facilities, demand.kind, record.ports):
            started = await self._change(demand, flight)
        return started.with_(bridges=found)

    async def _change(self, demand: Demand, flight: Flight) -> ServerRecord:
        server_id = demand.server
        record = await self._endings.end_launch(server_id, flight)
        self._restarter.forget(server_id)
        if record.state is not ServerState.STARTING:
            # Otherwise an operation broke before anything was started: there was nothing to stop.
            self._records.move(server_id, ServerState.STARTING, restarts=record.restarts + 1)
        started = await self._ensurer.start(demand, flight, replacing=False)
        assert isinstance(started, ServerRecord)  # noqa: S101 (nothing was to be replaced)
        return started
