"""Tests each row of section 3 of docs/behaviour.md, and the meaning of its terms."""

from dataclasses import replace
from typing import Any

import pytest

from supervisor.core.foreign import Outage, Use
from supervisor.core.model import Bind, PortFact, Topology
from supervisor.core.processes.owners import DeadOwner, ForeignOwner, LivingOwner, NoOwner, UnknownOwner
from supervisor.core.processes.proof import Held, Unrecognised
from supervisor.core.reconcile import (
    Adopt,
    Answer,
    Refusal,
    Refuse,
    Relocate,
    Replace,
    Reuse,
    Snapshot,
    Spawn,
    StartAnother,
    plan_for_running,
    reconcile,
)
from tests.core.examples import (
    ANY,
    FREE,
    INTENDED_OWNER,
    NEXT,
    OTHER,
    PORTS,
    RECORD,
    foreign_server,
    held,
    running,
    wants,
    with_foreign_servers,
)

LONG_OUTAGE = Outage(seconds=31.0, probes=2)
SQUATTER = held(8000, address="::1", bind=Bind.FREE)
WILDCARD = held(8000, address="::")
ANOTHER_USERS = held(8000, pid=None)
EXCLUDED = PortFact(8000, Bind.EXCLUDED, reason="An attempt was made to access a socket in a way forbidden")
FAILED = PortFact(8000, Bind.FAILED, reason="cannot tell who listens")


# --- free ports ---


def test_free_ports_lead_to_a_spawn() -> None:
    assert reconcile(ANY, Snapshot(FREE)) == Spawn(PORTS)


# --- the daemon's own server ---


@pytest.mark.parametrize("version", [None, "4.3.0"])
def test_compatible_server_that_answers_is_reused(version: str | None) -> None:
    assert plan_for_running(wants(version), running()) == Reuse(RECORD)


@pytest.mark.parametrize("answer", [Answer.NO_ANSWER, Answer.WRONG])
@pytest.mark.parametrize(
    ("use", "outage"),
    [
        (Use(), Outage()),
        (Use(), Outage(29.0, 9)),
        (Use(), Outage(40.0, 1)),
        (Use(held_by=("my-game-1",)), LONG_OUTAGE),
        (Use(leases=1), LONG_OUTAGE),
        (Use(sessions=1), LONG_OUTAGE),
        (Use(sessions=None), LONG_OUTAGE),
    ],
    ids=["just now", "not for long", "asked once", "an owner", "a lease", "a session", "sessions unknown"],
)
def test_slow_server_is_never_replaced_while_in_use(answer: Answer, use: Use, outage: Outage) -> None:
    plan = plan_for_running(ANY, running(answer, use, outage=outage))
    assert isinstance(plan, Refuse)
    assert plan.refusal is Refusal.UNHEALTHY


def test_unresponsive_unused_server_is_replaced() -> None:
    plan = plan_for_running(ANY, running(Answer.NO_ANSWER, outage=LONG_OUTAGE))
    assert isinstance(plan, Replace)
    assert (plan.old, plan.ports) == (RECORD, PORTS)
    assert "31 s" in plan.reason


def test_explicit_ports_that_differ_are_refused() -> None:
    plan = plan_for_running(replace(ANY, explicit_ports=NEXT), running())
    assert isinstance(plan, Refuse)
    assert plan.refusal is Refusal.PORTS_DIFFER


def test_unused_server_of_another_version_is_replaced() -> None:
    plan = plan_for_running(wants("3.2.5"), running())
    assert isinstance(plan, Replace)
    assert (plan.old, plan.ports) == (RECORD, PORTS)
    assert "4.3.0" in plan.reason
    assert "3.2.5" in plan.reason


@pytest.mark.parametrize(
    "use",
    [Use(held_by=("my-game-1",)), Use(leases=2), Use(leases=None), Use(sessions=1), Use(sessions=None)],
    ids=["an owner", "leases", "leases unknown", "a session", "sessions unknown"],
)
def test_used_server_of_another_version_stays_beside_the_new_one(use: Use) -> None:
    plan = plan_for_running(wants("3.2.5"), running(use=use))
    assert isinstance(plan, StartAnother)
    assert (plan.conflicting_server.what, plan.conflicting_server.version, plan.conflicting_server.reason) == (
        "godot-ai",
        "4.3.0",
        use.reason,
    )


def test_server_of_another_version_without_proof_stays() -> None:
    plan = plan_for_running(wants("3.2.5"), running(proof=Held("it may have unknown owners")))
    assert isinstance(plan, StartAnother)
    assert plan.conflicting_server.reason == "it may have unknown owners"


def test_server_of_another_home_is_never_reused() -> None:
    assert isinstance(plan_for_running(ANY, running(record=replace(RECORD, other_home="ab12"))), StartAnother)


# --- a foreign server ---


@pytest.mark.parametrize("version", [None, "4.3.0"])
@pytest.mark.parametrize("owner", [DeadOwner(33), LivingOwner(OTHER), NoOwner(), UnknownOwner("sandbox")], ids=str)
def test_recognised_compatible_foreign_server_is_adopted(version: str | None, owner: ForeignOwner) -> None:
    found = foreign_server(owner=owner)
    plan = reconcile(wants(version), with_foreign_servers(found))
    assert isinstance(plan, Adopt)
    assert plan.foreign_server is found


def test_foreign_server_of_another_version_and_dead_owner_is_replaced() -> None:
    found = foreign_server(version="3.2.5")
    plan = reconcile(wants("4.3.0"), with_foreign_servers(found))
    assert isinstance(plan, Replace)
    assert (plan.old, plan.ports) == (found, PORTS)
    assert "pid 33, is dead" in plan.proof


@pytest.mark.parametrize(
    "more",
    [
        {"owner": LivingOwner(OTHER)},
        {"owner": LivingOwner(INTENDED_OWNER)},
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
def test_foreign_server_in_use_or_without_proof_stays(more: dict[str, Any]) -> None:
    found = foreign_server(version="3.2.5", **more)
    plan = reconcile(wants("4.3.0", intended_owner=INTENDED_OWNER), with_foreign_servers(found))
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT
    (conflicting_server,) = plan.conflicting_servers
    assert conflicting_server.version == "3.2.5"
    assert conflicting_server.reason
    assert {each.port for each in plan.occupied} == set(PORTS.values())


@pytest.mark.parametrize("version", [None, "4.3.0", "3.2.5"])
@pytest.mark.parametrize(
    "more", [{"recognition": Unrecognised("it listens but does not answer")}, {"other_home": "ab12"}], ids=str
)
def test_unrecognised_foreign_server_is_passed_over(version: str | None, more: dict[str, Any]) -> None:
    plan = reconcile(wants(version), with_foreign_servers(foreign_server(**more)))
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT
    assert plan.conflicting_servers == ()
    assert plan.occupied[0].occupant is not None
    assert plan.occupied[0].occupant.pid == 9


def test_per_editor_request_accepts_only_its_owners_server() -> None:
    request = wants(None, topology=Topology.PER_EDITOR, intended_owner=INTENDED_OWNER)
    assert isinstance(reconcile(request, with_foreign_servers(foreign_server(owner=LivingOwner(OTHER)))), Relocate)
    assert isinstance(reconcile(request, with_foreign_servers(foreign_server(owner=DeadOwner(3)))), Relocate)
    assert isinstance(
        reconcile(request, with_foreign_servers(foreign_server(owner=LivingOwner(INTENDED_OWNER)))), Adopt
    )


def test_foreign_server_on_promised_ports_is_left_alone() -> None:
    snapshot = replace(with_foreign_servers(foreign_server()), reserved={8000: "godot-ai-2"})
    plan = reconcile(ANY, snapshot)
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT


def test_foreign_server_on_other_ports_is_not_adopted() -> None:
    found = foreign_server(ports={"http": 8000, "ws": 9501})
    request = replace(ANY, wanted=(PORTS,), explicit_ports=PORTS)
    plan = reconcile(request, with_foreign_servers(found))
    assert isinstance(plan, Refuse)
    assert plan.refusal is Refusal.EXHAUSTED


# --- any other listener ---


@pytest.mark.parametrize(
    "fact",
    [held(8000), WILDCARD, SQUATTER, ANOTHER_USERS, EXCLUDED, FAILED],
    ids=["a process", "a wildcard", "a squatter on ::1", "another user's", "excluded", "cannot tell"],
)
def test_other_listener_leads_to_relocation_with_a_reason(fact: PortFact) -> None:
    plan = reconcile(ANY, Snapshot({**FREE, 8000: fact}))
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT
    (occupied,) = plan.occupied
    assert occupied.reason
    assert occupied.occupant == (fact.listeners[0].occupant if fact.listeners else None)


def test_port_without_facts_is_not_free() -> None:
    facts = {port: fact for port, fact in FREE.items() if port != 9500}
    plan = reconcile(ANY, Snapshot(facts))
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT


def test_socket_of_another_user_is_named_as_such() -> None:
    plan = reconcile(ANY, Snapshot({**FREE, 8000: ANOTHER_USERS}))
    assert isinstance(plan, Relocate)
    assert "does not identify" in plan.occupied[0].reason
    assert plan.occupied[0].occupant is not None
    assert (plan.occupied[0].occupant.pid, plan.occupied[0].occupant.user) == (None, "dev")


def test_promised_ports_are_never_handed_out_again() -> None:
    plan = reconcile(ANY, Snapshot(FREE, {8000: "toy"}))
    assert isinstance(plan, Relocate)
    assert plan.ports == NEXT
    assert plan.occupied[0].reason == "reserved for toy"


def test_exhausted_range_is_refused_with_the_occupants() -> None:
    plan = reconcile(ANY, Snapshot({**FREE, 8000: held(8000), 9501: held(9501)}))
    assert isinstance(plan, Refuse)
    assert plan.refusal is Refusal.EXHAUSTED
    assert [each.port for each in plan.occupied] == [8000, 9501]


def test_skipping_ports_of_own_servers_is_not_a_relocation() -> None:
    reserved = {8000: "toy", 9500: "toy"}
    assert reconcile(ANY, Snapshot(FREE, reserved, own_ports=frozenset(reserved))) == Spawn(NEXT)


def test_exhausted_range_lists_ports_of_own_servers() -> None:
    reserved = {8000: "toy", 9500: "toy"}
    plan = reconcile(ANY, Snapshot({**FREE, 8001: held(8001)}, reserved, own_ports=frozenset(reserved)))
    assert isinstance(plan, Refuse)
    assert [each.port for each in plan.occupied] == [8000, 9500, 8001]
