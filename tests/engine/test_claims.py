import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Editor, Origin, ServerState
from supervisor.engine.holders.editors import Arrival
from supervisor.errors import Busy, InvalidParams, NotOurs, StartFailed
from tests.engine.house import TOY, House
from tests.fakes import FakeProcess


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def toys(house: House) -> list[FakeProcess]:
    """The living servers, whichever daemon started them."""
    return [process for process in house.system.processes.values() if process.command[:1] == ("toy",)]


def detach_all(house: House) -> None:
    for editor in list(house.records.editors):
        house.claims.detach(editor, stop=False)


OTHER_PORTS = {"http": 8002, "sessions": 9502}


def test_a_refused_ensure_gives_an_unowned_server_no_owner(house: House) -> None:
    house.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        record = await house.up()
        editor = house.editor()
        with pytest.raises(InvalidParams):
            await house.up(editor, ports=OTHER_PORTS)
        assert house.records.server("toy").owners == ()
        assert not house.records.server("toy").ever_owned
        house.system.end(editor)
        await asyncio.sleep(3600)
        assert house.alive(record.process)

    house.live(story)


@pytest.mark.parametrize(
    ("ports", "field"), [({"nonsense": 1}, "ports"), ({"http": 8000}, "ports")], ids=["unknown name", "one of two"]
)
def test_an_ensure_with_ports_that_the_kind_has_not_leaves_no_row(
    house: House, ports: dict[str, int], field: str
) -> None:
    async def story() -> None:
        with pytest.raises(InvalidParams) as caught:
            await house.up(house.editor(), ports=ports)
        assert caught.value.field == field
        assert house.records.servers == {}
        assert house.system.spawned == {}

    house.live(story)


def test_an_ensure_that_is_refused_as_busy_gives_no_owner(house: House) -> None:
    house.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        house.system.programs["toy"] = lambda *_: None
        first, second = house.editor(), house.editor()
        start = asyncio.create_task(house.up(first))
        await asyncio.sleep(1)
        with pytest.raises(Busy):
            await house.up(second, version="1.0")
        assert [held.process for held in house.records.server("toy").owners] == [first]
        with pytest.raises(StartFailed):
            await start

    house.live(story)


def test_an_owner_stays_one_when_a_later_ensure_of_it_is_refused(house: House) -> None:
    house.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        with pytest.raises(InvalidParams):
            await house.up(owner, ports=OTHER_PORTS)
        await asyncio.sleep(3600)
        assert house.alive(record.process)
        assert [held.process for held in house.records.server("toy").owners] == [owner]

    house.live(story)


def test_whoever_joined_a_start_that_failed_is_still_its_owner(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = lambda *_: None
        first, second = house.editor(), house.editor()
        outcomes = await asyncio.gather(house.up(first), house.up(second), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StartFailed, StartFailed]
        assert {held.process for held in house.records.server("toy").owners} == {first, second}

    house.live(story)


def test_a_server_cannot_attach_itself_and_is_stopped_like_any_other(house: House) -> None:
    async def story() -> None:
        record = await house.up()
        assert record.process is not None
        with pytest.raises(InvalidParams) as caught:
            house.claims.attach(Arrival(record.process.pid))
        assert caught.value.field == "pid"
        assert house.records.editors == {}
        await house.supervisor.stop("toy")
        assert not house.alive(record.process)

    house.live(story)


def left_with_itself_as_editor(house: House) -> House:
    """The daemon after one whose registry has a server's own process among the editors."""

    async def first() -> None:
        record = await house.up()
        assert record.process is not None
        house.records.put_editor(Editor("itself", record.process, None))
        house.records.commit()

    house.live(first)
    later = house.restarted()
    later.tables = house.tables
    return later


@pytest.mark.parametrize("table", [TOY, {"command": ["toy"]}], ids=["with ports", "without ports"])
def test_a_server_that_counts_as_an_editor_is_not_stopped_and_not_forgotten(
    house: House, table: dict[str, Any]
) -> None:
    house.tables = {"toy": table}
    later = left_with_itself_as_editor(house)

    async def second() -> None:
        record = later.records.server("toy")
        assert record.process is not None
        with pytest.raises(NotOurs, match=f"pid {record.process.pid} is an editor or owner itself"):
            await later.supervisor.stop("toy")
        assert later.alive(record.process)
        assert later.records.server("toy") == record
        assert record.state is ServerState.READY
        assert later.ear.of("signal.sent") == []

    later.live(second)


def test_a_server_that_counts_as_an_editor_is_reused_and_not_doubled(house: House) -> None:
    later = left_with_itself_as_editor(house)

    async def second() -> None:
        record = later.records.server("toy")
        with pytest.raises(NotOurs):
            await later.supervisor.stop("toy")
        again = await later.up(later.editor())
        assert again.process == record.process
        assert len(toys(later)) == 1

    later.live(second)


def attach_for(house: House, project: Path) -> Callable[[], object]:
    heir = house.editor()
    return lambda: house.claims.attach(Arrival(heir.pid, project=str(project)))


def test_an_editor_that_inherits_between_the_verdict_and_the_signal_saves_the_server(
    house: House, tmp_path: Path
) -> None:
    async def story() -> None:
        record = await house.up(house.editor(), project=str(tmp_path))
        detach_all(house)
        house.system.meanwhile["table"] = attach_for(house, tmp_path)
        await asyncio.sleep(3600)
        assert len(house.ear.of("server.reprieved")) == 1
        assert house.ear.of("server.reaped") == []
        assert house.ear.of("signal.sent") == []
        assert house.alive(record.process)
        assert house.records.server("toy").state is ServerState.READY

    house.live(story)


def test_an_ensure_between_the_verdict_and_the_signal_waits_and_has_a_server_with_its_owner(house: House) -> None:
    async def story() -> None:
        first, second = house.editor(), house.editor()
        await house.up(first)
        house.system.end(first)
        ensures: list[asyncio.Task[Any]] = []
        house.system.meanwhile["table"] = lambda: ensures.append(asyncio.create_task(house.up(second)))
        await asyncio.sleep(60)
        record = await ensures[0]
        assert house.alive(record.process)
        assert [held.process for held in house.records.server("toy").owners] == [second]
        assert len(toys(house)) == 1

    house.live(story)


def test_who_says_twice_that_it_leaves_has_left_when_it_said_so_first(house: House) -> None:
    async def story() -> None:
        await house.up(house.editor())
        detach_all(house)
        left = house.system.clock.now
        await asyncio.sleep(10)
        detach_all(house)
        await asyncio.sleep(60)
        (reaped,) = house.ear.of("server.reaped")
        assert left + 15 <= reaped["first_sample"] < left + 20

    house.live(story)


def test_a_reprieved_server_is_judged_afresh_when_its_heir_ends(house: House, tmp_path: Path) -> None:
    async def story() -> None:
        heir = house.editor()
        record = await house.up(house.editor(), project=str(tmp_path))
        detach_all(house)
        house.system.meanwhile["table"] = lambda: house.claims.attach(Arrival(heir.pid, project=str(tmp_path)))
        await asyncio.sleep(60)
        assert house.alive(record.process)
        house.system.end(heir)
        ended = house.system.clock.now
        await asyncio.sleep(20)
        (reaped,) = house.ear.of("server.reaped")
        assert ended <= reaped["first_sample"]
        assert reaped["second_sample"] - reaped["first_sample"] >= 5
        assert not house.alive(record.process)

    house.live(story)


def test_a_rebuilt_server_is_not_reaped_though_the_only_owner_that_is_known_has_ended(house: House) -> None:
    first_owner, second_owner = house.editor(), house.editor()

    async def first() -> None:
        await house.up(first_owner)
        await house.up(second_owner)

    house.live(first)
    house.store.data = None
    later = house.restarted()

    async def second() -> None:
        record = later.records.server("toy")
        assert record.owners_unknown
        later.system.end(first_owner)
        await asyncio.sleep(3600)
        assert later.alive(record.process)
        assert later.ear.of("signal.sent") == []

    later.live(second)


def test_that_the_owners_of_a_server_are_unknown_outlives_the_next_daemon(house: House) -> None:
    owner = house.editor()

    async def first() -> None:
        await house.up(owner)

    house.live(first)
    house.store.data = None
    later = house.restarted()

    async def second() -> None:
        assert later.records.server("toy").owners_unknown

    later.live(second)
    last = later.restarted()

    async def third() -> None:
        record = last.records.server("toy")
        last.system.end(owner)
        await asyncio.sleep(3600)
        assert last.alive(record.process)

    last.live(third)


def test_a_rebuilt_server_takes_its_next_owner_and_is_kept_when_that_one_ends(house: House) -> None:
    async def first() -> None:
        await house.up(house.editor())

    house.live(first)
    house.store.data = None
    later = house.restarted()

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

    later.live(second)


def test_what_is_started_in_place_of_a_rebuilt_server_is_reaped_like_any_other(house: House) -> None:
    async def first() -> None:
        await house.up(house.editor())

    house.live(first)
    house.store.data = None
    later = house.restarted()

    async def second() -> None:
        await later.supervisor.stop("toy")
        owner = later.editor()
        record = await later.up(owner)
        assert not record.owners_unknown
        later.system.end(owner)
        await asyncio.sleep(20)
        assert not later.alive(record.process)

    later.live(second)


def test_a_stop_that_a_user_asked_for_is_finished_by_the_next_daemon(house: House) -> None:
    async def first() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        house.system.processes[record.process.pid].ignores_sigterm = True
        asyncio.create_task(house.supervisor.stop("toy"))  # noqa: RUF006 (it goes with its daemon)
        await asyncio.sleep(1)
        assert house.records.server("toy").state is ServerState.STOPPING

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        assert len(toys(later)) == 1
        await asyncio.sleep(30)
        assert toys(later) == []
        assert later.records.servers == {}

    later.live(second)


def test_a_verdict_of_a_daemon_that_was_killed_is_not_carried_out_by_the_next(house: House) -> None:
    owner = house.editor()

    async def first() -> None:
        record = await house.up(owner)
        assert record.process is not None
        house.system.processes[record.process.pid].ignores_sigterm = True
        detach_all(house)
        await asyncio.sleep(21)
        assert house.records.server("toy").state is ServerState.STOPPING

    house.live(first)
    later = house.restarted()
    later.system.connections[9500] = 1

    async def second() -> None:
        (process,) = toys(later)
        assert later.records.server("toy").state is ServerState.READY
        await asyncio.sleep(3600)
        assert later.alive(process.identity)
        assert later.ear.of("signal.sent") == []

    later.live(second)


def test_a_verdict_of_a_daemon_that_was_killed_is_given_again_by_the_next_if_it_still_holds(house: House) -> None:
    async def first() -> None:
        owner = house.editor()
        record = await house.up(owner)
        assert record.process is not None
        house.system.processes[record.process.pid].ignores_sigterm = True
        house.system.end(owner)
        await asyncio.sleep(6)
        assert house.records.server("toy").state is ServerState.STOPPING

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        began = later.system.clock.now
        await asyncio.sleep(30)
        assert toys(later) == []
        (reaped,) = later.ear.of("server.reaped")
        assert reaped["first_sample"] >= began
        assert reaped["second_sample"] - reaped["first_sample"] >= 5

    later.live(second)


def test_a_server_that_ends_while_its_only_owner_lingers_is_started_again_and_inherited(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        first = await house.up(owner)
        assert first.process is not None
        detach_all(house)
        await asyncio.sleep(1)
        house.system.end(first.process, 9)
        await asyncio.sleep(1)
        house.claims.attach(Arrival(owner.pid))
        await asyncio.sleep(3600)
        record = house.records.server("toy")
        assert record.launch != first.launch
        assert house.alive(record.process)
        assert [(held.process, held.leaving) for held in record.owners] == [(owner, False)]

    house.live(story)


def test_a_server_that_ended_while_its_owner_lingered_goes_when_nobody_comes_back(house: House) -> None:
    async def story() -> None:
        first = await house.up(house.editor())
        assert first.process is not None
        detach_all(house)
        left = house.system.clock.now
        await asyncio.sleep(1)
        house.system.end(first.process, 9)
        await asyncio.sleep(left + 15 - house.system.clock.now)
        assert len(toys(house)) == 1
        await asyncio.sleep(10)
        assert toys(house) == []
        assert house.records.servers == {}

    house.live(story)


def test_a_server_that_ends_after_the_linger_is_not_started_again(house: House) -> None:
    async def story() -> None:
        first = await house.up(house.editor())
        assert first.process is not None
        detach_all(house)
        await asyncio.sleep(16)
        house.system.end(first.process, 9)
        await asyncio.sleep(60)
        assert house.records.servers == {}
        assert len(house.system.spawned) == 1

    house.live(story)


@pytest.mark.parametrize("pid", [0, -1, -4711])
def test_a_number_that_no_process_has_is_no_owner(house: House, pid: int) -> None:
    async def story() -> None:
        with pytest.raises(InvalidParams) as caught:
            house.claims.attach(Arrival(pid))
        assert caught.value.field == "pid"

    house.live(story)


def test_a_thread_or_the_daemon_itself_is_no_owner(house: House) -> None:
    async def story() -> None:
        editor = house.editor()
        house.system.processes[editor.pid].no_process = f"{editor.pid} is a thread of process 4711"
        for pid in (editor.pid, house.system.me.pid):
            with pytest.raises(InvalidParams) as caught:
                house.claims.attach(Arrival(pid))
            assert caught.value.field == "pid"
        assert house.records.editors == {}

    house.live(story)


def test_the_first_process_is_an_owner_only_as_an_editor(house: House) -> None:
    async def story() -> None:
        house.system.start("systemd", pid=1)
        with pytest.raises(InvalidParams, match="outlives"):
            house.claims.attach(Arrival(1))
        house.system.end(house.system.processes[1].identity)
        house.system.start("godot", "--editor", pid=1)
        assert house.claims.attach(Arrival(1)).process.pid == 1

    house.live(story)
