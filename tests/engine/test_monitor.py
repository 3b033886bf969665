"""The daemon's own work: failed operations are tried again, with pauses, until they are done."""

import asyncio
import errno
from pathlib import Path

import pytest

from supervisor.core.model import ProcessIdentity, ServerState
from supervisor.engine.claims.editors import Arrival
from supervisor.errors import StartFailed, StopFailed
from tests.engine.harness import EngineHarness
from tests.fakes import Fault

MANY = 10_000


LINGERED_S = 17.0
"""After `linger_s`, and before the second look of a verdict."""


def no_descriptors(*, times: int = 1, after: int = 0) -> Fault:
    return Fault(OSError(errno.EMFILE, "Too many open files"), times, after)


def toys(harness: EngineHarness) -> list[ProcessIdentity]:
    """The living servers."""
    return [identity for identity in harness.system.spawned if harness.alive(identity)]


async def turns() -> None:
    """Turns of the loop in which no time passes: whatever spins would spin here."""
    for _ in range(MANY):
        await asyncio.sleep(0)


def test_a_stop_that_fails_before_the_signal_changes_nothing(
    harness: EngineHarness,
) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        harness.system.fails["table"] = no_descriptors(times=MANY)
        with pytest.raises(OSError, match="Too many open files"):
            await harness.supervisor.stop("toy")
        asked = harness.system.calls["table"]
        await turns()
        assert harness.system.calls["table"] == asked
        await asyncio.sleep(60)
        assert harness.records.server("toy").state is ServerState.READY
        assert harness.alive(record.process)
        assert harness.system.calls["table"] == asked
        del harness.system.fails["table"]
        assert (await harness.supervisor.stop("toy")).state is ServerState.STOPPED
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_stop_that_fails_after_the_signal_is_finished_later(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        child = harness.system.fork(record.process, "child")
        harness.system.fails["table"] = no_descriptors(times=10, after=1)
        with pytest.raises(OSError, match="Too many open files"):
            await harness.supervisor.stop("toy")
        assert harness.records.server("toy").state is ServerState.STOPPING
        assert harness.alive(child)
        await asyncio.sleep(5)
        assert harness.system.calls["table"] < 10
        await asyncio.sleep(60)
        assert harness.records.servers == {}
        assert not harness.alive(child)

    harness.run(story)


def test_a_start_that_fails_on_the_platform_is_retried_each_second(
    harness: EngineHarness,
) -> None:
    async def story() -> None:
        harness.system.fails = {"match_listeners": no_descriptors(times=5), "table": no_descriptors(times=5)}
        owner = harness.editor()
        with pytest.raises(OSError, match="Too many open files"):
            await harness.up(owner)
        (process,) = toys(harness)
        await asyncio.sleep(2.5)
        assert harness.system.calls["match_listeners"] <= 4
        await asyncio.sleep(10)
        record = harness.records.server("toy")
        assert record.state is ServerState.READY
        assert record.process == process
        assert [held.process for held in record.owners] == [owner]

    harness.run(story)


def test_a_start_that_broke_and_was_swept_says_that_it_failed(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.fails["match_listeners"] = no_descriptors()
        with pytest.raises(OSError, match="Too many open files"):
            await harness.up(harness.editor())
        await asyncio.sleep(10)
        assert harness.records.server("toy").state is ServerState.FAILED
        assert toys(harness) == []
        assert (await harness.up(harness.editor())).state is ServerState.READY

    harness.run(story)


def test_a_defect_is_logged_with_the_operation_that_broke(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up(harness.editor())
        harness.system.fails["table"] = no_descriptors()
        with pytest.raises(OSError, match="Too many open files"):
            await harness.supervisor.stop("toy")
        (broke,) = harness.events.of("operation.broke")
        assert broke["server"] == "toy"
        assert isinstance(broke["exc_info"], OSError)

    harness.run(story)


def test_a_failed_sweep_is_repeated_before_the_server_restarts(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        child = harness.system.fork(record.process, "child")
        harness.system.fails["table"] = no_descriptors(times=3)
        harness.system.end(record.process, 9)
        await asyncio.sleep(1.5)
        assert harness.alive(child)
        assert len(harness.system.spawned) == 1
        await asyncio.sleep(10)
        assert not harness.alive(child)
        assert harness.records.server("toy").state is ServerState.READY
        assert len(harness.system.spawned) == 2

    harness.run(story)


def test_an_editor_that_returns_during_a_sweep_gets_its_server_again(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.process is not None
        harness.attachments.detach(next(iter(harness.records.editors)), stop=False)
        await asyncio.sleep(LINGERED_S)
        harness.system.fork(record.process, "child")
        harness.system.meanwhile["table"] = lambda: harness.attachments.attach(Arrival(owner.pid))
        harness.system.end(record.process, 9)
        await asyncio.sleep(1)
        assert harness.events.of("server.inherited")
        again = harness.records.server("toy")
        assert again.state is ServerState.READY
        assert again.process != record.process

    harness.run(story)


def test_a_reap_whose_platform_fails_is_done_once_it_recovers(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.fails["table"] = no_descriptors(times=3)
        harness.system.end(owner)
        await asyncio.sleep(120)
        assert not harness.alive(record.process)
        assert harness.records.servers == {}
        assert len(harness.events.of("server.reaped")) == 1

    harness.run(story)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("can't start new thread"), OSError(errno.EMFILE, "Too many open files")],
    ids=["no thread", "no descriptor"],
)
def test_a_failed_sample_is_repeated(harness: EngineHarness, error: Exception) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.fails["count_connections"] = Fault(error)
        harness.system.end(owner)
        await asyncio.sleep(60)
        (failed,) = harness.events.of("reaper.failed")
        assert failed["exc_info"] is error
        assert not harness.alive(record.process)

    harness.run(story)


def test_samples_that_keep_failing_do_not_spin_and_never_kill(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.fails["count_connections"] = no_descriptors(times=MANY)
        harness.system.end(owner)
        await asyncio.sleep(600)
        assert harness.alive(record.process)
        assert 60 <= len(harness.events.of("reaper.failed")) <= 600

    harness.run(story)


def test_a_reap_that_was_refused_is_tried_again_until_it_succeeds(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.process is not None
        process = harness.system.processes[record.process.pid]
        process.denied = True
        harness.system.end(owner)
        await asyncio.sleep(60)
        failed = harness.records.server("toy")
        assert failed.state is ServerState.FAILED
        assert failed.failure is not None
        assert failed.failure.code == StopFailed.code
        process.denied = False
        await asyncio.sleep(90)
        assert not harness.alive(record.process)
        assert harness.records.servers == {}

    harness.run(story)


def test_an_unreaped_server_is_forgotten_when_it_ends_by_itself(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.process is not None
        harness.system.processes[record.process.pid].denied = True
        harness.system.end(owner)
        await asyncio.sleep(25)
        assert harness.records.server("toy").state is ServerState.FAILED
        harness.system.end(record.process)
        await asyncio.sleep(5)
        assert harness.records.servers == {}
        assert harness.records.editors == {}

    harness.run(story)


def test_a_users_failed_stop_is_retried_although_an_owner_lives(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        process = harness.system.processes[record.process.pid]
        process.denied = True
        with pytest.raises(StopFailed):
            await harness.supervisor.stop("toy")
        process.denied = False
        await asyncio.sleep(90)
        assert not harness.alive(record.process)

    harness.run(story)


def test_stops_that_keep_failing_are_a_minute_apart(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.system.processes[record.process.pid].denied = True
        with pytest.raises(StopFailed):
            await harness.supervisor.stop("toy")
        before = len(harness.events.of("flight.started"))
        await asyncio.sleep(3600)
        assert 50 <= len(harness.events.of("flight.started")) - before <= 60

    harness.run(story)


def test_a_failed_start_is_shown_until_its_owner_has_ended(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        owner = harness.editor()
        with pytest.raises(StartFailed):
            await harness.up(owner)
        await asyncio.sleep(3600)
        assert harness.records.server("toy").state is ServerState.FAILED
        harness.system.end(owner)
        await asyncio.sleep(5)
        assert harness.records.servers == {}

    harness.run(story)


def test_a_failed_start_without_owner_is_shown_until_it_is_stopped(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        with pytest.raises(StartFailed):
            await harness.up()
        await asyncio.sleep(3600)
        assert harness.records.server("toy").state is ServerState.FAILED
        await harness.supervisor.stop("toy")
        assert harness.records.servers == {}

    harness.run(story)


def test_a_restart_that_the_disk_refuses_is_tried_again(harness: EngineHarness) -> None:
    async def story() -> None:
        first = await harness.up(harness.editor())
        assert first.process is not None
        harness.store.broken = True
        harness.system.end(first.process, 9)
        await asyncio.sleep(0.2)
        assert harness.events.of("server.backs_off")
        assert len(harness.system.spawned) == 1
        harness.store.broken = False
        await asyncio.sleep(5)
        assert harness.records.server("toy").state is ServerState.READY

    harness.run(story)


def test_a_restart_whose_program_cannot_be_run_once_is_tried_again(harness: EngineHarness) -> None:
    async def story() -> None:
        first = await harness.up(harness.editor())
        assert first.process is not None
        harness.system.fails["spawn"] = Fault(OSError(errno.EAGAIN, "Resource temporarily unavailable"))
        harness.system.end(first.process, 9)
        await asyncio.sleep(5)
        assert harness.system.calls["spawn"] == 3
        assert harness.records.server("toy").state is ServerState.READY

    harness.run(story)


def test_an_exit_watch_that_fires_too_early_is_set_again(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.process is not None
        harness.system.false_alarm(owner)
        harness.system.false_alarm(record.process)
        await asyncio.sleep(10)
        assert harness.alive(record.process)
        assert harness.records.server("toy").launch == record.launch
        harness.system.end(record.process, 9)
        await asyncio.sleep(5)
        again = harness.records.server("toy")
        assert again.state is ServerState.READY
        assert again.launch != record.launch
        harness.system.end(owner)
        await asyncio.sleep(10)
        assert toys(harness) == []

    harness.run(story)


def test_a_server_that_ends_as_it_is_inherited_is_started_again(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        owner, heir = harness.editor(), harness.editor()
        first = await harness.up(owner, project=str(tmp_path))
        process = first.process
        assert process is not None

        def inherited_and_ended() -> None:
            harness.attachments.attach(Arrival(heir.pid, project=str(tmp_path)))
            harness.system.end(process, 9)

        harness.attachments.detach(first.owners[0].editor, stop=False)
        harness.while_stopping(inherited_and_ended)
        await asyncio.sleep(30)
        assert harness.events.of("server.reprieved")
        record = harness.records.server("toy")
        assert record.launch != first.launch
        assert record.state is ServerState.READY
        assert [held.process for held in record.owners] == [heir]

    harness.run(story)


def test_a_server_that_ends_just_before_the_stop_signal_is_stopped(
    harness: EngineHarness,
) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        process = record.process
        assert process is not None
        harness.system.meanwhile["table"] = lambda: harness.system.end(process, 9)
        assert (await harness.supervisor.stop("toy")).state is ServerState.STOPPED
        await asyncio.sleep(60)
        assert harness.records.servers == {}
        assert len(harness.system.spawned) == 1

    harness.run(story)


def test_a_server_that_ends_while_it_is_judged_is_not_reaped_but_cleared(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        process = record.process
        assert process is not None
        harness.system.end(owner)
        await asyncio.sleep(1)
        harness.system.meanwhile["count_connections"] = lambda: harness.system.end(process, 9)
        await asyncio.sleep(20)
        assert harness.records.servers == {}
        assert harness.events.of("signal.sent") == []

    harness.run(story)


def test_the_monitor_does_nothing_after_the_close(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.process is not None
        await harness.supervisor.close(servers=False)
        before = len(harness.events.recorded)
        harness.system.end(owner)
        harness.system.end(record.process)
        await asyncio.sleep(3600)
        assert len(harness.events.recorded) == before

    harness.run(story)
