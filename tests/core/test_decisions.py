"""For any ports, records and processes: no decision ends a process without proof or gives a port to two servers."""

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.foreign import ForeignServer, Outage, Use, judge_stop
from supervisor.core.model import (
    Bind,
    ListeningSocket,
    Occupant,
    Origin,
    PortFact,
    ProcessIdentity,
    ServerRecord,
    ServerState,
    Topology,
)
from supervisor.core.processes.owners import DeadOwner, LivingOwner, NoOwner, UnknownOwner
from supervisor.core.processes.proof import Held, Recognised, Stoppable, Unrecognised
from supervisor.core.reconcile import (
    Adopt,
    Answer,
    OwnServer,
    Plan,
    Refuse,
    Relocate,
    Replace,
    Reuse,
    ServerSpec,
    Snapshot,
    Spawn,
    StartAnother,
    plan_for_running,
    reconcile,
)
from tests.gates import examples

SETS = tuple({"http": 8000 + n, "ws": 9500 + n} for n in range(3))
NUMBERS = sorted(port for ports in SETS for port in ports.values())
VERSIONS = st.sampled_from([None, "3.2.5", "4.3.0"])
PROCESSES = st.builds(ProcessIdentity, st.integers(2, 6), st.sampled_from(["a", "b"]))
COUNTS = st.sampled_from([0, 0, 0, 1, None])
INTENDED_OWNER = ProcessIdentity(2, "a")

owners = st.one_of(
    st.just(NoOwner()),
    st.builds(LivingOwner, PROCESSES),
    st.builds(DeadOwner, st.integers(2, 6)),
    st.just(UnknownOwner("sandbox")),
)
recognitions = st.sampled_from([Recognised("by its answer"), Recognised("by its answer"), Unrecognised("mute")])
listeners = st.builds(
    lambda address, port, identity: ListeningSocket(address, port, Occupant(identity)),
    st.sampled_from(["127.0.0.1", "0.0.0.0", "::", "::1"]),
    st.just(8000),
    st.none() | PROCESSES,
)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[ServerSpec, Snapshot]:
    """A request and the facts for its plan."""
    facts = {}
    for port in draw(st.lists(st.sampled_from(NUMBERS), unique=True, min_size=2)):
        found = draw(st.lists(listeners, max_size=2))
        facts[port] = PortFact(port, draw(st.sampled_from(Bind)), tuple(replace(each, port=port) for each in found))
    foreign_servers: dict[int, ForeignServer] = {}
    for ports in draw(st.lists(st.sampled_from(SETS), max_size=3, unique_by=lambda ports: ports["http"])):
        found = _foreign_server(draw, ports)
        foreign_servers |= dict.fromkeys(draw(st.sets(st.sampled_from(sorted(ports.values())), min_size=1)), found)
    reserved = draw(st.dictionaries(st.sampled_from(NUMBERS), st.just("another")))
    spec = ServerSpec(
        "godot-ai",
        draw(VERSIONS),
        draw(st.permutations(SETS)),
        intended_owner=draw(st.sampled_from([None, INTENDED_OWNER])),
        topology=draw(st.sampled_from(Topology)),
    )
    return spec, Snapshot(facts, reserved, foreign_servers)


def _foreign_server(draw: st.DrawFn, ports: dict[str, int]) -> ForeignServer:
    process = draw(PROCESSES)
    return ForeignServer(
        "godot-ai",
        process,
        process,
        Occupant(process),
        ports,
        draw(recognitions),
        draw(VERSIONS),
        draw(owners),
        draw(COUNTS),
        draw(COUNTS),
        other_home=draw(st.sampled_from([None, None, "ab12"])),
        stray=draw(st.booleans()),
    )


@st.composite
def servers(draw: st.DrawFn) -> OwnServer:
    """A running server of the daemon."""
    record = ServerRecord(
        "godot-ai",
        "godot-ai",
        draw(VERSIONS),
        None,
        ServerState.READY,
        draw(st.sampled_from(Origin)),
        "launch",
        draw(st.sampled_from(SETS)),
        0.0,
        process=draw(PROCESSES),
        foreign=draw(st.booleans()),
        owners_unknown=draw(st.booleans()),
        ever_owned=draw(st.booleans()),
        other_home=draw(st.sampled_from([None, None, "ab12"])),
    )
    use = Use(draw(st.sampled_from([(), ("my-game-1",)])), draw(COUNTS), draw(COUNTS))
    outage = Outage(draw(st.sampled_from([0.0, 60.0])), draw(st.integers(0, 3)))
    right = judge_stop(record, owners_dead=draw(st.booleans()))
    return OwnServer(record, draw(st.sampled_from(Answer)), use, right, outage)


def why_a_foreign_server_may_end(plan: Replace, spec: ServerSpec) -> None:
    """Both proofs must hold: the server has no other user, and it may be stopped at all."""
    old = plan.old
    assert isinstance(old, ForeignServer)
    assert isinstance(old.recognition, Recognised)
    assert isinstance(old.owner, DeadOwner)
    assert (old.leases, old.sessions) == (0, 0)
    assert old.other_home is None
    assert not old.stray
    assert isinstance(old.judge_stop(), Stoppable)
    assert old.version != spec.version


def handed_out(plan: Plan) -> list[int]:
    return list(plan.ports.values()) if isinstance(plan, Spawn | Relocate) else []


@settings(max_examples=examples(1500), deadline=None)
@given(worlds())
def test_every_plan_has_a_reason_a_proof_and_unique_ports(world: tuple[ServerSpec, Snapshot]) -> None:
    spec, snapshot = world
    plan: Any = reconcile(spec, snapshot)
    assert isinstance(plan, Adopt | Replace | Spawn | Relocate | Refuse)
    assert plan.reason
    for port in handed_out(plan):
        assert port not in snapshot.reserved
        assert snapshot.ports[port] == PortFact(port, Bind.FREE)
    if isinstance(plan, Replace):
        assert plan.proof
        why_a_foreign_server_may_end(plan, spec)
    if isinstance(plan, Adopt):
        assert isinstance(plan.foreign_server.recognition, Recognised)
        assert plan.foreign_server.other_home is None
        assert spec.version in (None, plan.foreign_server.version)
        assert snapshot.reserved.keys().isdisjoint(plan.foreign_server.ports.values())


@settings(max_examples=examples(1500), deadline=None)
@given(worlds(), servers())
def test_every_plan_for_a_running_server_has_a_reason_and_a_proof(
    world: tuple[ServerSpec, Snapshot], own: OwnServer
) -> None:
    spec, _ = world
    plan: Any = plan_for_running(spec, own)
    assert isinstance(plan, Reuse | Replace | Refuse | StartAnother)
    assert plan.conflicting_server.reason if isinstance(plan, StartAnother) else plan.reason
    if isinstance(plan, Reuse):
        assert own.answer is Answer.RIGHT
        assert own.record.other_home is None
    if isinstance(plan, Replace):
        assert plan.proof
        assert plan.old is own.record
        assert own.record.other_home is None
        assert isinstance(own.proof, Stoppable)
        assert own.use.reason is None
        assert own.record.version != spec.version or own.outage.unresponsive
        assert not (own.record.foreign and not own.record.ever_owned)
        assert not own.record.owners_unknown


@settings(max_examples=examples(300), deadline=None)
@given(st.lists(worlds(), min_size=2, max_size=4))
def test_successive_requests_never_get_the_same_port(requests: list[tuple[ServerSpec, Snapshot]]) -> None:
    reserved: dict[int, str] = {}
    for number, (spec, snapshot) in enumerate(requests):
        plan = reconcile(spec, replace(snapshot, reserved={**snapshot.reserved, **reserved}))
        ports = handed_out(plan)
        assert reserved.keys().isdisjoint(ports)
        reserved |= dict.fromkeys(ports, f"server-{number}")


@given(owners, st.booleans())
def test_foreign_server_is_stoppable_only_with_a_dead_owner(owner: Any, stray: Any) -> None:
    process = ProcessIdentity(9, "t")
    found = ForeignServer("toy", process, process, Occupant(process), {}, Recognised("so"), owner=owner, stray=stray)
    proof = found.judge_stop()
    assert isinstance(proof, Stoppable) is (isinstance(owner, DeadOwner) and not stray)
    assert isinstance(proof, Stoppable | Held)
    assert proof.reason
