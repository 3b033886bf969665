"""What the simulation has found, each as the shortest story that shows it."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import Lease, Liveness, Occupant, Origin, ProcessIdentity, ServerRecord, ServerState
from supervisor.engine.holders.editors import Arrival
from supervisor.errors import StartFailed, StateNotWritable, VersionConflict
from supervisor.native.api import Command
from supervisor.registry.codec import decode, encode
from tests.engine.house import TOY, House, serve
from tests.fakes import FakeProbe, FakeProcess, FakeSystem, Fault

ROOT = Path(__file__).parents[2]


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.tables = {
        "toy": {**TOY, "version": "1.0"},
        "solo": {**TOY, "version": "1.0", "topology": "per-editor"},
    }
    return house


def test_an_orphan_is_reaped_though_its_dead_owner_seemed_alive_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        house.system.end(owner)
        ended = house.system.clock.now
        honest, lies = FakeProbe.sample, [Liveness.ALIVE]

        def sample(self: FakeProbe, identity: ProcessIdentity) -> Liveness:
            due = identity == owner and house.system.clock.now > ended + 4
            return lies.pop() if due and lies else honest(self, identity)

        monkeypatch.setattr(FakeProbe, "sample", sample)
        await asyncio.sleep(30)
        assert not lies
        assert not house.alive(record.process)

    house.live(story)


def test_a_lease_that_cannot_be_written_down_is_refused_and_holds_nothing(house: House) -> None:
    async def story() -> None:
        await house.up(house.editor())
        house.store.broken = True
        with pytest.raises(StateNotWritable):
            house.claims.acquire("toy", "a test", 60)
        assert house.records.server("toy").leases == ()

    house.live(story)


def test_an_inheritance_that_cannot_be_written_down_is_refused(house: House, tmp_path: Path) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner, project=str(tmp_path))
        house.claims.detach(next(iter(house.records.editors)), stop=False)
        house.store.broken = True
        with pytest.raises(StateNotWritable):
            house.claims.attach(Arrival(owner.pid, project=str(tmp_path)))

    house.live(story)


def test_a_request_that_was_answered_cannot_be_given_up_any_more(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner, request="mine")
        house.supervisor.cancel("mine")
        assert [held.process for held in house.records.server("toy").owners] == [owner]

    house.live(story)


def test_a_failed_server_that_is_asked_for_again_promises_no_port_that_another_has(house: House) -> None:
    one, two = house.folder / "one", house.folder / "two"
    one.mkdir()
    two.mkdir()
    launches = 0

    def program(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        nonlocal launches
        launches += 1
        if launches != 1:
            serve(system, process, command)

    async def story() -> None:
        house.system.programs["toy"] = program
        with pytest.raises(StartFailed):
            await house.up(house.editor(), "solo", project=str(one))
        other = await house.up(house.editor(), "solo", project=str(two))
        promised: list[dict[int, str]] = []
        house.system.meanwhile["facts"] = lambda: promised.append(house.records.reserved("solo@two"))
        await house.up(house.editor(), "solo", project=str(one))
        (while_it_is_planned,) = promised
        assert set(other.ports.values()).isdisjoint(while_it_is_planned)

    house.live(story)


def test_whoever_waited_for_a_stop_gets_the_one_that_was_started_beside_it_meanwhile(house: House) -> None:
    async def story() -> None:
        old = await house.up(house.editor(), version="2.0")
        assert old.process is not None
        house.system.processes[old.process.pid].ignores_sigterm = True
        stop = asyncio.create_task(house.supervisor.stop("toy"))
        await asyncio.sleep(1)
        beside = await house.up(house.editor(), version="1.0")
        waited = await house.up(house.editor())
        await stop
        assert (beside.id, waited.id) == ("toy-2", "toy-2")
        assert list(house.records.servers) == ["toy-2"]

    house.live(story)


def test_a_stop_that_broke_off_is_finished_before_the_server_is_started_again(house: House) -> None:
    async def story() -> None:
        first = await house.up(house.editor())
        house.system.fails["facts"] = Fault(OSError("descriptors exhausted"))
        with pytest.raises(OSError, match="exhausted"):
            await house.supervisor.restart("toy")
        second = await house.up(house.editor())
        assert second.state is ServerState.READY
        await asyncio.sleep(5)
        assert house.alive(second.process)
        assert first.launch != second.launch
        assert house.records.server("toy").launch == second.launch

    house.live(story)


def test_a_child_whose_age_nobody_tells_is_found_again_by_its_token(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def begin() -> None:
        await house.up(house.editor())

    house.live(begin)
    state = decode(house.store.data or b"")
    record = state.servers["toy"]
    killed_before_the_write = record.with_(root=None, process=None, state=ServerState.STARTING)
    house.store.data = encode(type(state)(state.editors, {"toy": killed_before_the_write}))
    monkeypatch.setattr(FakeProbe, "born", lambda self, identity: None)  # noqa: ARG005
    following = house.restarted()
    following.tables = house.tables

    async def story() -> None:
        await asyncio.sleep(5)
        assert following.records.server("toy").state is ServerState.READY
        assert following.records.server("toy").root == record.root

    following.live(story)


def test_an_owner_that_comes_back_in_the_last_moment_keeps_its_server_from_being_replaced(
    house: House, tmp_path: Path
) -> None:
    async def story() -> None:
        first = house.editor()
        old = await house.up(first, project=str(tmp_path))
        house.claims.detach(next(iter(house.records.editors)), stop=False)
        await asyncio.sleep(16)
        house.system.meanwhile["table"] = lambda: house.claims.attach(Arrival(first.pid, project=str(tmp_path)))
        with pytest.raises(VersionConflict):
            await house.up(house.editor(), version="2.0")
        assert house.alive(old.process)

    house.live(story)


def test_a_lease_gets_its_full_time_again_after_a_gap_in_the_middle_of_it(house: House) -> None:
    async def story() -> None:
        await house.up()
        house.claims.acquire("toy", "a test", 60)
        await asyncio.sleep(10)
        house.system.clock.advance(40)
        await asyncio.sleep(20)
        assert len(house.records.server("toy").leases) == 1
        await asyncio.sleep(50)
        assert house.records.server("toy").leases == ()

    house.live(story)


def test_a_lease_on_a_server_that_was_merely_found_outlives_the_daemon(house: House) -> None:
    async def story() -> None:
        found = ServerRecord("toy", "toy", "1.0", None, ServerState.READY, Origin.DISCOVERED, "l", {}, 0.0)
        house.records.put(found)
        house.records.put(found.with_(id="toy-2", leases=(Lease("lease-1", "a test", 60, 1060.0),)))
        house.records.commit()
        assert list(decode(house.store.data or b"").servers) == ["toy-2"]

    house.live(story)


def test_nothing_waits_in_a_way_that_loses_cancellations() -> None:
    """Before Python 3.12 `wait_for` swallows one that comes together with what it waits for."""
    users = [path.name for path in (ROOT / "supervisor").rglob("*.py") if "asyncio.wait_for(" in path.read_text()]
    assert users == []


def test_a_failed_server_that_is_stopped_again_promises_no_port_that_another_has_by_now(house: House) -> None:
    async def story() -> None:
        records = house.records
        failed = await house.up(house.editor())
        records.move(failed.id, ServerState.STOPPING)
        records.move(failed.id, ServerState.FAILED)
        records.put(failed.with_(id="toy-2"))
        assert records.move(failed.id, ServerState.STOPPING).ports == {}
        records.drop("toy-2")

    house.live(story)


def _unread(house: House, monkeypatch: pytest.MonkeyPatch, command: str, for_s: float) -> None:
    """The command line of what runs this cannot be read for so long, and can then."""
    describe, end = FakeProbe.describe, house.system.clock.now + for_s

    def described(self: FakeProbe, pid: int) -> Occupant:
        seen = describe(self, pid)
        return Occupant() if command in seen.command and house.system.clock.now < end else seen

    monkeypatch.setattr(FakeProbe, "describe", described)


def test_what_an_unread_editor_runs_is_no_server(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaves_an_editor(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        editor = system.fork(process.identity, "renamed", "--editor", "--path", "game", session=0)
        serve(system, system.processes[system.fork(editor, "toy", "8000", "9500").pid], command)
        asyncio.get_running_loop().call_later(0.5, system.end, process.identity, 0)

    async def story() -> None:
        house.system.programs["toy"] = leaves_an_editor
        _unread(house, monkeypatch, "renamed", 100)
        with pytest.raises(StartFailed):
            await house.up(house.editor())
        assert house.ear.of("server.in_background") == []
        assert house.ear.of("signal.sent") == []

    house.live(story)


def test_a_server_that_is_unread_for_a_moment_is_used(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaves(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        serve(system, system.processes[system.fork(process.identity, "toy", "8000", "9500", session=0).pid], command)
        asyncio.get_running_loop().call_later(0.5, system.end, process.identity, 0)

    async def story() -> None:
        house.system.programs["toy"] = leaves
        _unread(house, monkeypatch, "toy", 1.5)
        record = await house.up(house.editor())
        assert record.state is ServerState.READY

    house.live(story)
