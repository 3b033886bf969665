"""Which server a wish means, before it is admitted: one that runs, one to be replaced, or a new one beside it."""

import asyncio
from dataclasses import replace

from ...core.foreign import Rival, compatible
from ...core.lifecycle import RUNNING, SERVING
from ...core.model import ServerRecord, ServerState
from ...core.pep440 import equal
from ...core.reconcile import Beside
from ...core.single_flight import Operation
from ...errors import VersionConflict
from ..ending.termination import Endings
from ..identification.snapshot import Gatherer
from ..operations.coordinator import Flights
from ..state.context import Facilities
from .planning import Planner
from .resolve import Demand, EnsureWish, base_id, free_id, of_kind, resolve
from .versions import Versions

PATIENCE_S = 1.0
"""How long a server may take to tell whether it is in use. One that takes longer is."""


class Placement:
    """Decides on ids. What it decides is judged again in the flight, where that can have changed."""

    def __init__(
        self, facilities: Facilities, planner: Planner, gatherer: Gatherer, endings: Endings, flights: Flights
    ) -> None:
        self.versions = Versions(facilities)
        self._facilities = facilities
        self._flights = flights
        self._planner = planner
        self._gatherer = gatherer
        self._endings = endings

    async def place(self, wish: EnsureWish) -> Demand:
        """The demand behind a wish, with the id of the server that is to meet it.

        Raises:
            KindUnknown, InvalidParams, VersionConflict: there is none.
        """
        demand = resolve(self._facilities, wish)
        if self._will_do(demand):
            return demand
        rivals: dict[str, Rival] = {}
        for record in of_kind(self._facilities, demand.kind, demand.project, demand.asker):
            if self._becomes(demand, record):
                return _for(demand, record)
            rival = await self._rival(_for(demand, record), record)
            if rival is None:
                # While it was asked, one that will do may have come.
                now = resolve(self._facilities, wish)
                return now if self._will_do(now) else _for(demand, record)
            rivals[record.id] = rival
        if not rivals:
            return demand
        now = resolve(self._facilities, wish)
        if now.server not in rivals or self._will_do(now):
            # While they were asked, one that will do has come, or become of one of them.
            return now
        server = free_id(self._facilities, base_id(demand.kind, demand.project))
        return replace(demand, server=server, fresh=True, rivals=tuple(rivals.values()))

    def after_waiting(self, demand: Demand, wish: EnsureWish) -> Demand:
        """The demand when its turn has come: meanwhile another server that will do may have been started.

        Raises:
            KindUnknown, InvalidParams, VersionConflict: there is none any more.
        """
        now = resolve(self._facilities, wish)
        kept = self._facilities.records.servers.get(now.server)
        if kept is None or kept.state is ServerState.STOPPING or kept.state not in RUNNING:
            return demand
        return now if self._will_do(now) else demand

    def refuse_a_second(self, demand: Demand, wish: EnsureWish) -> None:
        """Refuse to start what did not come up at once, if another one was started meanwhile that will do.

        Raises:
            VersionConflict: it is named.
        """
        record = self._facilities.records.servers.get(demand.server)
        if record is None or record.state not in (ServerState.FAILED, ServerState.BACKOFF):
            return
        now = self.after_waiting(demand, wish)
        if now.server != demand.server:
            raise VersionConflict(f"{now.server} was started meanwhile, and will do", hint="ask again")

    def _becomes(self, demand: Demand, record: ServerRecord) -> bool:
        """Whether it is being replaced by the very version that is asked for."""
        running = self._flights.running(record.id)
        if running is None or running.wish.operation is not Operation.ENSURE:
            return False
        return running.wish.version is not None and equal(demand.required, running.wish.version)

    def _will_do(self, demand: Demand) -> bool:
        """Whether there is one already, in a version that will do."""
        record = self._facilities.records.servers.get(demand.server)
        return record is not None and compatible(demand.required, record.version)

    async def _rival(self, demand: Demand, record: ServerRecord) -> Rival | None:
        """Why a server in another version stays as it is; None: it may make room."""
        if record.state in (ServerState.FAILED, ServerState.STOPPED):
            return None
        owners = self._gatherer.owners(record, demand.kind, demand.asker)
        if owners:
            return Rival(record.id, record.version, f"it belongs to {', '.join(owners)}")
        if record.state not in SERVING or self._endings.dead(record):
            return None
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = await self._planner.with_own(demand, record)
        except TimeoutError:
            return Rival(record.id, record.version, "it is too slow to tell whether it is in use")
        return found.rival if isinstance(found, Beside) else None


def _for(demand: Demand, record: ServerRecord) -> Demand:
    fresh = all(owner.process != demand.asker for owner in record.owners)
    return replace(demand, server=record.id, fresh=fresh)
