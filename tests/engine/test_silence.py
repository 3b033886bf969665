"""The time for which a server has not answered, and its consequences."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.core.model import Ports, ServerRecord, ServerState
from supervisor.errors import StartFailed
from supervisor.kinds.kind import SessionRoute
from supervisor.kinds.queries.loopback import UnusableAnswerError
from tests.engine.answers import ANSWERING, Answers
from tests.engine.harness import TOY, EngineHarness

LEASELESS = {**ANSWERING, "identify": {"http": "/s", "port": "http", "match": {"name": "toy"}, "version": "version"}}


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.tables = {"toy": ANSWERING, "leaseless": {**LEASELESS, "ports": {"http": "8100", "sessions": "9600"}}}
    return harness


async def refused(harness: EngineHarness, record: ServerRecord, kind: str = "leaseless") -> None:
    with pytest.raises(StartFailed, match="does not answer"):
        await harness.up(kind=kind)
    assert harness.alive(record.process)


def test_server_silent_for_half_a_minute_is_replaced(harness: EngineHarness, answers: Answers) -> None:
    async def story() -> None:
        record = await harness.up(kind="leaseless")
        answers.mute = True
        for _ in range(3):
            await refused(harness, record)
            await asyncio.sleep(9)
        asyncio.get_running_loop().call_later(3, setattr, answers, "mute", False)
        assert (await harness.up(kind="leaseless")).process != record.process

    harness.run(story)


def test_answer_in_between_ends_the_silence(harness: EngineHarness, answers: Answers) -> None:
    async def story() -> None:
        record = await harness.up(kind="leaseless")
        answers.mute = True
        await refused(harness, record)
        answers.mute = False
        await harness.engine.inspector.check("leaseless")
        answers.mute = True
        await asyncio.sleep(30)
        await refused(harness, record)

    harness.run(story)


def test_time_without_questions_is_no_silence(harness: EngineHarness, answers: Answers) -> None:
    async def story() -> None:
        record = await harness.up(kind="leaseless")
        answers.mute = True
        await refused(harness, record)
        await asyncio.sleep(600)
        await refused(harness, record)

    harness.run(story)


def test_unknown_leases_of_a_silent_server_count_with_a_live_owner(harness: EngineHarness, answers: Answers) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        answers.mute = True
        for _ in range(10):
            with pytest.raises(StartFailed, match="leases are unknown"):
                await harness.up(owner)
            await asyncio.sleep(5)
        assert harness.alive(record.process)

    harness.run(story)


def test_hung_server_without_identify_is_reaped(harness: EngineHarness) -> None:
    hung = False

    async def count(route: SessionRoute, ports: Ports, timeout_s: float) -> int | None:  # noqa: ARG001
        if hung:
            return None
        raise UnusableAnswerError("no list")

    harness.queries = replace(harness.queries, count_sessions=count)
    harness.tables = {"toy": {**TOY, "sessions": {"http": "/s", "port": "http", "count": "n"}}}

    async def story() -> None:
        nonlocal hung
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.end(owner)
        await asyncio.sleep(600)
        # The server answers, but unusably: the number of its sessions is not known.
        assert harness.alive(record.process)
        hung = True
        await asyncio.sleep(30)
        assert harness.alive(record.process)
        await asyncio.sleep(15)
        assert harness.records.servers == {}

    harness.run(story)


def test_server_that_is_silent_before_a_reap_is_unhealthy(harness: EngineHarness, answers: Answers) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner)
        harness.system.connections[9500] = 1
        harness.system.end(owner)
        answers.mute = True
        await asyncio.sleep(5)
        assert harness.records.server("toy").state is ServerState.UNHEALTHY
        answers.mute = False
        await asyncio.sleep(5)
        assert harness.records.server("toy").state is ServerState.READY

    harness.run(story)


def test_process_on_the_port_of_a_server_is_not_asked(harness: EngineHarness, answers: Answers) -> None:
    async def story() -> None:
        record = await harness.up()
        system, asked = harness.system, len(answers.asked)
        port = record.ports["http"]
        system.listeners = [row for row in system.listeners if row[1] != port]
        system.listen(system.start("thief"), port)
        with pytest.raises(StartFailed, match="does not answer"):
            await harness.up()
        assert len(answers.asked) == asked

    harness.run(story)


def test_server_whose_helper_listens_is_asked(harness: EngineHarness, answers: Answers) -> None:
    async def story() -> None:
        record = await harness.up()
        system, asked = harness.system, len(answers.asked)
        assert record.process is not None
        port = record.ports["http"]
        system.listeners = [row for row in system.listeners if row[1] != port]
        system.listen(system.fork(record.process, "helper"), port)
        assert (await harness.up()).process == record.process
        assert len(answers.asked) == asked + 1

    harness.run(story)


def test_unknown_listeners_are_neither_an_answer_nor_silence(harness: EngineHarness, answers: Answers) -> None:
    from tests.fakes import Fault

    async def story() -> None:
        record = await harness.up(kind="leaseless")
        harness.system.fails["match_listeners"] = Fault(OSError(24, "Too many open files"), times=100)
        asked = len(answers.asked)
        for _ in range(5):
            await refused(harness, record)
            await asyncio.sleep(10)
        assert len(answers.asked) == asked

    harness.run(story)


@pytest.mark.usefixtures("answers")
def test_server_whose_ports_the_recipe_has_renamed_is_kept(
    harness: EngineHarness,
) -> None:
    async def begin() -> None:
        await harness.up(harness.editor())

    harness.run(begin)
    later = harness.restarted()
    identify = {**ANSWERING["identify"], "port": "web"}
    later.tables = {
        "toy": {
            **ANSWERING,
            "command": ["toy", "{web}", "{ws}"],
            "ports": {"web": "8000-8003", "ws": "9500-9503"},
            "identify": identify,
            "sessions": {"tcp": "ws"},
        }
    }

    async def story() -> None:
        record = later.records.server("toy")
        later.system.end(record.owners[0].process)
        await asyncio.sleep(600)
        assert later.alive(record.process)
        assert later.events.of("reaper.failed") == []

    later.run(story)
