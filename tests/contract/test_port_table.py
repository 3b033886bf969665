"""What every port table promises."""

import pytest

from supervisor.core.model import Bind
from supervisor.core.ports import obstacle
from supervisor.native.facts import SYSTEM
from tests.contract.worlds import World, on_loop
from tests.wine import PORT_OWNERS

LOOPBACK = "127.0.0.1"
KNOWING_WORLDS = ["fake", pytest.param("real", marks=PORT_OWNERS)]


def test_a_port_that_nobody_has_is_free(world: World) -> None:
    port = world.listen(LOOPBACK)
    world.hang_up()
    fact = world.platform.ports.facts([port])[port]
    assert (fact.port, fact.bind, fact.listeners, fact.reason) == (port, Bind.FREE, (), None)


@pytest.mark.parametrize("world", KNOWING_WORLDS, indirect=True)
def test_a_listener_on_loopback_takes_the_port(world: World) -> None:
    port = world.listen(LOOPBACK)
    fact = world.platform.ports.facts([port])[port]
    assert fact.bind is Bind.TAKEN
    assert fact.reason
    (listener,) = fact.listeners
    assert (listener.address, listener.port) == (LOOPBACK, port)
    assert listener.occupant.identity == world.me
    assert listener.occupant.pid == world.me.pid


@pytest.mark.parametrize("world", KNOWING_WORLDS, indirect=True)
@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_a_listener_on_a_wildcard_is_in_the_way_whatever_a_bind_says(world: World, address: str) -> None:
    # Linux refuses the bind; Windows and macOS let 127.0.0.1 be bound beside it, and it gets what comes there.
    port = world.listen(address)
    fact = world.platform.ports.facts([port])[port]
    assert fact.bind is Bind.TAKEN or SYSTEM != "linux"
    assert [(one.address, one.port, one.occupant.identity) for one in fact.listeners] == [(address, port, world.me)]
    assert obstacle(port, fact, {}) is not None


def test_a_squatter_on_ipv6_loopback_is_seen_beside_a_bind_that_succeeds(world: World) -> None:
    port = world.listen("::1")
    fact = world.platform.ports.facts([port])[port]
    assert fact.bind is Bind.FREE
    assert [listener.address for listener in fact.listeners] == ["::1"]
    assert world.platform.ports.listeners([port], [world.me]) == {}


def test_every_listener_of_a_port_is_told(world: World) -> None:
    port = world.listen(LOOPBACK)
    world.listen("::1", port)
    fact = world.platform.ports.facts([port])[port]
    assert {listener.address for listener in fact.listeners} == {LOOPBACK, "::1"}


def test_every_port_asked_for_is_answered(world: World) -> None:
    taken = world.listen(LOOPBACK)
    free = world.listen(LOOPBACK)
    other = world.listen(LOOPBACK)
    facts = world.platform.ports.facts([taken, other])
    assert facts.keys() == {taken, other}
    assert free not in facts
    assert world.platform.ports.facts([]) == {}


def test_time_wait_counts_as_free(world: World) -> None:
    port = world.listen(LOOPBACK)
    world.connect(port)
    world.hang_up()
    fact = world.platform.ports.facts([port])[port]
    assert (fact.bind, fact.listeners) == (Bind.FREE, ())


@pytest.mark.parametrize("world", KNOWING_WORLDS, indirect=True)
@on_loop
async def test_a_listener_is_found_among_those_asked_about(world: World) -> None:
    child = world.child()
    port = world.listen(LOOPBACK)
    wildcard = world.listen("0.0.0.0")
    assert world.platform.ports.listeners([port, wildcard], [child]) == {}
    assert world.platform.ports.listeners([port, wildcard], []) == {}
    assert world.platform.ports.listeners([port, wildcard], [child, world.me]) == {port: world.me, wildcard: world.me}
    assert world.platform.ports.listeners([port], [world.me]) == {port: world.me}
    world.hang_up()
    assert world.platform.ports.listeners([port], [world.me]) == {}


def test_the_ports_that_anybody_listens_on_are_told(world: World) -> None:
    port, squatted, other = world.listen(LOOPBACK), world.listen("::1"), world.listen(LOOPBACK)
    assert world.platform.ports.listening({port, squatted}) == {port, squatted}
    assert world.platform.ports.listening(range(port, port + 1)) == {port}
    assert other in world.platform.ports.listening({other})
    world.hang_up()
    assert world.platform.ports.listening({port, squatted}) == frozenset()


@pytest.mark.parametrize("world", KNOWING_WORLDS, indirect=True)
@on_loop
async def test_the_ports_of_a_process_are_those_that_serve_loopback(world: World) -> None:
    child = world.child()
    port, wildcard, squatted = world.listen(LOOPBACK), world.listen("0.0.0.0"), world.listen("::1")
    held = world.platform.ports.held_by(world.me)
    assert {port, wildcard} <= held
    assert squatted not in held
    assert world.platform.ports.held_by(child) == frozenset()


@pytest.mark.parametrize("world", KNOWING_WORLDS, indirect=True)
@on_loop
async def test_addresses_of_a_process_are_all_that_it_listens_on(world: World) -> None:
    child = world.child()
    port, squatted = world.listen(LOOPBACK), world.listen("::1")
    assert {(LOOPBACK, port), ("::1", squatted)} <= world.platform.ports.addresses(world.me)
    assert world.platform.ports.addresses(child) == frozenset()


def test_connections_are_counted_at_our_end(world: World) -> None:
    port = world.listen(LOOPBACK)
    assert world.platform.ports.connections(port) == 0
    world.connect(port)
    world.connect(port)
    assert world.platform.ports.connections(port) == 2
    world.hang_up()
    assert world.platform.ports.connections(port) == 0
