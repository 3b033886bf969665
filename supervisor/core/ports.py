"""Which ports a server gets. A port that we cannot tell about is not free."""

from collections.abc import Mapping

from .model import Bind, Occupied, PortFact, Ports


def candidates(ranges: Mapping[str, range], first: Ports | None = None) -> tuple[Ports, ...]:
    """The port sets of a kind in order of preference. The ranges move together; `first` (a sticky set) leads."""
    sets: list[Ports] = [dict(zip(ranges, numbers, strict=True)) for numbers in zip(*ranges.values(), strict=True)] or [
        {}
    ]
    if first is not None and dict(first) in sets:
        sets.remove(dict(first))
        sets.insert(0, dict(first))
    return tuple(sets)


def obstacles(ports: Ports, facts: Mapping[int, PortFact], reserved: Mapping[int, str]) -> list[Occupied]:
    """Everything that stands in the way of a set."""
    return [found for port in ports.values() if (found := obstacle(port, facts.get(port), reserved))]


def obstacle(port: int, fact: PortFact | None, reserved: Mapping[int, str]) -> Occupied | None:
    """What stands in the way of using a port; None: nothing."""
    if port in reserved:
        holder = fact.listeners[0].occupant if fact is not None and fact.listeners else None
        return Occupied(port, holder, f"reserved for {reserved[port]}")
    if fact is None:
        return Occupied(port, None, "the system does not tell whether it is free")
    if fact.listeners:
        listener = fact.listeners[0]
        who = "somebody" if listener.occupant.identity else "a process that the system does not tell about"
        return Occupied(port, listener.occupant, f"{who} listens on {listener.address}")
    if fact.bind is not Bind.FREE:
        return Occupied(port, None, fact.reason or f"a bind says: {fact.bind}")
    return None
