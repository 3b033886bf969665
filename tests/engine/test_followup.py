import asyncio
import errno
from pathlib import Path

import pytest

from supervisor.core.model import Origin, ProcessIdentity, ServerState
from supervisor.engine.holders.editors import Arrival
from supervisor.errors import StartFailed, StopFailed
from supervisor.native.api import Command
from tests.engine.house import House, serve
from tests.fakes import FakeProcess, FakeSystem, Fault

MANY = 10_000

LINGERED_S = 17.0
"""After `linger_s`, and before the second look of a verdict."""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def no_descriptors(*, times: int = 1, after: int = 0) -> Fault:
    return Fault(OSError(errno.EMFILE, "Too many open files"), times, after)


def launcher(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    """A program that leaves the listening to a child."""
    serve(system, system.processes[system.fork(process.identity, "worker").pid], command)


def toys(house: House) -> list[ProcessIdentity]:
    """The living servers."""
    return [identity for identity in house.system.spawned if house.alive(identity)]


async def turns() -> None:
    """Turns of the loop in which no time passes: whatever spins would spin here."""
    for _ in range(MANY):
        await asyncio.sleep(0)


def test_a_stop_whose_platform_fails_before_the_signal_changes_nothing_and_does_not_spin(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        house.system.fails["table"] = no_descriptors(times=MANY)
        with pytest.raises(OSError, match="Too many open files"):
            await house.supervisor.stop("toy")
        asked = house.system.calls["table"]
        await turns()
        assert house.system.calls["table"] == asked
        await asyncio.sleep(60)
        assert house.records.server("toy").state is ServerState.READY
        assert house.alive(record.process)
        assert house.system.calls["table"] == asked
        del house.system.fails["table"]
        assert (await house.supervisor.stop("toy")).state is ServerState.STOPPED
        assert not house.alive(record.process)

    house.live(story)


def test_a_stop_whose_platform_fails_after_the_signal_is_finished_once_it_recovers(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        child = house.system.fork(record.process, "child")
        house.system.fails["table"] = no_descriptors(times=10, after=1)
        with pytest.raises(OSError, match="Too many open files"):
            await house.supervisor.stop("toy")
        assert house.records.server("toy").state is ServerState.STOPPING
        assert house.alive(child)
        await asyncio.sleep(5)
        assert house.system.calls["table"] < 10
        await asyncio.sleep(60)
        assert house.records.servers == {}
        assert not house.alive(child)

    house.live(story)


def test_a_start_whose_platform_fails_is_tried_once_a_second_and_finished_once_it_recovers(house: House) -> None:
    async def story() -> None:
        house.system.fails = {"listeners": no_descriptors(times=5), "table": no_descriptors(times=5)}
        owner = house.editor()
        with pytest.raises(OSError, match="Too many open files"):
            await house.up(owner)
        (process,) = toys(house)
        await asyncio.sleep(2.5)
        assert house.system.calls["listeners"] <= 4
        await asyncio.sleep(10)
        record = house.records.server("toy")
        assert record.state is ServerState.READY
        assert record.process == process
        assert [held.process for held in record.owners] == [owner]

    house.live(story)


def test_a_start_that_broke_and_was_swept_says_that_it_failed(house: House) -> None:
    async def story() -> None:
        house.system.fails["listeners"] = no_descriptors()
        with pytest.raises(OSError, match="Too many open files"):
            await house.up(house.editor())
        await asyncio.sleep(10)
        assert house.records.server("toy").state is ServerState.FAILED
        assert toys(house) == []
        assert (await house.up(house.editor())).state is ServerState.READY

    house.live(story)


def test_a_defect_is_logged_with_the_operation_that_broke(house: House) -> None:
    async def story() -> None:
        await house.up(house.editor())
        house.system.fails["table"] = no_descriptors()
        with pytest.raises(OSError, match="Too many open files"):
            await house.supervisor.stop("toy")
        (broke,) = house.ear.of("operation.broke")
        assert broke["server"] == "toy"
        assert isinstance(broke["exc_info"], OSError)

    house.live(story)


def test_a_sweep_that_could_not_look_is_repeated_before_the_server_is_started_again(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        child = house.system.fork(record.process, "child")
        house.system.fails["table"] = no_descriptors(times=3)
        house.system.end(record.process, 9)
        await asyncio.sleep(1.5)
        assert house.alive(child)
        assert len(house.system.spawned) == 1
        await asyncio.sleep(10)
        assert not house.alive(child)
        assert house.records.server("toy").state is ServerState.READY
        assert len(house.system.spawned) == 2

    house.live(story)


def test_whoever_comes_back_while_a_server_that_ended_is_cleared_away_gets_it_again(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        assert record.process is not None
        house.claims.detach(next(iter(house.records.editors)), stop=False)
        await asyncio.sleep(LINGERED_S)
        house.system.fork(record.process, "child")
        house.system.meanwhile["table"] = lambda: house.claims.attach(Arrival(owner.pid))
        house.system.end(record.process, 9)
        await asyncio.sleep(1)
        assert house.ear.of("server.inherited")
        again = house.records.server("toy")
        assert again.state is ServerState.READY
        assert again.process != record.process

    house.live(story)


def test_a_reap_whose_platform_fails_is_done_once_it_recovers(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        house.system.fails["table"] = no_descriptors(times=3)
        house.system.end(owner)
        await asyncio.sleep(120)
        assert not house.alive(record.process)
        assert house.records.servers == {}
        assert len(house.ear.of("server.reaped")) == 1

    house.live(story)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("can't start new thread"), OSError(errno.EMFILE, "Too many open files")],
    ids=["no thread", "no descriptor"],
)
def test_a_look_that_failed_is_repeated(house: House, error: Exception) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        house.system.fails["connections"] = Fault(error)
        house.system.end(owner)
        await asyncio.sleep(60)
        (failed,) = house.ear.of("reaper.failed")
        assert failed["exc_info"] is error
        assert not house.alive(record.process)

    house.live(story)


def test_looks_that_keep_failing_do_not_spin_and_never_kill(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        house.system.fails["connections"] = no_descriptors(times=MANY)
        house.system.end(owner)
        await asyncio.sleep(600)
        assert house.alive(record.process)
        assert 60 <= len(house.ear.of("reaper.failed")) <= 600

    house.live(story)


def test_a_reap_that_was_refused_is_tried_again_until_it_succeeds(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        assert record.process is not None
        process = house.system.processes[record.process.pid]
        process.denied = True
        house.system.end(owner)
        await asyncio.sleep(60)
        failed = house.records.server("toy")
        assert failed.state is ServerState.FAILED
        assert failed.failure is not None
        assert failed.failure.code == StopFailed.code
        process.denied = False
        await asyncio.sleep(90)
        assert not house.alive(record.process)
        assert house.records.servers == {}

    house.live(story)


def test_a_server_that_could_not_be_reaped_is_forgotten_when_it_ends_by_itself(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        assert record.process is not None
        house.system.processes[record.process.pid].denied = True
        house.system.end(owner)
        await asyncio.sleep(25)
        assert house.records.server("toy").state is ServerState.FAILED
        house.system.end(record.process)
        await asyncio.sleep(5)
        assert house.records.servers == {}
        assert house.records.editors == {}

    house.live(story)


def test_a_stop_that_a_user_asked_for_is_tried_again_although_an_owner_lives(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        process = house.system.processes[record.process.pid]
        process.denied = True
        with pytest.raises(StopFailed):
            await house.supervisor.stop("toy")
        process.denied = False
        await asyncio.sleep(90)
        assert not house.alive(record.process)

    house.live(story)


def test_stops_that_keep_failing_are_a_minute_apart(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        house.system.processes[record.process.pid].denied = True
        with pytest.raises(StopFailed):
            await house.supervisor.stop("toy")
        before = len(house.ear.of("flight.started"))
        await asyncio.sleep(3600)
        assert 50 <= len(house.ear.of("flight.started")) - before <= 60

    house.live(story)


def test_a_failed_start_is_shown_until_its_owner_has_ended(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        owner = house.editor()
        with pytest.raises(StartFailed):
            await house.up(owner)
        await asyncio.sleep(3600)
        assert house.records.server("toy").state is ServerState.FAILED
        house.system.end(owner)
        await asyncio.sleep(5)
        assert house.records.servers == {}

    house.live(story)


def test_a_failed_start_that_nobody_owns_is_shown_until_it_is_taken_down(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        with pytest.raises(StartFailed):
            await house.up()
        await asyncio.sleep(3600)
        assert house.records.server("toy").state is ServerState.FAILED
        await house.supervisor.stop("toy")
        assert house.records.servers == {}

    house.live(story)


def test_a_launcher_whose_listener_dies_is_swept_and_started_again(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = launcher
        first = await house.up(house.editor())
        assert first.process is not None
        assert first.root != first.process
        house.system.end(first.process, 9)
        await asyncio.sleep(5)
        second = house.records.server("toy")
        assert second.state is ServerState.READY
        assert second.ports == first.ports
        assert not house.alive(first.root)
        assert toys(house) == [second.root]

    house.live(story)


def test_a_launcher_that_cannot_be_killed_after_its_listener_has_died_is_not_tried_over_and_over(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = launcher
        record = await house.up(house.editor())
        assert record.root is not None
        assert record.process is not None
        house.system.processes[record.root.pid].denied = True
        house.system.end(record.process)
        await asyncio.sleep(120)
        failed = house.records.server("toy")
        assert failed.state is ServerState.FAILED
        assert failed.failure is not None
        assert str(record.root.pid) in failed.failure.message
        assert len(house.ear.of("flight.started")) <= 4
        assert len(house.system.spawned) == 1

    house.live(story)


def test_a_launcher_that_can_be_killed_at_last_goes_once_nobody_wants_it(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = launcher
        owner = house.editor()
        record = await house.up(owner)
        assert record.root is not None
        assert record.process is not None
        root = house.system.processes[record.root.pid]
        root.denied = True
        house.system.end(record.process)
        await asyncio.sleep(10)
        house.system.end(owner)
        root.denied = False
        await asyncio.sleep(120)
        assert not house.alive(record.root)
        assert house.records.servers == {}

    house.live(story)


def test_a_rebuilt_launcher_whose_listener_dies_is_left_to_the_user(house: House) -> None:
    owner = house.editor()

    async def first() -> None:
        house.system.programs["toy"] = launcher
        await house.up(owner)

    house.live(first)
    house.store.data = None
    later = house.restarted()

    async def second() -> None:
        record = later.records.server("toy")
        assert record.origin is Origin.ADOPTED
        assert record.root != record.process
        assert record.process is not None
        later.system.end(record.process)
        await asyncio.sleep(120)
        assert later.records.server("toy").state is ServerState.FAILED
        assert later.alive(record.root)
        assert len(later.ear.of("flight.started")) <= 4
        await later.supervisor.stop("toy")
        assert not later.alive(record.root)
        assert later.records.servers == {}

    later.live(second)


def test_a_restart_that_the_disk_refuses_is_tried_again(house: House) -> None:
    async def story() -> None:
        first = await house.up(house.editor())
        assert first.process is not None
        house.store.broken = True
        house.system.end(first.process, 9)
        await asyncio.sleep(0.2)
        assert house.ear.of("server.backs_off")
        assert len(house.system.spawned) == 1
        house.store.broken = False
        await asyncio.sleep(5)
        assert house.records.server("toy").state is ServerState.READY

    house.live(story)


def test_a_restart_whose_program_cannot_be_run_once_is_tried_again(house: House) -> None:
    async def story() -> None:
        first = await house.up(house.editor())
        assert first.process is not None
        house.system.fails["spawn"] = Fault(OSError(errno.EAGAIN, "Resource temporarily unavailable"))
        house.system.end(first.process, 9)
        await asyncio.sleep(5)
        assert house.system.calls["spawn"] == 3
        assert house.records.server("toy").state is ServerState.READY

    house.live(story)


def test_a_watch_that_speaks_too_early_is_set_again(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        assert record.process is not None
        house.system.false_alarm(owner)
        house.system.false_alarm(record.process)
        await asyncio.sleep(10)
        assert house.alive(record.process)
        assert house.records.server("toy").launch == record.launch
        house.system.end(record.process, 9)
        await asyncio.sleep(5)
        again = house.records.server("toy")
        assert again.state is ServerState.READY
        assert again.launch != record.launch
        house.system.end(owner)
        await asyncio.sleep(10)
        assert toys(house) == []

    house.live(story)


def test_a_server_that_ends_at_the_moment_of_its_reprieve_is_started_again_for_its_heir(
    house: House, tmp_path: Path
) -> None:
    async def story() -> None:
        owner, heir = house.editor(), house.editor()
        first = await house.up(owner, project=str(tmp_path))
        process = first.process
        assert process is not None

        def inherited_and_ended() -> None:
            house.claims.attach(Arrival(heir.pid, project=str(tmp_path)))
            house.system.end(process, 9)

        house.claims.detach(first.owners[0].editor, stop=False)
        house.system.meanwhile["table"] = inherited_and_ended
        await asyncio.sleep(30)
        assert house.ear.of("server.reprieved")
        record = house.records.server("toy")
        assert record.launch != first.launch
        assert record.state is ServerState.READY
        assert [held.process for held in record.owners] == [heir]

    house.live(story)


def test_a_server_that_ends_between_the_look_and_the_signal_of_a_stop_is_stopped_all_the_same(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        process = record.process
        assert process is not None
        house.system.meanwhile["table"] = lambda: house.system.end(process, 9)
        assert (await house.supervisor.stop("toy")).state is ServerState.STOPPED
        await asyncio.sleep(60)
        assert house.records.servers == {}
        assert len(house.system.spawned) == 1

    house.live(story)


def test_a_server_that_ends_while_it_is_judged_is_not_reaped_but_cleared(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        process = record.process
        assert process is not None
        house.system.end(owner)
        await asyncio.sleep(1)
        house.system.meanwhile["connections"] = lambda: house.system.end(process, 9)
        await asyncio.sleep(20)
        assert house.records.servers == {}
        assert house.ear.of("signal.sent") == []

    house.live(story)


def test_nothing_is_followed_up_after_the_close(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        assert record.process is not None
        await house.supervisor.close(servers=False)
        before = len(house.ear.heard)
        house.system.end(owner)
        house.system.end(record.process)
        await asyncio.sleep(3600)
        assert len(house.ear.heard) == before

    house.live(story)
