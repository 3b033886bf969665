"""Faults that the simulation has found, each as the shortest story that shows it."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import Lease, Liveness, Occupant, Origin, ProcessIdentity, ServerRecord, ServerState
from supervisor.engine.claims.editors import Arrival
from supervisor.errors import StartFailed, StateNotWritable, VersionConflict
from supervisor.native.api import ChildCommand
from supervisor.registry.codec import decode, encode
from tests.engine.harness import TOY, EngineHarness, serve
from tests.fakes import FakeProbe, FakeProcess, FakeSystem, Fault

ROOT = Path(__file__).parents[2]


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.tables = {
        "toy": {**TOY, "version": "1.0"},
        "solo": {**TOY, "version": "1.0", "topology": "per-editor"},
    }
    return harness


def test_an_orphan_is_reaped_though_its_dead_owner_seemed_alive_once(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.end(owner)
        ended = harness.system.clock.now
        honest, lies = FakeProbe.sample, [Liveness.ALIVE]

        def sample(self: FakeProbe, identity: ProcessIdentity) -> Liveness:
            due = identity == owner and harness.system.clock.now > ended + 4
            return lies.pop() if due and lies else honest(self, identity)

        monkeypatch.setattr(FakeProbe, "sample", sample)
        await asyncio.sleep(30)
        assert not lies
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_lease_that_cannot_be_written_down_is_refused_and_holds_nothing(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up(harness.editor())
        harness.store.broken = True
        with pytest.raises(StateNotWritable):
            harness.attachments.acquire_lease("toy", "a test", 60)
        assert harness.records.server("toy").leases == ()

    harness.run(story)


def test_an_inheritance_that_cannot_be_written_down_is_refused(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner, project=str(tmp_path))
        harness.attachments.detach(next(iter(harness.records.editors)), stop=False)
        harness.store.broken = True
        with pytest.raises(StateNotWritable):
            harness.attachments.attach(Arrival(owner.pid, project=str(tmp_path)))

    harness.run(story)


def test_an_answered_request_cannot_be_cancelled(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner, request_id="mine")
        harness.engine.requests.cancel("mine")
        assert [held.process for held in harness.records.server("toy").owners] == [owner]

    harness.run(story)


def test_a_failed_server_that_is_ensured_again_promises_no_taken_port(harness: EngineHarness) -> None:
    one, two = harness.folder / "one", harness.folder / "two"
    one.mkdir()
    two.mkdir()
    launches = 0

    def program(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        nonlocal launches
        launches += 1
        if launches != 1:
            serve(system, process, command)

    async def story() -> None:
        harness.system.programs["toy"] = program
        with pytest.raises(StartFailed):
            await harness.up(harness.editor(), "solo", project=str(one))
        other = await harness.up(harness.editor(), "solo", project=str(two))
        promised: list[dict[int, str]] = []
        harness.system.meanwhile["facts"] = lambda: promised.append(harness.records.reserved_ports("solo@two"))
        await harness.up(harness.editor(), "solo", project=str(one))
        (while_it_is_planned,) = promised
        assert set(other.ports.values()).isdisjoint(while_it_is_planned)

    harness.run(story)


def test_a_request_queued_behind_a_stop_gets_the_server_started_beside(harness: EngineHarness) -> None:
    async def story() -> None:
        old = await harness.up(harness.editor(), version="2.0")
        assert old.process is not None
        harness.system.processes[old.process.pid].ignores_sigterm = True
        stop = asyncio.create_task(harness.supervisor.stop("toy"))
        await asyncio.sleep(1)
        beside = await harness.up(harness.editor(), version="1.0")
        waited = await harness.up(harness.editor())
        await stop
        assert (beside.id, waited.id) == ("toy-2", "toy-2")
        assert list(harness.records.servers) == ["toy-2"]

    harness.run(story)


def test_an_interrupted_stop_is_finished_before_the_next_start(harness: EngineHarness) -> None:
    async def story() -> None:
        first = await harness.up(harness.editor())
        harness.system.fails["facts"] = Fault(OSError("descriptors exhausted"))
        with pytest.raises(OSError, match="exhausted"):
            await harness.supervisor.restart("toy")
        second = await harness.up(harness.editor())
        assert second.state is ServerState.READY
        await asyncio.sleep(5)
        assert harness.alive(second.process)
        assert first.launch != second.launch
        assert harness.records.server("toy").launch == second.launch

    harness.run(story)


def test_a_child_of_unknown_age_is_found_again_by_its_token(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def begin() -> None:
        await harness.up(harness.editor())

    harness.run(begin)
    state = decode(harness.store.data or b"")
    record = state.servers["toy"]
    killed_before_the_write = record.with_(root=None, process=None, state=ServerState.STARTING)
    harness.store.data = encode(type(state)(state.editors, {"toy": killed_before_the_write}))
    monkeypatch.setattr(FakeProbe, "creation_order", lambda self, identity: None)  # noqa: ARG005
    following = harness.restarted()
    following.tables = harness.tables

    async def story() -> None:
        await asyncio.sleep(5)
        assert following.records.server("toy").state is ServerState.READY
        assert following.records.server("toy").root == record.root

    following.run(story)


def test_an_owner_that_returns_before_the_signal_prevents_a_replace(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        first = harness.editor()
        old = await harness.up(first, project=str(tmp_path))
        harness.attachments.detach(next(iter(harness.records.editors)), stop=False)
        await asyncio.sleep(16)
        harness.system.meanwhile["table"] = lambda: harness.attachments.attach(
            Arrival(first.pid, project=str(tmp_path))
        )
        with pytest.raises(VersionConflict):
            await harness.up(harness.editor(), version="2.0")
        assert harness.alive(old.process)

    harness.run(story)


def test_a_lease_gets_its_full_time_again_after_a_clock_gap(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up()
        harness.attachments.acquire_lease("toy", "a test", 60)
        await asyncio.sleep(10)
        harness.system.clock.advance(40)
        await asyncio.sleep(20)
        assert len(harness.records.server("toy").leases) == 1
        await asyncio.sleep(50)
        assert harness.records.server("toy").leases == ()

    harness.run(story)


def test_a_lease_on_a_found_server_outlives_the_daemon(harness: EngineHarness) -> None:
    async def story() -> None:
        found = ServerRecord("toy", "toy", "1.0", None, ServerState.READY, Origin.DISCOVERED, "l", {}, 0.0)
        harness.records.put(found)
        harness.records.put(found.with_(id="toy-2", leases=(Lease("lease-1", "a test", 60, 1060.0),)))
        harness.records.commit()
        assert list(decode(harness.store.data or b"").servers) == ["toy-2"]

    harness.run(story)


def test_nothing_waits_in_a_way_that_loses_cancellations() -> None:
    """Before Python 3.12 `wait_for` swallows one that comes together with what it waits for."""
    users = [path.name for path in (ROOT / "supervisor").rglob("*.py") if "asyncio.wait_for(" in path.read_text()]
    assert users == []


def test_a_failed_server_that_is_stopped_again_promises_no_taken_port(harness: EngineHarness) -> None:
    async def story() -> None:
        records = harness.records
        failed = await harness.up(harness.editor())
        records.move(failed.id, ServerState.STOPPING)
        records.move(failed.id, ServerState.FAILED)
        records.put(failed.with_(id="toy-2"))
        assert records.move(failed.id, ServerState.STOPPING).ports == {}
        records.drop("toy-2")

    harness.run(story)


def _unread(harness: EngineHarness, monkeypatch: pytest.MonkeyPatch, command: str, for_s: float) -> None:
    """The command line of what runs this cannot be read for so long, and can then."""
    describe, end = FakeProbe.describe, harness.system.clock.now + for_s

    def described(self: FakeProbe, pid: int) -> Occupant:
        seen = describe(self, pid)
        return Occupant() if command in seen.command and harness.system.clock.now < end else seen

    monkeypatch.setattr(FakeProbe, "describe", described)


def test_what_an_unread_editor_runs_is_no_server(harness: EngineHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaves_an_editor(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        editor = system.fork(process.identity, "renamed", "--editor", "--path", "game", session=0)
        serve(system, system.processes[system.fork(editor, "toy", "8000", "9500").pid], command)
        asyncio.get_running_loop().call_later(0.5, system.end, process.identity, 0)

    async def story() -> None:
        harness.system.programs["toy"] = leaves_an_editor
        _unread(harness, monkeypatch, "renamed", 100)
        with pytest.raises(StartFailed):
            await harness.up(harness.editor())
        assert harness.events.of("server.in_background") == []
        assert harness.events.of("signal.sent") == []

    harness.run(story)


def test_a_server_that_is_unread_for_a_moment_is_used(harness: EngineHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaves(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        serve(system, system.processes[system.fork(process.identity, "toy", "8000", "9500", session=0).pid], command)
        asyncio.get_running_loop().call_later(0.5, system.end, process.identity, 0)

    async def story() -> None:
        harness.system.programs["toy"] = leaves
        _unread(harness, monkeypatch, "toy", 1.5)
        record = await harness.up(harness.editor())
        assert record.state is ServerState.READY

    harness.run(story)
