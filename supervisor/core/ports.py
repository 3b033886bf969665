"""Chooses the ports of a server. A port whose state is unknown is not free. Pure."""

from collections.abc import Mapping

from .model import Bind, PassedOverPort, PortFact, Ports


def candidates(ranges: Mapping[str, range], first: Ports | None = None) -> tuple[Ports, ...]:
    """Return the port sets of a kind in order of preference. The ranges move together.

    `first`, a sticky set, leads if it is one of them. A kind without ports has one set, which is empty.
    """
    if not ranges:
        return ({},)
    sets: list[Ports] = [dict(zip(ranges, numbers, strict=True)) for numbers in zip(*ranges.values(), strict=True)]
    if first is not None and dict(first) in sets:
        sets.remove(dict(first))
        sets.insert(0, dict(first))
    return tuple(sets)


def obstacles(ports: Ports, facts: Mapping[int, PortFact], reserved: Mapping[int, str]) -> list[PassedOverPort]:
    """Return everything that prevents the use of a set of ports."""
    return [found for port in ports.values() if (found := obstacle(port, facts.get(port), reserved))]


def obstacle(port: int, fact: PortFact | None, reserved: Mapping[int, str]) -> PassedOverPort | None:
    """Return what prevents the use of a port, None if nothing does."""
    if port in reserved:
        occupant = fact.listeners[0].occupant if fact is not None and fact.listeners else None
        return PassedOverPort(port, occupant, f"reserved for {reserved[port]}")
    if fact is None:
        return PassedOverPort(port, None, "the system does not tell whether it is free")
    if fact.listeners:
        listener = fact.listeners[0]
        who = "another process" if listener.occupant.identity else "a process that the system does not identify"
        return PassedOverPort(port, listener.occupant, f"{who} listens on {listener.address}")
    if fact.bind is not Bind.FREE:
        return PassedOverPort(port, None, fact.reason or f"a trial bind says: {fact.bind}")
    return None
