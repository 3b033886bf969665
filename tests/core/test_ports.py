import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model import Bind, Listener, Occupant, PortFact, ProcessIdentity
from supervisor.core.ports import Exhausted, PortPlan, candidates, choose_ports

RANGES = {"http": range(8000, 8003), "ws": range(9500, 9503)}
SETS = candidates(RANGES)
STRANGER = Occupant(ProcessIdentity(77, "boot:1"), ("python", "-m", "http.server"), "dev")


def free(*held: PortFact) -> dict[int, PortFact]:
    facts = {port: PortFact(port, Bind.FREE) for ports in SETS for port in ports.values()}
    return {**facts, **{fact.port: fact for fact in held}}


def listened(port: int, address: str = "127.0.0.1", bind: Bind = Bind.TAKEN) -> PortFact:
    return PortFact(port, bind, (Listener(address, port, STRANGER),))


def test_ranges_move_together() -> None:
    assert SETS == ({"http": 8000, "ws": 9500}, {"http": 8001, "ws": 9501}, {"http": 8002, "ws": 9502})


def test_a_sticky_set_leads_and_is_not_repeated() -> None:
    sets = candidates(RANGES, {"http": 8002, "ws": 9502})
    assert sets[0] == {"http": 8002, "ws": 9502}
    assert len(sets) == 3


def test_a_sticky_set_outside_the_ranges_is_forgotten() -> None:
    assert candidates(RANGES, {"http": 7000, "ws": 7001}) == SETS


def test_a_kind_without_ports_has_one_empty_set() -> None:
    assert candidates({}) == ({},)
    assert choose_ports(({},), {}, {}) == PortPlan({})


def test_the_best_set_is_taken_when_it_is_free() -> None:
    assert choose_ports(SETS, free(), {}) == PortPlan(SETS[0])


def test_a_set_with_one_held_port_is_passed_over_and_the_occupant_named() -> None:
    plan = choose_ports(SETS, free(listened(9500)), {})
    assert isinstance(plan, PortPlan)
    assert plan.ports == SETS[1]
    assert [(row.port, row.occupant) for row in plan.passed_over] == [(9500, STRANGER)]


@pytest.mark.parametrize("address", ["::1", "0.0.0.0", "::"])
def test_a_squatter_beside_a_free_loopback_is_an_obstacle(address: str) -> None:
    plan = choose_ports(SETS, free(listened(8000, address, Bind.FREE)), {})
    assert isinstance(plan, PortPlan)
    assert plan.ports == SETS[1]
    assert address in plan.passed_over[0].reason


def test_what_cannot_be_told_is_not_free() -> None:
    facts = free()
    del facts[8000]
    plan = choose_ports(SETS, facts, {})
    assert isinstance(plan, PortPlan)
    assert plan.ports == SETS[1]


def test_an_excluded_port_keeps_the_systems_reason() -> None:
    plan = choose_ports(SETS, free(PortFact(8000, Bind.EXCLUDED, reason="WinError 10013")), {})
    assert isinstance(plan, PortPlan)
    assert plan.passed_over[0].reason == "WinError 10013"


def test_ports_promised_to_another_server_are_not_given_away() -> None:
    plan = choose_ports(SETS, free(), {8000: "other", 9501: "other"})
    assert isinstance(plan, PortPlan)
    assert plan.ports == SETS[2]


def test_a_range_that_is_all_taken_is_refused_with_every_occupant() -> None:
    plan = choose_ports(SETS, free(*(listened(port) for port in RANGES["http"])), {})
    assert isinstance(plan, Exhausted)
    assert [row.port for row in plan.occupied] == [8000, 8001, 8002]


@given(
    held=st.sets(st.sampled_from([port for ports in SETS for port in ports.values()])),
    promised=st.sets(st.sampled_from([port for ports in SETS for port in ports.values()])),
)
def test_a_plan_never_holds_a_port_that_is_held_or_promised(held: set[int], promised: set[int]) -> None:
    plan = choose_ports(SETS, free(*(listened(port) for port in held)), dict.fromkeys(promised, "other"))
    if isinstance(plan, PortPlan):
        assert not (held | promised) & set(plan.ports.values())
    else:
        assert all((held | promised) & set(ports.values()) for ports in SETS)
