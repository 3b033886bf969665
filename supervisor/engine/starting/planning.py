"""Makes a plan for a request, and turns a plan that refuses into the error for the caller."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from ...core.foreign import ConflictingServer, ForeignServer
from ...core.model import RELOCATED_KEPT, Bind, PassedOverPort, PortFact, Ports, ServerRecord
from ...core.ports import candidates
from ...core.reconcile import (
    Plan,
    Refusal,
    Refuse,
    Replace,
    Reuse,
    ServerSpec,
    Snapshot,
    StartAnother,
    plan_for_running,
    reconcile,
)
from ...errors import InvalidParams, PortsExhausted, StartFailed, SupervisorError
from ..identification.bridges import wait_for_server_of_bridge
from ..identification.snapshot import SnapshotReader
from ..logs.excerpt import log_tail
from ..state.context import EngineContext
from .resolve import ResolvedRequest


class Planner:
    """Takes facts from the snapshot reader, and the decision from `core.reconcile`."""

    def __init__(self, context: EngineContext, snapshot_reader: SnapshotReader) -> None:
        self._context = context
        self._snapshot_reader = snapshot_reader

    async def plan_for_running(
        self, resolved: ResolvedRequest, record: ServerRecord
    ) -> Reuse | Replace | Refuse | StartAnother:
        """Return the plan for the server that has the requested id and has been ready."""
        own = await self._snapshot_reader.read_own_server(
            record, resolved.kind, resolved.required, resolved.asker, fresh=resolved.fresh
        )
        return plan_for_running(self.spec(resolved, ()), own)

    async def without(
        self,
        resolved: ResolvedRequest,
        lost: Sequence[PassedOverPort],
        *,
        replacing: bool,
        vacated: Collection[int] = (),
    ) -> Plan:
        """Return the plan for a server that has no process: its ports, or the foreign server that takes its place.

        `lost`: ports that earlier attempts have lost. Without `replacing` a foreign server in the way stays there.
        `vacated`: ports that will be free when the plan is carried out.
        """
        sets = self.wanted(resolved)
        theirs = await wait_for_server_of_bridge(self._context, resolved.kind, sets[0]) if sets else frozenset()
        # Ports that a bridge's server has taken are not lost, because that server takes the place of the start.
        taken = {occupied.port for occupied in lost} - theirs
        wanted = [ports for ports in sets if taken.isdisjoint(ports.values())]
        spec = self.spec(resolved, wanted)
        snapshot = await self._snapshot_reader.read_ports(resolved.server, resolved.kind, wanted)
        if vacated:
            free = {port: PortFact(port, Bind.FREE) for port in vacated if port in snapshot.ports}
            snapshot = replace(snapshot, ports={**snapshot.ports, **free})
        plan = reconcile(spec, snapshot)
        while isinstance(plan, Replace) and not replacing:
            snapshot = _without(snapshot, plan.old)
            plan = reconcile(spec, snapshot)
        return plan

    def owners(self, resolved: ResolvedRequest, record: ServerRecord) -> tuple[str, ...]:
        """Return the owners, other than the asker, that keep a server from being replaced."""
        return self._snapshot_reader.owners_besides(record, resolved.kind, resolved.asker)

    def spec(self, resolved: ResolvedRequest, wanted: Sequence[Ports]) -> ServerSpec:
        """Return a request in the form that `core.reconcile` takes."""
        return ServerSpec(
            resolved.server, resolved.required, wanted, resolved.ports, resolved.asker, resolved.kind.topology
        )

    def wanted(self, resolved: ResolvedRequest) -> tuple[Ports, ...]:
        """Return the port sets that fit a request, best first."""
        ranges = {name: range(r.low, r.high + 1) for name, r in resolved.kind.ports.items()}
        if resolved.ports:
            return (resolved.ports,)
        first = resolved.first or self._context.records.sticky(resolved.kind.name, resolved.project)
        sets = candidates(ranges, first)
        # Ports that a user once chose lie outside the ranges. A restart keeps them nevertheless.
        return sets if resolved.first is None or resolved.first in sets else (resolved.first, *sets)

    def tell_conflict(
        self, resolved: ResolvedRequest, conflicting_servers: Sequence[ConflictingServer], ports: Ports
    ) -> None:
        """Warn that servers of other versions stay where they are, and name both sides."""
        for conflicting_server in dict.fromkeys((*resolved.conflicting_servers, *conflicting_servers)):
            self._context.events.warn(
                "server.version_conflict",
                server=resolved.server,
                version=resolved.version,
                ports=dict(ports),
                beside=conflicting_server.what,
                beside_version=conflicting_server.version,
                reason=conflicting_server.reason,
            )


def refusal(record: ServerRecord, plan: Refuse) -> SupervisorError:
    """Return the error for a plan that refuses."""
    match plan.refusal:
        case Refusal.PORTS_DIFFER:
            return InvalidParams("ports", plan.reason, hint=f"godot-supervisor down {record.id}, then ask again")
        case Refusal.UNHEALTHY:
            hint = f"godot-supervisor restart {record.id}, or ask again in half a minute"
            return StartFailed(plan.reason, hint=hint, data={"log_tail": list(log_tail(record.log))})
        case Refusal.EXHAUSTED:
            return exhausted(plan.reason, plan.occupied)


def exhausted(reason: str, occupied: Sequence[PassedOverPort]) -> PortsExhausted:
    """Return the error for ports that are all taken, with the table of occupants."""
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


def kept_from(occupied: Sequence[PassedOverPort]) -> dict[str, Any]:
    """Return the fields of a record for ports that were passed over: the first few, and the number of the others."""
    return {"relocated": tuple(occupied[:RELOCATED_KEPT]), "relocated_more": len(occupied[RELOCATED_KEPT:])}


def passed_over(occupied: Sequence[PassedOverPort]) -> dict[str, object]:
    """Return the fields of an event for ports that were passed over: the first few, and the number of the others."""
    rows = [
        {"port": row.port, "pid": row.occupant.pid if row.occupant else None, "reason": row.reason}
        for row in occupied[:RELOCATED_KEPT]
    ]
    more = len(occupied) - len(rows)
    return {"passed_over": rows, "passed_over_more": more} if more else {"passed_over": rows}


def _without(snapshot: Snapshot, old: ServerRecord | ForeignServer) -> Snapshot:
    foreign_servers = {port: found for port, found in snapshot.foreign_servers.items() if found is not old}
    return replace(snapshot, foreign_servers=foreign_servers)
