"""The contract of port tables."""

import pytest

from supervisor.core.model import Bind
from supervisor.core.ports import obstacle
from supervisor.native.facts import SYSTEM
from tests.contract.platforms import PlatformHarness, on_loop
from tests.wine import PORT_OWNERS

LOOPBACK = "127.0.0.1"
PLATFORMS_THAT_NAME_OWNERS = ["fake", pytest.param("real", marks=PORT_OWNERS)]


def test_unused_port_is_free(harness: PlatformHarness) -> None:
    port = harness.listen(LOOPBACK)
    harness.hang_up()
    fact = harness.platform.ports.facts([port])[port]
    assert (fact.port, fact.bind, fact.listeners, fact.reason) == (port, Bind.FREE, (), None)


@pytest.mark.parametrize("harness", PLATFORMS_THAT_NAME_OWNERS, indirect=True)
def test_a_listener_on_loopback_takes_the_port(harness: PlatformHarness) -> None:
    port = harness.listen(LOOPBACK)
    fact = harness.platform.ports.facts([port])[port]
    assert fact.bind is Bind.TAKEN
    assert fact.reason
    (listener,) = fact.listeners
    assert (listener.address, listener.port) == (LOOPBACK, port)
    assert listener.occupant.identity == harness.me
    assert listener.occupant.pid == harness.me.pid


@pytest.mark.parametrize("harness", PLATFORMS_THAT_NAME_OWNERS, indirect=True)
@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_wildcard_listener_is_reported_whatever_a_bind_says(harness: PlatformHarness, address: str) -> None:
    # Linux refuses the bind. Windows and macOS allow 127.0.0.1 beside the wildcard, and it gets the connections.
    port = harness.listen(address)
    fact = harness.platform.ports.facts([port])[port]
    assert fact.bind is Bind.TAKEN or SYSTEM != "linux"
    assert [(one.address, one.port, one.occupant.identity) for one in fact.listeners] == [(address, port, harness.me)]
    assert obstacle(port, fact, {}) is not None


def test_listener_on_ipv6_loopback_is_seen_beside_a_free_bind(harness: PlatformHarness) -> None:
    port = harness.listen("::1")
    fact = harness.platform.ports.facts([port])[port]
    assert fact.bind is Bind.FREE
    assert [listener.address for listener in fact.listeners] == ["::1"]
    assert harness.platform.ports.match_listeners([port], [harness.me]) == {}


def test_every_listener_of_a_port_is_reported(harness: PlatformHarness) -> None:
    port = harness.listen(LOOPBACK)
    harness.listen("::1", port)
    fact = harness.platform.ports.facts([port])[port]
    assert {listener.address for listener in fact.listeners} == {LOOPBACK, "::1"}


def test_every_port_asked_for_is_answered(harness: PlatformHarness) -> None:
    taken = harness.listen(LOOPBACK)
    free = harness.listen(LOOPBACK)
    other = harness.listen(LOOPBACK)
    facts = harness.platform.ports.facts([taken, other])
    assert facts.keys() == {taken, other}
    assert free not in facts
    assert harness.platform.ports.facts([]) == {}


def test_time_wait_counts_as_free(harness: PlatformHarness) -> None:
    port = harness.listen(LOOPBACK)
    harness.connect(port)
    harness.hang_up()
    fact = harness.platform.ports.facts([port])[port]
    assert (fact.bind, fact.listeners) == (Bind.FREE, ())


@pytest.mark.parametrize("harness", PLATFORMS_THAT_NAME_OWNERS, indirect=True)
@on_loop
async def test_listener_is_found_among_the_given_processes(harness: PlatformHarness) -> None:
    child = harness.child()
    port = harness.listen(LOOPBACK)
    wildcard = harness.listen("0.0.0.0")
    assert harness.platform.ports.match_listeners([port, wildcard], [child]) == {}
    assert harness.platform.ports.match_listeners([port, wildcard], []) == {}
    assert harness.platform.ports.match_listeners([port, wildcard], [child, harness.me]) == {
        port: harness.me,
        wildcard: harness.me,
    }
    assert harness.platform.ports.match_listeners([port], [harness.me]) == {port: harness.me}
    harness.hang_up()
    assert harness.platform.ports.match_listeners([port], [harness.me]) == {}


def test_ports_with_any_listener_are_reported(harness: PlatformHarness) -> None:
    port, squatted, other = harness.listen(LOOPBACK), harness.listen("::1"), harness.listen(LOOPBACK)
    assert harness.platform.ports.in_use({port, squatted}) == {port, squatted}
    assert harness.platform.ports.in_use(range(port, port + 1)) == {port}
    assert other in harness.platform.ports.in_use({other})
    harness.hang_up()
    assert harness.platform.ports.in_use({port, squatted}) == frozenset()


@pytest.mark.parametrize("harness", PLATFORMS_THAT_NAME_OWNERS, indirect=True)
@on_loop
async def test_ports_of_a_process_are_those_that_serve_loopback(harness: PlatformHarness) -> None:
    child = harness.child()
    port, wildcard, squatted = harness.listen(LOOPBACK), harness.listen("0.0.0.0"), harness.listen("::1")
    held = harness.platform.ports.held_by(harness.me)
    assert {port, wildcard} <= held
    assert squatted not in held
    assert harness.platform.ports.held_by(child) == frozenset()


@pytest.mark.parametrize("harness", PLATFORMS_THAT_NAME_OWNERS, indirect=True)
@on_loop
async def test_addresses_of_a_process_are_all_its_listeners(harness: PlatformHarness) -> None:
    child = harness.child()
    port, squatted = harness.listen(LOOPBACK), harness.listen("::1")
    assert {(LOOPBACK, port), ("::1", squatted)} <= harness.platform.ports.addresses_of(harness.me)
    assert harness.platform.ports.addresses_of(child) == frozenset()


def test_connections_are_counted_at_our_end(harness: PlatformHarness) -> None:
    port = harness.listen(LOOPBACK)
    assert harness.platform.ports.count_connections(port) == 0
    harness.connect(port)
    harness.connect(port)
    assert harness.platform.ports.count_connections(port) == 2
    harness.hang_up()
    assert harness.platform.ports.count_connections(port) == 0
