import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Editor, Origin, ServerState
from supervisor.engine.claims.editors import Arrival
from supervisor.errors import Busy, InvalidParams, NotOurs, StartFailed
from tests.engine.harness import TOY, EngineHarness
from tests.fakes import FakeProcess


def toys(harness: EngineHarness) -> list[FakeProcess]:
    """The living servers, whichever daemon started them."""
    return [process for process in harness.system.processes.values() if process.command[:1] == ("toy",)]


def detach_all(harness: EngineHarness) -> None:
    for editor in list(harness.records.editors):
        harness.attachments.detach(editor, stop=False)


OTHER_PORTS = {"http": 8002, "sessions": 9502}


def test_a_refused_ensure_gives_an_unowned_server_no_owner(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        record = await harness.up()
        editor = harness.editor()
        with pytest.raises(InvalidParams):
            await harness.up(editor, ports=OTHER_PORTS)
        assert harness.records.server("toy").owners == ()
        assert not harness.records.server("toy").ever_owned
        harness.system.end(editor)
        await asyncio.sleep(3600)
        assert harness.alive(record.process)

    harness.run(story)


@pytest.mark.parametrize(
    ("ports", "field"), [({"nonsense": 1}, "ports"), ({"http": 8000}, "ports")], ids=["unknown name", "one of two"]
)
def test_an_ensure_with_wrong_ports_leaves_no_record(harness: EngineHarness, ports: dict[str, int], field: str) -> None:
    async def story() -> None:
        with pytest.raises(InvalidParams) as caught:
            await harness.up(harness.editor(), ports=ports)
        assert caught.value.field == field
        assert harness.records.servers == {}
        assert harness.system.spawned == {}

    harness.run(story)


def test_an_ensure_that_is_refused_as_busy_gives_no_owner(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        harness.system.programs["toy"] = lambda *_: None
        first, second = harness.editor(), harness.editor()
        start = asyncio.create_task(harness.up(first))
        await asyncio.sleep(1)
        with pytest.raises(Busy):
            await harness.up(second, version="1.0")
        assert [held.process for held in harness.records.server("toy").owners] == [first]
        with pytest.raises(StartFailed):
            await start

    harness.run(story)


def test_an_owner_stays_owner_when_its_next_ensure_is_refused(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        with pytest.raises(InvalidParams):
            await harness.up(owner, ports=OTHER_PORTS)
        await asyncio.sleep(3600)
        assert harness.alive(record.process)
        assert [held.process for held in harness.records.server("toy").owners] == [owner]

    harness.run(story)


def test_a_caller_that_joined_a_failed_start_is_its_owner(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = lambda *_: None
        first, second = harness.editor(), harness.editor()
        outcomes = await asyncio.gather(harness.up(first), harness.up(second), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StartFailed, StartFailed]
        assert {held.process for held in harness.records.server("toy").owners} == {first, second}

    harness.run(story)


def test_a_server_cannot_attach_itself_and_is_stopped_like_any_other(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up()
        assert record.process is not None
        with pytest.raises(InvalidParams) as caught:
            harness.attachments.attach(Arrival(record.process.pid))
        assert caught.value.field == "pid"
        assert harness.records.editors == {}
        await harness.supervisor.stop("toy")
        assert not harness.alive(record.process)

    harness.run(story)


def left_with_itself_as_editor(harness: EngineHarness) -> EngineHarness:
    """The daemon after one whose registry has a server's own process among the editors."""

    async def first() -> None:
        record = await harness.up()
        assert record.process is not None
        harness.records.put_editor(Editor("itself", record.process, None))
        harness.records.commit()

    harness.run(first)
    later = harness.restarted()
    later.tables = harness.tables
    return later


@pytest.mark.parametrize("table", [TOY, {"command": ["toy"]}], ids=["with ports", "without ports"])
def test_a_server_that_counts_as_an_editor_is_kept(harness: EngineHarness, table: dict[str, Any]) -> None:
    harness.tables = {"toy": table}
    later = left_with_itself_as_editor(harness)

    async def second() -> None:
        record = later.records.server("toy")
        assert record.process is not None
        with pytest.raises(NotOurs, match=f"pid {record.process.pid} is an editor or owner itself"):
            await later.supervisor.stop("toy")
        assert later.alive(record.process)
        assert later.records.server("toy") == record
        assert record.state is ServerState.READY
        assert later.events.of("signal.sent") == []

    later.run(second)


def test_a_server_that_counts_as_an_editor_is_reused_and_not_doubled(harness: EngineHarness) -> None:
    later = left_with_itself_as_editor(harness)

    async def second() -> None:
        record = later.records.server("toy")
        with pytest.raises(NotOurs):
            await later.supervisor.stop("toy")
        again = await later.up(later.editor())
        assert again.process == record.process
        assert len(toys(later)) == 1

    later.run(second)


def attach_for(harness: EngineHarness, project: Path) -> Callable[[], object]:
    heir = harness.editor()
    return lambda: harness.attachments.attach(Arrival(heir.pid, project=str(project)))


def test_an_editor_that_inherits_before_the_signal_saves_the_server(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor(), project=str(tmp_path))
        detach_all(harness)
        harness.while_stopping(attach_for(harness, tmp_path))
        await asyncio.sleep(3600)
        assert len(harness.events.of("server.reprieved")) == 1
        assert harness.events.of("server.reaped") == []
        assert harness.events.of("signal.sent") == []
        assert harness.alive(record.process)
        assert harness.records.server("toy").state is ServerState.READY

    harness.run(story)


def test_an_ensure_between_verdict_and_signal_gets_a_server(
    harness: EngineHarness,
) -> None:
    async def story() -> None:
        first, second = harness.editor(), harness.editor()
        await harness.up(first)
        harness.system.end(first)
        ensures: list[asyncio.Task[Any]] = []
        harness.system.meanwhile["table"] = lambda: ensures.append(asyncio.create_task(harness.up(second)))
        await asyncio.sleep(60)
        record = await ensures[0]
        assert harness.alive(record.process)
        assert [held.process for held in harness.records.server("toy").owners] == [second]
        assert len(toys(harness)) == 1

    harness.run(story)


def test_a_repeated_detach_counts_from_the_first(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up(harness.editor())
        detach_all(harness)
        left = harness.system.clock.now
        await asyncio.sleep(10)
        detach_all(harness)
        await asyncio.sleep(60)
        (reaped,) = harness.events.of("server.reaped")
        assert left + 15 <= reaped["first_sample"] < left + 20

    harness.run(story)


def test_an_inherited_server_is_judged_anew_when_its_heir_ends(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        heir = harness.editor()
        record = await harness.up(harness.editor(), project=str(tmp_path))
        detach_all(harness)
        harness.while_stopping(lambda: harness.attachments.attach(Arrival(heir.pid, project=str(tmp_path))))
        await asyncio.sleep(60)
        assert harness.alive(record.process)
        harness.system.end(heir)
        ended = harness.system.clock.now
        await asyncio.sleep(20)
        (reaped,) = harness.events.of("server.reaped")
        assert ended <= reaped["first_sample"]
        assert reaped["second_sample"] - reaped["first_sample"] >= 5
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_rebuilt_server_is_kept_after_its_known_owner_has_ended(harness: EngineHarness) -> None:
    first_owner, second_owner = harness.editor(), harness.editor()

    async def first() -> None:
        await harness.up(first_owner)
        await harness.up(second_owner)

    harness.run(first)
    harness.store.data = None
    later = harness.restarted()

    async def second() -> None:
        record = later.records.server("toy")
        assert record.owners_unknown
        later.system.end(first_owner)
        await asyncio.sleep(3600)
        assert later.alive(record.process)
        assert later.events.of("signal.sent") == []

    later.run(second)


def test_unknown_owners_stay_unknown_after_two_daemons(harness: EngineHarness) -> None:
    owner = harness.editor()

    async def first() -> None:
        await harness.up(owner)

    harness.run(first)
    harness.store.data = None
    later = harness.restarted()

    async def second() -> None:
        assert later.records.server("toy").owners_unknown

    later.run(second)
    last = later.restarted()

    async def third() -> None:
        record = last.records.server("toy")
        last.system.end(owner)
        await asyncio.sleep(3600)
        assert last.alive(record.process)

    last.run(third)


def test_a_rebuilt_server_is_kept_when_its_next_owner_ends(harness: EngineHarness) -> None:
    async def first() -> None:
        await harness.up(harness.editor())

    harness.run(first)
    harness.store.data = None
    later = harness.restarted()

    async def second() -> None:
        owner = later.editor()
        record = await later.up(owner)
        assert record.origin is Origin.ADOPTED
        assert owner in [held.process for held in record.owners]
        for process in list(later.system.processes.values()):
            if process.command[:1] == ("godot",):
                later.system.end(process.identity)
        await asyncio.sleep(3600)
        assert later.alive(record.process)
        assert (await later.supervisor.stop("toy")).state is ServerState.STOPPED
        assert not later.alive(record.process)

    later.run(second)


def test_the_next_launch_of_a_rebuilt_server_is_reaped_as_usual(harness: EngineHarness) -> None:
    async def first() -> None:
        await harness.up(harness.editor())

    harness.run(first)
    harness.store.data = None
    later = harness.restarted()

    async def second() -> None:
        await later.supervisor.stop("toy")
        owner = later.editor()
        record = await later.up(owner)
        assert not record.owners_unknown
        later.system.end(owner)
        await asyncio.sleep(20)
        assert not later.alive(record.process)

    later.run(second)


def test_a_stop_that_a_user_asked_for_is_finished_by_the_next_daemon(harness: EngineHarness) -> None:
    async def first() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.system.processes[record.process.pid].ignores_sigterm = True
        asyncio.create_task(harness.supervisor.stop("toy"))  # noqa: RUF006 (it goes with its daemon)
        await asyncio.sleep(1)
        assert harness.records.server("toy").state is ServerState.STOPPING

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        assert len(toys(later)) == 1
        await asyncio.sleep(30)
        assert toys(later) == []
        assert later.records.servers == {}

    later.run(second)


def test_a_killed_daemons_verdict_is_not_carried_out_by_the_next(harness: EngineHarness) -> None:
    owner = harness.editor()

    async def first() -> None:
        record = await harness.up(owner)
        assert record.process is not None
        harness.system.processes[record.process.pid].ignores_sigterm = True
        detach_all(harness)
        await asyncio.sleep(21)
        assert harness.records.server("toy").state is ServerState.STOPPING

    harness.run(first)
    later = harness.restarted()
    later.system.connections[9500] = 1

    async def second() -> None:
        (process,) = toys(later)
        assert later.records.server("toy").state is ServerState.READY
        await asyncio.sleep(3600)
        assert later.alive(process.identity)
        assert later.events.of("signal.sent") == []

    later.run(second)


def test_a_killed_daemons_verdict_is_judged_again_by_the_next(
    harness: EngineHarness,
) -> None:
    async def first() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.process is not None
        harness.system.processes[record.process.pid].ignores_sigterm = True
        harness.system.end(owner)
        await asyncio.sleep(6)
        assert harness.records.server("toy").state is ServerState.STOPPING

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        began = later.system.clock.now
        await asyncio.sleep(30)
        assert toys(later) == []
        (reaped,) = later.events.of("server.reaped")
        assert reaped["first_sample"] >= began
        assert reaped["second_sample"] - reaped["first_sample"] >= 5

    later.run(second)


def test_a_server_that_ends_while_its_owner_lingers_is_inherited(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        first = await harness.up(owner)
        assert first.process is not None
        detach_all(harness)
        await asyncio.sleep(1)
        harness.system.end(first.process, 9)
        await asyncio.sleep(1)
        harness.attachments.attach(Arrival(owner.pid))
        await asyncio.sleep(3600)
        record = harness.records.server("toy")
        assert record.launch != first.launch
        assert harness.alive(record.process)
        assert [(held.process, held.leaving) for held in record.owners] == [(owner, False)]

    harness.run(story)


def test_a_server_that_ended_while_its_owner_lingered_is_dropped(harness: EngineHarness) -> None:
    async def story() -> None:
        first = await harness.up(harness.editor())
        assert first.process is not None
        detach_all(harness)
        left = harness.system.clock.now
        await asyncio.sleep(1)
        harness.system.end(first.process, 9)
        await asyncio.sleep(left + 15 - harness.system.clock.now)
        assert len(toys(harness)) == 1
        await asyncio.sleep(10)
        assert toys(harness) == []
        assert harness.records.servers == {}

    harness.run(story)


def test_a_server_that_ends_after_the_linger_is_not_started_again(harness: EngineHarness) -> None:
    async def story() -> None:
        first = await harness.up(harness.editor())
        assert first.process is not None
        detach_all(harness)
        await asyncio.sleep(16)
        harness.system.end(first.process, 9)
        await asyncio.sleep(60)
        assert harness.records.servers == {}
        assert len(harness.system.spawned) == 1

    harness.run(story)


@pytest.mark.parametrize("pid", [0, -1, -4711])
def test_a_number_that_no_process_has_is_no_owner(harness: EngineHarness, pid: int) -> None:
    async def story() -> None:
        with pytest.raises(InvalidParams) as caught:
            harness.attachments.attach(Arrival(pid))
        assert caught.value.field == "pid"

    harness.run(story)


def test_a_thread_or_the_daemon_itself_is_no_owner(harness: EngineHarness) -> None:
    async def story() -> None:
        editor = harness.editor()
        harness.system.processes[editor.pid].no_process = f"{editor.pid} is a thread of process 4711"
        for pid in (editor.pid, harness.system.me.pid):
            with pytest.raises(InvalidParams) as caught:
                harness.attachments.attach(Arrival(pid))
            assert caught.value.field == "pid"
        assert harness.records.editors == {}

    harness.run(story)


def test_the_first_process_is_an_owner_only_as_an_editor(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.start("systemd", pid=1)
        with pytest.raises(InvalidParams, match="outlives"):
            harness.attachments.attach(Arrival(1))
        harness.system.end(harness.system.processes[1].identity)
        harness.system.start("godot", "--editor", pid=1)
        assert harness.attachments.attach(Arrival(1)).process.pid == 1

    harness.run(story)
