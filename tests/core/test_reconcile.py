"""One test for each row of section 3 of docs/behaviour.md, and for what its words mean."""

from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.foreign import Silence, Use
from supervisor.core.model import Bind, PortFact, Topology
from supervisor.core.processes.owners import DeadOwner, LivingOwner, NoOwner, OwnerSeen, UnknownOwner
from supervisor.core.processes.proof import Held, Unrecognised
from supervisor.core.reconcile import (
    Adopt,
    Answer,
    Beside,
    Refusal,
    Refuse,
    Relocate,
    Replace,
    Reuse,
    Snapshot,
    Spawn,
    reconcile,
    with_own,
)
from tests.core.grounds import (
    ANY,
    ASKER,
    FREE,
    NEXT,
    OTHER,
    PORTS,
    RECORD,
    foreign_server,
    held,
    running,
    wants,
    with_strangers,
)

MUTE = Silence(seconds=31.0, probes=2)
SQUATTER = held(8000, address="::1", bind=Bind.FREE)
WILDCARD = held(8000, address="::")
ANOTHER_USERS = held(8000, pid=None)
EXCLUDED = PortFact(8000, Bind.EXCLUDED, reason="An attempt was made to access a socket in a way forbidden")
FAILED = PortFact(8000, Bind.FAILED, reason="cannot tell who listens")


# --- nothing holds it ---


def test_nothing_on_the_port_spawns_there() -> None:
    assert reconcile(ANY, Snapshot(FREE)) == Spawn(PORTS)


# --- ours ---


@pytest.mark.parametrize("version", [None, "4.3.0"])
def test_ours_that_answers_and_is_compatible_is_reused(version: str | None) -> None:
    assert with_own(wants(version), running()) == Reuse(RECORD)


@pytest.mark.parametrize("answer", [Answer.MUTE, Answer.WRONG])
@pytest.mark.parametrize(
    ("use", "silence"),
    [
        (Use(), Silence()),
        (Use(), Silence(29.0, 9)),
        (Use(), Silence(40.0, 1)),
        (Use(owners=("my-game-1",)), MUTE),
        (Use(leases=1), MUTE),
        (Use(sessions=1), MUTE),
        (Use(sessions=None), MUTE),
    ],
    ids=["just now", "not for long", "asked once", "an owner", "a lease", "a session", "sessions unknown"],
)
def test_ours_that_is_slow_is_never_taken_from_those_who_use_it(answer: Answer, use: Use, silence: Silence) -> None:
    plan = with_own(ANY, running(answer, use, silence=silence))
    assert isinstance(plan, Refuse)
    assert plan.refusal is Refusal.UNHEALTHY


def test_ours_that_is_mute_and_unused_is_replaced_after_half_a_minute_and_two_questions() -> None:
    plan = with_own(ANY, running(Answer.MUTE, silence=MUTE))
    assert isinstance(plan, Replace)
    assert (plan.old, plan.ports) == (RECORD, PORTS)
    assert "31 s" in plan.reason


def test_explicit_ports_other_than_those_in_use_are_refused() -> None:
    plan = with_own(replace(ANY, explicit_ports=NEXT), running())
    assert isinstance(plan, Refuse)
    assert plan.refusal is Refusal.PORTS_DIFFER


def test_ours_in_another_version_that_nobody_uses_is_replaced_on_its_ports() -> None:
    plan = with_own(wants("3.2.5"), running())
    assert isinstance(plan, Replace)
    assert (plan.old, plan.ports) == (RECORD, PORTS)
    assert "4.3.0" in plan.reason
    assert "3.2.5" in plan.reason


@pytest.mark.parametrize(
    "use",
    [Use(owners=("my-game-1",)), Use(leases=2), Use(leases=None), Use(sessions=1), Use(sessions=None)],
    ids=["an owner", "leases", "leases unknown", "a session", "sessions unknown"],
)
def test_ours_in_another_version_that_is_in_use_stays_and_the_other_starts_beside_it(use: Use) -> None:
    plan = with_own(wants("3.2.5"), running(use=use))
    assert isinstance(plan, Beside)
    assert (plan.rival_server.what, plan.rival_server.version, plan.rival_server.reason) == (
        "godot-ai",
        "4.3.0",
        use.reason,
    )


def test_one_in_another_version_that_may_not_be_stopped_stays() -> None:
    plan = with_own(wants("3.2.5"), running(right=Held("it may have owners that are not known")))
    assert isinstance(plan, Beside)
    assert plan.rival_server.reason == "it may have owners that are not known"


def test_a_server_of_another_home_is_never_reused() -> None:
    assert isinstance(with_own(ANY, running(record=replace(RECORD, other_home="ab12"))), Beside)


# --- a stranger ---


@pytest.mark.parametrize("version", [None, "4.3.0"])
@pytest.mark.parametrize("owner", [DeadOwner(33), LivingOwner(OTHER), NoOwner(), UnknownOwner("sandbox")], ids=str)
def test_a_stranger_that_is_recognised_and_compatible_is_adopted(version: str | None, owner: OwnerSeen) -> None:
    found = foreign_server(owner=owner)
    plan = reconcile(wants(version), with_strangers(found))
    assert isinstance(plan, Adopt)
    assert plan.foreign_server is found


def test_a_stranger_in_another_version_whose_owner_is_dead_is_replaced() -> None:
    found = foreign_server(version="3.2.5")
    plan = reconcile(wants("4.3.0"), with_strangers(found))
    assert isinstance(plan, Replace)
    assert (plan.old, plan.ports) == (found, PORTS)
    assert "pid 33, is dead" in plan.proof


@pytest.mark.parametrize(
    "more",
    [
        {"owner": LivingOwner(OTHER)},
        {"owner": LivingOwner(ASKER)},
        {"owner": NoOwner()},
        {"owner": UnknownOwner("its owner 7 may be a pid of another namespace")},
        {"sessions": 1},
        {"sessions": None},
        {"leases": 1},
        {"leases": None},
        {"stray": True},
    ],
    ids=str,
)
def test_a_stranger_in_another_version_that_is_in_use_or_may_not_be_stopped_stays(more: dict[str, Any]) -> None:
    found = foreign_server(version="3.2.5", **more)
    plan = reconcile(wants("4.3.0", asker=ASKER), with_strangers(found))
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT
    (rival_server,) = plan.rival_servers
    assert rival_server.version == "3.2.5"
    assert rival_server.reason
    assert {row.port for row in plan.occupied} == set(PORTS.values())


@pytest.mark.parametrize("version", [None, "4.3.0", "3.2.5"])
@pytest.mark.parametrize(
    "more", [{"recognition": Unrecognised("it listens but does not answer")}, {"other_home": "ab12"}], ids=str
)
def test_a_stranger_that_is_not_recognised_or_anothers_is_passed_over_as_anything_else(
    version: str | None, more: dict[str, Any]
) -> None:
    plan = reconcile(wants(version), with_strangers(foreign_server(**more)))
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT
    assert plan.rival_servers == ()
    assert plan.occupied[0].occupant is not None
    assert plan.occupied[0].occupant.pid == 9


def test_for_a_project_of_its_own_only_the_askers_very_server_will_do() -> None:
    wish = wants(None, topology=Topology.PER_EDITOR, asker=ASKER)
    assert isinstance(reconcile(wish, with_strangers(foreign_server(owner=LivingOwner(OTHER)))), Relocate)
    assert isinstance(reconcile(wish, with_strangers(foreign_server(owner=DeadOwner(3)))), Relocate)
    assert isinstance(reconcile(wish, with_strangers(foreign_server(owner=LivingOwner(ASKER)))), Adopt)


def test_a_stranger_on_ports_that_were_promised_meanwhile_is_left_alone() -> None:
    snapshot = replace(with_strangers(foreign_server()), reserved={8000: "godot-ai-2"})
    plan = reconcile(ANY, snapshot)
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT


def test_a_stranger_on_other_ports_than_those_asked_for_is_not_taken_for_an_answer() -> None:
    found = foreign_server(ports={"http": 8000, "ws": 9501})
    wish = replace(ANY, wanted=(PORTS,), explicit_ports=PORTS)
    plan = reconcile(wish, with_strangers(found))
    assert isinstance(plan, Refuse)
    assert plan.refusal is Refusal.EXHAUSTED


# --- anything else ---


@pytest.mark.parametrize(
    "fact",
    [held(8000), WILDCARD, SQUATTER, ANOTHER_USERS, EXCLUDED, FAILED],
    ids=["a process", "a wildcard", "a squatter on ::1", "another user's", "excluded", "cannot tell"],
)
def test_anything_else_on_the_port_relocates_and_says_why(fact: PortFact) -> None:
    plan = reconcile(ANY, Snapshot({**FREE, 8000: fact}))
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT
    (occupied,) = plan.occupied
    assert occupied.reason
    assert occupied.occupant == (fact.listeners[0].occupant if fact.listeners else None)


def test_a_port_that_nothing_is_known_of_is_not_free() -> None:
    facts = {port: fact for port, fact in FREE.items() if port != 9500}
    plan = reconcile(ANY, Snapshot(facts))
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT


def test_another_users_socket_is_told_as_such() -> None:
    plan = reconcile(ANY, Snapshot({**FREE, 8000: ANOTHER_USERS}))
    assert isinstance(plan, Relocate)
    assert "does not tell" in plan.occupied[0].reason
    assert plan.occupied[0].occupant is not None
    assert (plan.occupied[0].occupant.pid, plan.occupied[0].occupant.user) == (None, "dev")


def test_ports_promised_to_another_server_are_never_handed_out_again() -> None:
    plan = reconcile(ANY, Snapshot(FREE, {8000: "toy"}))
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT
    assert plan.occupied[0].reason == "reserved for toy"


def test_a_range_that_is_all_taken_is_refused_with_the_occupants() -> None:
    plan = reconcile(ANY, Snapshot({**FREE, 8000: held(8000), 9501: held(9501)}))
    assert isinstance(plan, Refuse)
    assert plan.refusal is Refusal.EXHAUSTED
    assert [row.port for row in plan.occupied] == [8000, 9501]


def test_ports_of_our_own_servers_are_no_relocation() -> None:
    reserved = {8000: "toy", 9500: "toy"}
    assert reconcile(ANY, Snapshot(FREE, reserved, own=frozenset(reserved))) == Spawn(NEXT)


def test_where_no_set_is_left_our_own_ports_are_in_the_table() -> None:
    reserved = {8000: "toy", 9500: "toy"}
    plan = reconcile(ANY, Snapshot({**FREE, 8001: held(8001)}, reserved, own=frozenset(reserved)))
    assert isinstance(plan, Refuse)
    assert [row.port for row in plan.occupied] == [8000, 9500, 8001]
