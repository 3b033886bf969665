import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model import Bind, ListeningSocket, Occupant, PortFact, ProcessIdentity
from supervisor.core.ports import candidates, obstacles

RANGES = {"http": range(8000, 8003), "ws": range(9500, 9503)}
SETS = candidates(RANGES)
OTHER_PROCESS = Occupant(ProcessIdentity(77, "boot:1"), ("python", "-m", "http.server"), "dev")


def free(*held: PortFact) -> dict[int, PortFact]:
    facts = {port: PortFact(port, Bind.FREE) for ports in SETS for port in ports.values()}
    return {**facts, **{fact.port: fact for fact in held}}


def listened(port: int, address: str = "127.0.0.1", bind: Bind = Bind.TAKEN) -> PortFact:
    return PortFact(port, bind, (ListeningSocket(address, port, OTHER_PROCESS),))


def test_ranges_move_together() -> None:
    assert SETS == ({"http": 8000, "ws": 9500}, {"http": 8001, "ws": 9501}, {"http": 8002, "ws": 9502})


def test_sticky_set_comes_first_and_is_not_repeated() -> None:
    sets = candidates(RANGES, {"http": 8002, "ws": 9502})
    assert sets[0] == {"http": 8002, "ws": 9502}
    assert len(sets) == 3


def test_sticky_set_outside_the_ranges_is_ignored() -> None:
    assert candidates(RANGES, {"http": 7000, "ws": 7001}) == SETS


def test_kind_without_ports_has_one_empty_free_set() -> None:
    assert candidates({}) == ({},)
    assert obstacles({}, {}, {}) == []


def test_free_set_has_no_obstacles() -> None:
    assert obstacles(SETS[0], free(), {}) == []


def test_held_port_is_an_obstacle_with_its_occupant() -> None:
    found = obstacles(SETS[0], free(listened(9500)), {})
    assert [(each.port, each.occupant) for each in found] == [(9500, OTHER_PROCESS)]
    assert obstacles(SETS[1], free(listened(9500)), {}) == []


@pytest.mark.parametrize("address", ["::1", "0.0.0.0", "::"])
def test_listener_on_another_address_is_an_obstacle(address: str) -> None:
    (found,) = obstacles(SETS[0], free(listened(8000, address, Bind.FREE)), {})
    assert address in found.reason


def test_port_with_unknown_state_is_not_free() -> None:
    facts = free()
    del facts[8000]
    assert [each.port for each in obstacles(SETS[0], facts, {})] == [8000]


def test_excluded_port_keeps_the_systems_reason() -> None:
    (found,) = obstacles(SETS[0], free(PortFact(8000, Bind.EXCLUDED, reason="WinError 10013")), {})
    assert found.reason == "WinError 10013"


@given(
    held=st.sets(st.sampled_from([port for ports in SETS for port in ports.values()])),
    promised=st.sets(st.sampled_from([port for ports in SETS for port in ports.values()])),
)
def test_exactly_held_and_promised_ports_are_obstacles(held: set[int], promised: set[int]) -> None:
    facts = free(*(listened(port) for port in held))
    for ports in SETS:
        found = {each.port for each in obstacles(ports, facts, dict.fromkeys(promised, "other"))}
        assert found == (held | promised) & set(ports.values())
