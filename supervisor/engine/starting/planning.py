"""From a demand to a plan, and from a plan that refuses to what the caller is told."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from ...core.foreign import Rival, Stranger
from ...core.model import RELOCATED_KEPT, Bind, Occupied, PortFact, Ports, ServerRecord
from ...core.ports import candidates
from ...core.reconcile import Beside, Plan, Refusal, Refuse, Replace, Reuse, ServerSpec, Snapshot, reconcile, with_own
from ...errors import InvalidParams, PortsExhausted, StartFailed, SupervisorError
from ..identification.bridges import come_up
from ..identification.snapshot import Gatherer
from ..processes.spawn import log_tail
from ..state.context import Facilities
from .resolve import Demand


class Planner:
    """Asks the gatherer for facts and `core.reconcile` for the decision."""

    def __init__(self, facilities: Facilities, gatherer: Gatherer) -> None:
        self._facilities = facilities
        self._gatherer = gatherer

    async def with_own(self, demand: Demand, record: ServerRecord) -> Reuse | Replace | Refuse | Beside:
        """What becomes of the server that has the wanted id, and has been ready."""
        own = await self._gatherer.own(record, demand.kind, demand.required, demand.asker, fresh=demand.fresh)
        return with_own(self.spec(demand, ()), own)

    async def without(
        self, demand: Demand, lost: Sequence[Occupied], *, replacing: bool, vacated: Collection[int] = ()
    ) -> Plan:
        """Where a server gets its ports, or which stranger takes its place. `lost` are ports that were lost already.

        Not `replacing`: a stranger in the way stays there whatever it is. `vacated`: ports that will be free by then.
        """
        sets = self.wanted(demand)
        theirs = await come_up(self._facilities, demand.kind, sets[0]) if sets else frozenset()
        # Ports that a bridge's server has won are no loss: it takes the place of what was to be started.
        taken = {occupied.port for occupied in lost} - theirs
        wanted = [ports for ports in sets if taken.isdisjoint(ports.values())]
        spec = self.spec(demand, wanted)
        snapshot = await self._gatherer.ports(demand.server, demand.kind, wanted)
        if vacated:
            free = {port: PortFact(port, Bind.FREE) for port in vacated if port in snapshot.ports}
            snapshot = replace(snapshot, ports={**snapshot.ports, **free})
        plan = reconcile(spec, snapshot)
        while isinstance(plan, Replace) and not replacing:
            snapshot = _without(snapshot, plan.old)
            plan = reconcile(spec, snapshot)
        return plan

    def owners(self, demand: Demand, record: ServerRecord) -> tuple[str, ...]:
        """The owners, other than whoever demands, that keep a server from being replaced."""
        return self._gatherer.owners(record, demand.kind, demand.asker)

    def spec(self, demand: Demand, wanted: Sequence[Ports]) -> ServerSpec:
        """A demand as `core.reconcile` sees it."""
        return ServerSpec(demand.server, demand.required, wanted, demand.ports, demand.asker, demand.kind.topology)

    def wanted(self, demand: Demand) -> tuple[Ports, ...]:
        """The port sets that will do, best first."""
        ranges = {name: range(r.low, r.high + 1) for name, r in demand.kind.ports.items()}
        if demand.ports:
            return (demand.ports,)
        first = demand.first or self._facilities.records.sticky(demand.kind.name, demand.project)
        sets = candidates(ranges, first)
        # Ports that a user once chose lie outside the ranges; a restart keeps them all the same.
        return sets if demand.first is None or demand.first in sets else (demand.first, *sets)

    def tell_conflict(self, demand: Demand, rivals: Sequence[Rival], ports: Ports) -> None:
        """Another version of it stays where it is: both are named."""
        for rival in dict.fromkeys((*demand.rivals, *rivals)):
            self._facilities.events.warn(
                "server.version_conflict",
                server=demand.server,
                version=demand.version,
                ports=dict(ports),
                beside=rival.what,
                beside_version=rival.version,
                reason=rival.reason,
            )


def refusal(record: ServerRecord, plan: Refuse) -> SupervisorError:
    """What the caller is told."""
    match plan.refusal:
        case Refusal.PORTS_DIFFER:
            return InvalidParams("ports", plan.reason, hint=f"godot-supervisor down {record.id}, then ask again")
        case Refusal.UNHEALTHY:
            hint = f"godot-supervisor restart {record.id}, or ask again in half a minute"
            return StartFailed(plan.reason, hint=hint, data={"log_tail": list(log_tail(record.log))})
        case Refusal.EXHAUSTED:
            return exhausted(plan.reason, plan.occupied)


def exhausted(reason: str, occupied: Sequence[Occupied]) -> PortsExhausted:
    """Every set is taken: the table of occupants."""
    rows = [
        {
            "port": row.port,
            "reason": row.reason,
            "pid": row.occupant.pid if row.occupant else None,
            "command": " ".join(row.occupant.brief) if row.occupant else None,
            "user": row.occupant.user if row.occupant else None,
        }
        for row in occupied
    ]
    return PortsExhausted(reason, hint="godot-supervisor ports tells who holds them", data={"occupants": rows})


def kept_from(occupied: Sequence[Occupied]) -> dict[str, Any]:
    """Ports that were passed over, as fields of a record: the first few, and the number of the others."""
    return {"relocated": tuple(occupied[:RELOCATED_KEPT]), "relocated_more": len(occupied[RELOCATED_KEPT:])}


def passed_over(occupied: Sequence[Occupied]) -> dict[str, object]:
    """Ports that were passed over, as fields of an event: the first few, and the number of the others."""
    rows = [
        {"port": row.port, "pid": row.occupant.pid if row.occupant else None, "reason": row.reason}
        for row in occupied[:RELOCATED_KEPT]
    ]
    more = len(occupied) - len(rows)
    return {"passed_over": rows, "passed_over_more": more} if more else {"passed_over": rows}


def _without(snapshot: Snapshot, old: ServerRecord | Stranger) -> Snapshot:
    strangers = {port: found for port, found in snapshot.strangers.items() if found is not old}
    return replace(snapshot, strangers=strangers)
