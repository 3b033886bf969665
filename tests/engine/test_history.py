"""The history keeps ended servers visible until it drops them."""

import asyncio

import pytest

from supervisor.core.model import EndedLaunch, ServerState
from supervisor.engine.logs.reader import LogReader
from supervisor.engine.state.history import KEPT, KEPT_S, History
from supervisor.errors import NotFound, StartFailed
from supervisor.native.api import ChildCommand
from tests.engine.harness import EngineHarness, serve
from tests.fakes import SIGTERMED, FakeProcess, FakeSystem


def told(harness: EngineHarness, server: str = "toy") -> tuple[str, int | None, str | None]:
    row = harness.records.history.get(server)
    assert row is not None
    return row.how, row.exit, row.by


def writing(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
    serve(system, process, command)
    command.log.parent.mkdir(parents=True, exist_ok=True)
    command.log.write_text("first\nlast words\n")


def test_stopped_server_is_remembered_with_who_asked(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up()
        await harness.supervisor.stop("toy")
        assert told(harness) == ("stopped", SIGTERMED, "the daemon")
        row = harness.records.history.get("toy")
        assert row is not None
        assert (row.launch, row.log, row.ports) == (record.launch, record.log, record.ports)

    harness.run(story)


def test_reaped_server_is_remembered(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner)
        harness.system.end(owner)
        await asyncio.sleep(60)
        assert told(harness)[0] == "reaped"

    harness.run(story)


def test_crash_is_remembered_after_the_restart(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.system.end(record.process, -9)
        await asyncio.sleep(2)
        assert harness.records.server("toy").state is ServerState.READY
        assert told(harness)[:2] == ("exited", -9)
        await harness.supervisor.restart("toy")
        assert told(harness)[0] == "restarted"

    harness.run(story)


def test_unwanted_failed_server_is_remembered(harness: EngineHarness) -> None:
    harness.system.programs["toy"] = lambda system, process, command: system.end(process.identity, 3)  # noqa: ARG005

    async def story() -> None:
        owner = harness.editor()
        with pytest.raises(StartFailed):
            await harness.up(owner)
        harness.system.end(owner)
        await asyncio.sleep(60)
        assert harness.records.servers == {}
        assert told(harness)[:2] == ("failed", 3)

    harness.run(story)


def test_history_survives_the_daemon(harness: EngineHarness) -> None:
    async def first() -> None:
        await harness.up()
        await harness.supervisor.stop("toy")

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        assert told(later)[0] == "stopped"
        with pytest.raises(NotFound) as caught:
            later.records.server("toy")
        assert caught.value.hint == "it has ended: godot-supervisor inspect toy"

    later.run(second)


def test_crash_loop_names_number_duration_and_exit(harness: EngineHarness) -> None:
    def crashing(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(1, system.end, process.identity, 7)

    async def story() -> None:
        harness.system.programs["toy"] = crashing
        await harness.up(harness.editor())
        await asyncio.sleep(60)
        failure = harness.records.server("toy").failure
        assert failure is not None
        assert failure.message.startswith("crashed 5 times in ")
        assert failure.message.endswith(" s, exit 7; gave up")
        assert failure.exit == 7

    harness.run(story)


def test_repeatedly_failing_start_keeps_its_reason(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        del harness.system.programs["toy"]
        assert record.process is not None
        harness.system.end(record.process, 1)
        await asyncio.sleep(60)
        failure = harness.records.server("toy").failure
        assert failure is not None
        assert "no such program" in failure.message
        assert failure.message.endswith("gave up after 5 tries")

    harness.run(story)


def row(number: int, at: float) -> EndedLaunch:
    name = f"toy-{number}"
    return EndedLaunch(name, "toy", None, None, "l", {}, None, None, at - 1, at, "stopped")


def test_history_is_bounded_in_number_and_age() -> None:
    history = History()
    for number in range(2 * KEPT):
        history.add(row(number, 1000.0 + number))
    assert [kept.id for kept in history.launches()] == [f"toy-{number}" for number in range(KEPT, 2 * KEPT)]
    history.add(row(KEPT, 2000.0))
    assert [kept.id for kept in history.launches()][-1] == f"toy-{KEPT}"
    history.add(row(0, 1001.0 + 2 * KEPT + KEPT_S))
    assert [kept.id for kept in history.launches()] == [f"toy-{KEPT}", "toy-0"]


def test_log_of_an_ended_server_can_be_read(harness: EngineHarness) -> None:
    harness.system.programs["toy"] = writing

    async def story() -> None:
        await harness.up()
        await harness.supervisor.stop("toy")
        logs = LogReader(harness.engine.context, harness.folder / "daemon.log")
        page = await logs.read("toy", 10, whole_lines=False)
        assert (page.lines, page.ended) == (("first", "last words"), True)
        ends: list[bool] = []
        close = logs.follow("toy", page, lambda update: ends.append(update.ended))
        await asyncio.sleep(1)
        close()
        assert ends == [True]
        harness.records.history = History()
        assert (await logs.read("toy", 1, whole_lines=False)).lines == ("last words",)

    harness.run(story)


def test_log_of_an_unknown_server_is_not_found(harness: EngineHarness) -> None:
    async def story() -> None:
        secret = harness.folder / "logs" / "own.log"
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_text("not a server's")
        (harness.folder / "logs" / "servers" / "other").mkdir(parents=True)
        (harness.folder / "logs" / "servers" / "own.log").write_text("not a server's")
        logs = LogReader(harness.engine.context, harness.folder / "daemon.log")
        for name in ("toy", "..", ".", "", "other.", "other/..", "../../logs", "/etc"):
            with pytest.raises(NotFound):
                await logs.read(name, 10, whole_lines=False)

    harness.run(story)
