"""Who holds which port, and what that means for a server: what `core.reconcile` says. Looks, changes nothing."""

from collections.abc import Mapping, Sequence
from functools import partial

from ..core.model import Occupant, Occupied, PortFact, Ports
from ..core.ports import candidates, obstacle
from ..core.reconcile import Adopt, Replace, ServerSpec, Snapshot, reconcile, with_stranger
from ..core.strangers import Rival
from ..errors import InvalidParams
from ..frozen import frozen
from ..kinds.kind import Kind
from .facilities import Facilities
from .recognise import Recogniser
from .shared import Shared


@frozen
class Explained:
    """One port. `decision` is what an `ensure` would do about it: use, reuse, adopt, replace or relocate."""

    port: int
    occupant: Occupant | None
    decision: str
    reason: str


class Explainer:
    """Answers `ports.explain`."""

    def __init__(self, facilities: Facilities, recogniser: Recogniser) -> None:
        self._facilities = facilities
        self._records = facilities.records
        self._recogniser = recogniser
        self._shared: Shared[list[Explained]] = Shared()

    async def explain(self, kind: str | None, ports: Sequence[int]) -> list[Explained]:
        """Explain the ports of a kind, or these; once for all who ask the same.

        Raises:
            KindUnknown, InvalidParams: there is nothing to explain.
        """
        return await self._shared.ask((kind, tuple(ports)), partial(self._look, kind, ports))

    async def _look(self, kind: str | None, ports: Sequence[int]) -> list[Explained]:
        if kind is not None:
            recipe = self._facilities.catalog.get(kind)
            rows = await self._sets(recipe, _sets_of(recipe))
            return [rows[port] for reach in recipe.ports.values() for port in range(reach.low, reach.high + 1)]
        if not ports:
            raise InvalidParams("kind", "name a kind, or ports", hint="godot-supervisor ports godot-ai")
        rows = {}
        for recipe in self._facilities.catalog.kinds.values():
            sets = [wanted for wanted in _sets_of(recipe) if not set(ports).isdisjoint(wanted.values())]
            rows |= await self._sets(recipe, sets) if sets else {}
        rest = [port for port in ports if port not in rows]
        facts = await self._facilities.wing.lanes.look(self._facilities.wing.ports.facts, rest) if rest else {}
        rows |= {port: self._alone(facts[port]) for port in rest}
        return [rows[port] for port in ports]

    async def _sets(self, kind: Kind, sets: Sequence[Ports]) -> dict[int, Explained]:
        numbers = {port for ports in sets for port in ports.values()}
        facts = await self._facilities.wing.lanes.look(self._facilities.wing.ports.facts, numbers) if numbers else {}
        strangers = await self._recogniser.among(kind, facts)
        snapshot = Snapshot(facts, self._records.reserved(""), strangers)
        return {port: self._explain(kind, ports, port, snapshot) for ports in sets for port in ports.values()}

    def _explain(self, kind: Kind, ports: Ports, port: int, snapshot: Snapshot) -> Explained:
        fact = snapshot.ports[port]
        occupant = fact.listeners[0].occupant if fact.listeners else None
        if port in snapshot.reserved:
            return self._known(port, occupant, snapshot.reserved[port])
        spec = ServerSpec(kind.name, None, (ports,), topology=kind.topology)
        plan = reconcile(spec, snapshot)
        stranger = snapshot.strangers.get(port)
        if isinstance(plan, Adopt | Replace) and stranger is not None:
            return Explained(port, occupant, type(plan).__name__.lower(), plan.reason)
        found = obstacle(port, fact, snapshot.reserved)
        if found is None:
            return self._free(port, ports, snapshot)
        why = with_stranger(spec, stranger, snapshot.reserved) if stranger is not None else None
        reason = why.reason if isinstance(why, Rival) else why if isinstance(why, str) else None
        return Explained(port, found.occupant, "relocate", f"{found.reason}: {reason}" if reason else found.reason)

    def _free(self, port: int, ports: Ports, snapshot: Snapshot) -> Explained:
        """Ranges move together: a free port is of no use where its partner is held."""
        held = [other for other in ports.values() if obstacle(other, snapshot.ports.get(other), snapshot.reserved)]
        if held:
            return Explained(port, None, "relocate", f"it is free, but {held[0]} goes with it and is held")
        return Explained(port, None, "use", "it is free")

    def _known(self, port: int, occupant: Occupant | None, server: str) -> Explained:
        record = self._records.servers[server]
        if record.other_home is not None:
            return Explained(port, occupant, "relocate", "it belongs to another godot-supervisor home")
        how = f", which somebody else started ({record.origin})" if record.foreign else ""
        return Explained(port, occupant, "reuse", f"it is the port of {server}{how}")

    def _alone(self, fact: PortFact) -> Explained:
        """A port that no kind wants."""
        reserved: Mapping[int, str] = self._records.reserved("")
        if fact.port in reserved:
            return self._known(fact.port, fact.listeners[0].occupant if fact.listeners else None, reserved[fact.port])
        found: Occupied | None = obstacle(fact.port, fact, {})
        if found is None:
            return Explained(fact.port, None, "use", "it is free")
        return Explained(fact.port, found.occupant, "relocate", found.reason)


def _sets_of(kind: Kind) -> tuple[Ports, ...]:
    return candidates({name: range(r.low, r.high + 1) for name, r in kind.ports.items()})
