"""Makes the plan for a request from a snapshot, and turns a plan that refuses into the error for the caller."""

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
from ...kinds.kind import Kind
from ..identification.bridges import wait_for_server_of_bridge
from ..identification.snapshot import SnapshotReader
from ..logs.excerpt import read_log_tail
from ..state.context import EngineContext
from .resolve import ResolvedRequest


class Planner:
    """Takes the facts from the snapshot reader, and the decision from `core.reconcile`."""

    def __init__(self, context: EngineContext, snapshot_reader: SnapshotReader) -> None:
        self._context = context
        self._snapshot_reader = snapshot_reader

    async def plan_for_running(
        self, resolved: ResolvedRequest, record: ServerRecord
    ) -> Reuse | Replace | Refuse | StartAnother:
        """Return the plan for the server that has the requested id and has been ready."""
        own = await self._snapshot_reader.read_own_server(
            record, resolved.kind, resolved.required, resolved.intended_owner, newly_owned=resolved.newly_owned
        )
        return plan_for_running(self.spec(resolved, ()), own)

    async def plan_start(
        self,
        resolved: ResolvedRequest,
        lost: Sequence[PassedOverPort],
        *,
        replacing: bool,
        vacated: Collection[int] = (),
    ) -> Plan:
        """Return the plan for a server that has no process: its ports, or the foreign server that takes its place.

        `lost`: ports that earlier attempts have lost. Unless `replacing`, a foreign server in the way stays there.
        `vacated`: ports that will be free when the plan is carried out.
        """
        sets = self._port_sets(resolved)
        of_bridges = await wait_for_server_of_bridge(self._context, resolved.kind, sets[0]) if sets else frozenset()
        # Ports that a bridge's server has taken are not lost, because that server takes the place of the start.
        taken = {occupied.port for occupied in lost} - of_bridges
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

    def other_owners(self, resolved: ResolvedRequest, record: ServerRecord) -> tuple[str, ...]:
        """Return the ids of the owners, other than the intended owner, that keep a server from being replaced."""
        return self._snapshot_reader.other_owners(record, resolved.kind, resolved.intended_owner)

    def spec(self, resolved: ResolvedRequest, wanted: Sequence[Ports]) -> ServerSpec:
        """Return a request in the form that `core.reconcile` takes."""
        return ServerSpec(
            resolved.server,
            resolved.required,
            wanted,
            resolved.explicit_ports,
            resolved.intended_owner,
            resolved.kind.topology,
        )

    def _port_sets(self, resolved: ResolvedRequest) -> tuple[Ports, ...]:
        """Return the port sets that fit a request, best first."""
        if resolved.explicit_ports:
            return (resolved.explicit_ports,)
        preferred = resolved.preferred_ports
        sets = port_sets(
            resolved.kind, preferred or self._context.records.sticky_ports(resolved.kind.name, resolved.project)
        )
        # Ports that a user once chose may lie outside the ranges. A restart keeps them nevertheless.
        return sets if preferred is None or preferred in sets else (preferred, *sets)

    def warn_of_conflict(
        self, resolved: ResolvedRequest, conflicting_servers: Sequence[ConflictingServer], ports: Ports
    ) -> None:
        """Publish for each conflicting server that it stays where it is, and which server starts beside it."""
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


def port_sets(kind: Kind, preferred: Ports | None = None) -> tuple[Ports, ...]:
    """Return the port sets of a kind, best first: `preferred`, if it lies within the ranges, then the lower ports."""
    return candidates({name: each.numbers for name, each in kind.ports.items()}, preferred)


def refusal_error(record: ServerRecord, plan: Refuse) -> SupervisorError:
    """Return the error for a plan that refuses."""
    match plan.refusal:
        case Refusal.PORTS_DIFFER:
            return InvalidParams("ports", plan.reason, hint=f"godot-supervisor down {record.id}, then ask again")
        case Refusal.UNHEALTHY:
            hint = f"godot-supervisor restart {record.id}, or ask again in half a minute"
            return StartFailed(plan.reason, hint=hint, data={"log_tail": list(read_log_tail(record.log))})
        case Refusal.EXHAUSTED:
            return ports_exhausted(plan.reason, plan.occupied)


def ports_exhausted(reason: str, occupied: Sequence[PassedOverPort]) -> PortsExhausted:
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


def passed_over_record_fields(occupied: Sequence[PassedOverPort]) -> dict[str, Any]:
    """Return the fields of a record for ports that were passed over: the first few, and the number of the others."""
    return {"relocated": tuple(occupied[:RELOCATED_KEPT]), "relocated_more": len(occupied[RELOCATED_KEPT:])}


def passed_over_event_fields(occupied: Sequence[PassedOverPort]) -> dict[str, object]:
    """Return the fields of an event for ports that were passed over: the first few, and the number of the others."""
    rows = [
        {"port": row.port, "pid": row.occupant.pid if row.occupant else None, "reason": row.reason}
        for row in occupied[:RELOCATED_KEPT]
    ]
    more = len(occupied) - len(rows)
    return {"passed_over": rows, "passed_over_more": more} if more else {"passed_over": rows}


def _without(snapshot: Snapshot, old: ServerRecord | ForeignServer) -> Snapshot:
    """Return the snapshot without a foreign server, so that its ports count as occupied only."""
    foreign_servers = {port: found for port, found in snapshot.foreign_servers.items() if found is not old}
    return replace(snapshot, foreign_servers=foreign_servers)
