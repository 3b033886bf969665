"""For how long a server has not answered, and what follows from it."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.core.model import Ports, ServerRecord, ServerState
from supervisor.errors import StartFailed
from supervisor.kinds.kind import SessionRoute
from supervisor.kinds.queries.loopback import UnusableAnswerError
from tests.engine.answers import ANSWERING, Answers
from tests.engine.house import TOY, House

LEASELESS = {**ANSWERING, "identify": {"http": "/s", "port": "http", "match": {"name": "toy"}, "version": "version"}}


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.tables = {"toy": ANSWERING, "leaseless": {**LEASELESS, "ports": {"http": "8100", "sessions": "9600"}}}
    return house


async def refused(house: House, record: ServerRecord, kind: str = "leaseless") -> None:
    with pytest.raises(StartFailed, match="does not answer"):
        await house.up(kind=kind)
    assert house.alive(record.process)


def test_a_server_that_has_not_answered_for_half_a_minute_is_replaced(house: House, answers: Answers) -> None:
    async def story() -> None:
        record = await house.up(kind="leaseless")
        answers.mute = True
        for _ in range(3):
            await refused(house, record)
            await asyncio.sleep(9)
        asyncio.get_running_loop().call_later(3, setattr, answers, "mute", False)
        assert (await house.up(kind="leaseless")).process != record.process

    house.live(story)


def test_a_server_that_has_answered_anybody_in_between_is_not_mute(house: House, answers: Answers) -> None:
    async def story() -> None:
        record = await house.up(kind="leaseless")
        answers.mute = True
        await refused(house, record)
        answers.mute = False
        await house.supervisor.check("leaseless")
        answers.mute = True
        await asyncio.sleep(30)
        await refused(house, record)

    house.live(story)


def test_a_time_in_which_nobody_asked_is_no_silence(house: House, answers: Answers) -> None:
    async def story() -> None:
        record = await house.up(kind="leaseless")
        answers.mute = True
        await refused(house, record)
        await asyncio.sleep(600)
        await refused(house, record)

    house.live(story)


def test_leases_that_a_mute_server_does_not_tell_are_held_while_an_owner_lives(house: House, answers: Answers) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        answers.mute = True
        for _ in range(10):
            with pytest.raises(StartFailed, match="leases are unknown"):
                await house.up(owner)
            await asyncio.sleep(5)
        assert house.alive(record.process)

    house.live(story)


def test_a_hung_server_that_can_only_be_asked_for_its_sessions_is_reaped(house: House) -> None:
    hung = False

    async def count(route: SessionRoute, ports: Ports, timeout_s: float) -> int | None:  # noqa: ARG001
        if hung:
            return None
        raise UnusableAnswerError("no list")

    house.queries = replace(house.queries, count_sessions=count)
    house.tables = {"toy": {**TOY, "sessions": {"http": "/s", "port": "http", "count": "n"}}}

    async def story() -> None:
        nonlocal hung
        owner = house.editor()
        record = await house.up(owner)
        house.system.end(owner)
        await asyncio.sleep(600)
        # It answers, though nothing that could be used: how many sessions it has is not known.
        assert house.alive(record.process)
        hung = True
        await asyncio.sleep(30)
        assert house.alive(record.process)
        await asyncio.sleep(15)
        assert house.records.servers == {}

    house.live(story)


def test_whoever_is_asked_before_a_reap_is_unhealthy_while_it_does_not_answer(house: House, answers: Answers) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner)
        house.system.connections[9500] = 1
        house.system.end(owner)
        answers.mute = True
        await asyncio.sleep(5)
        assert house.records.server("toy").state is ServerState.UNHEALTHY
        answers.mute = False
        await asyncio.sleep(5)
        assert house.records.server("toy").state is ServerState.READY

    house.live(story)


def test_whoever_listens_in_the_place_of_a_server_is_not_asked(house: House, answers: Answers) -> None:
    async def story() -> None:
        record = await house.up()
        system, asked = house.system, len(answers.asked)
        port = record.ports["http"]
        system.listeners = [row for row in system.listeners if row[1] != port]
        system.listen(system.start("thief"), port)
        with pytest.raises(StartFailed, match="does not answer"):
            await house.up()
        assert len(answers.asked) == asked

    house.live(story)


def test_a_server_that_has_left_its_port_to_a_helper_of_its_own_is_asked(house: House, answers: Answers) -> None:
    async def story() -> None:
        record = await house.up()
        system, asked = house.system, len(answers.asked)
        assert record.process is not None
        port = record.ports["http"]
        system.listeners = [row for row in system.listeners if row[1] != port]
        system.listen(system.fork(record.process, "helper"), port)
        assert (await house.up()).process == record.process
        assert len(answers.asked) == asked + 1

    house.live(story)


def test_where_the_system_does_not_tell_who_listens_nothing_is_believed_and_nothing_is_silence(
    house: House, answers: Answers
) -> None:
    from tests.fakes import Fault

    async def story() -> None:
        record = await house.up(kind="leaseless")
        house.system.fails["listeners"] = Fault(OSError(24, "Too many open files"), times=100)
        asked = len(answers.asked)
        for _ in range(5):
            await refused(house, record)
            await asyncio.sleep(10)
        assert len(answers.asked) == asked

    house.live(story)


@pytest.mark.usefixtures("answers")
def test_a_server_whose_recipe_names_its_ports_otherwise_by_now_is_kept_because_nobody_can_ask_it(house: House) -> None:
    async def begin() -> None:
        await house.up(house.editor())

    house.live(begin)
    later = house.restarted()
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
        assert later.ear.of("reaper.failed") == []

    later.live(story)
