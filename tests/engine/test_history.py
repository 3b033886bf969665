"""What has ended stays visible, until it is pruned."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import Ended, ServerState
from supervisor.engine.logs.tail import LogTail
from supervisor.engine.state.history import KEPT, KEPT_S, History
from supervisor.errors import NotFound, StartFailed
from supervisor.native.api import Command
from tests.engine.house import House, serve
from tests.fakes import SIGTERMED, FakeProcess, FakeSystem


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def told(house: House, server: str = "toy") -> tuple[str, int | None, str | None]:
    row = house.records.history.get(server)
    assert row is not None
    return row.how, row.exit, row.by


def writing(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    serve(system, process, command)
    command.log.parent.mkdir(parents=True, exist_ok=True)
    command.log.write_text("first\nlast words\n")


def test_stopped_server_is_remembered_with_who_asked(house: House) -> None:
    async def story() -> None:
        record = await house.up()
        await house.supervisor.stop("toy")
        assert told(house) == ("stopped", SIGTERMED, "the daemon")
        row = house.records.history.get("toy")
        assert row is not None
        assert (row.launch, row.log, row.ports) == (record.launch, record.log, record.ports)

    house.live(story)


def test_reaped_server_is_remembered(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner)
        house.system.end(owner)
        await asyncio.sleep(60)
        assert told(house)[0] == "reaped"

    house.live(story)


def test_crash_is_remembered_beside_the_server_that_came_back(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        house.system.end(record.process, -9)
        await asyncio.sleep(2)
        assert house.records.server("toy").state is ServerState.READY
        assert told(house)[:2] == ("exited", -9)
        await house.supervisor.restart("toy")
        assert told(house)[0] == "restarted"

    house.live(story)


def test_failed_server_that_nobody_wants_is_remembered(house: House) -> None:
    house.system.programs["toy"] = lambda system, process, command: system.end(process.identity, 3)  # noqa: ARG005

    async def story() -> None:
        owner = house.editor()
        with pytest.raises(StartFailed):
            await house.up(owner)
        house.system.end(owner)
        await asyncio.sleep(60)
        assert house.records.servers == {}
        assert told(house)[:2] == ("failed", 3)

    house.live(story)


def test_history_survives_the_daemon(house: House) -> None:
    async def first() -> None:
        await house.up()
        await house.supervisor.stop("toy")

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        assert told(later)[0] == "stopped"
        with pytest.raises(NotFound) as caught:
            later.records.server("toy")
        assert caught.value.hint == "it has ended: godot-supervisor inspect toy"

    later.live(second)


def test_crash_loop_says_how_often_how_long_and_how(house: House) -> None:
    def crashing(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(1, system.end, process.identity, 7)

    async def story() -> None:
        house.system.programs["toy"] = crashing
        await house.up(house.editor())
        await asyncio.sleep(60)
        failure = house.records.server("toy").failure
        assert failure is not None
        assert failure.message.startswith("crashed 5 times in ")
        assert failure.message.endswith(" s, exit 7; gave up")
        assert failure.exit == 7

    house.live(story)


def test_start_that_fails_on_and_on_keeps_its_reason(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        del house.system.programs["toy"]
        assert record.process is not None
        house.system.end(record.process, 1)
        await asyncio.sleep(60)
        failure = house.records.server("toy").failure
        assert failure is not None
        assert "no such program" in failure.message
        assert failure.message.endswith("gave up after 5 tries")

    house.live(story)


def row(number: int, at: float) -> Ended:
    name = f"toy-{number}"
    return Ended(name, "toy", None, None, "l", {}, None, None, at - 1, at, "stopped")


def test_history_is_bounded_in_number_and_age() -> None:
    history = History()
    for number in range(2 * KEPT):
        history.add(row(number, 1000.0 + number))
    assert [kept.id for kept in history.rows()] == [f"toy-{number}" for number in range(KEPT, 2 * KEPT)]
    history.add(row(KEPT, 2000.0))
    assert [kept.id for kept in history.rows()][-1] == f"toy-{KEPT}"
    history.add(row(0, 1001.0 + 2 * KEPT + KEPT_S))
    assert [kept.id for kept in history.rows()] == [f"toy-{KEPT}", "toy-0"]


def test_log_of_what_has_ended_can_be_read(house: House) -> None:
    house.system.programs["toy"] = writing

    async def story() -> None:
        await house.up()
        await house.supervisor.stop("toy")
        logs = LogTail(house.engine.context, house.folder / "daemon.log")
        page = await logs.read("toy", 10, whole_lines=False)
        assert (page.lines, page.ended) == (("first", "last words"), True)
        ends: list[bool] = []
        close = logs.follow("toy", page, lambda *told: ends.append(told[2]))
        await asyncio.sleep(1)
        close()
        assert ends == [True]
        house.records.history = History()
        assert (await logs.read("toy", 1, whole_lines=False)).lines == ("last words",)

    house.live(story)


def test_log_of_what_never_was_is_not_found(house: House) -> None:
    async def story() -> None:
        secret = house.folder / "logs" / "own.log"
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_text("not a server's")
        (house.folder / "logs" / "servers" / "other").mkdir(parents=True)
        (house.folder / "logs" / "servers" / "own.log").write_text("not a server's")
        logs = LogTail(house.engine.context, house.folder / "daemon.log")
        for name in ("toy", "..", ".", "", "other.", "other/..", "../../logs", "/etc"):
            with pytest.raises(NotFound):
                await logs.read(name, 10, whole_lines=False)

    house.live(story)
