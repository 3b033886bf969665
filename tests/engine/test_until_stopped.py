"""A server that was asked for without an owner runs until it is stopped."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ServerRecord, ServerState
from supervisor.engine.starting.adopt import AdoptRequest
from supervisor.errors import StartFailed
from supervisor.native.api import Command
from tests.engine.answers import ANSWERING, Answers, strangers_toy
from tests.engine.house import TOY, House, serve
from tests.fakes import FakeProcess, FakeSystem


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def crash(house: House, record: ServerRecord, status: int = 7) -> None:
    assert record.process is not None
    house.system.end(record.process, status)


async def comes_back(house: House, before: ServerRecord) -> ServerRecord:
    await asyncio.sleep(2)
    after = house.records.server(before.id)
    assert (after.state, after.ports) == (ServerState.READY, before.ports)
    assert after.process != before.process
    assert house.alive(after.process)
    return after


def test_ownerless_server_is_started_again_after_a_crash(house: House) -> None:
    async def story() -> None:
        record = await house.up()
        assert record.until_stopped
        crash(house, record)
        await comes_back(house, record)
        await house.supervisor.stop("toy")
        assert house.records.servers == {}

    house.live(story)


def test_ownerless_server_that_crashes_on_and_on_is_given_up(house: House) -> None:
    def crashing(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(1, system.end, process.identity, 7)

    async def story() -> None:
        house.system.programs["toy"] = crashing
        await house.up()
        await asyncio.sleep(120)
        record = house.records.server("toy")
        assert record.state is ServerState.FAILED
        assert len(house.ear.of("server.exited")) == 5
        await asyncio.sleep(3600)
        assert house.records.server("toy") == record

    house.live(story)


def test_ownerless_server_survives_an_owner_who_joined_and_died(house: House) -> None:
    async def story() -> None:
        record = await house.up()
        owner = house.editor()
        await house.up(owner)
        house.system.end(owner)
        await asyncio.sleep(120)
        assert house.alive(record.process)
        crash(house, record)
        await comes_back(house, record)

    house.live(story)


def test_ownerless_wish_saves_a_server_whose_owner_has_died(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        house.system.end(owner)
        await asyncio.sleep(1)
        assert (await house.up()).until_stopped
        await asyncio.sleep(60)
        assert house.alive(record.process)

    house.live(story)


def test_ownerless_wish_beside_a_living_owner_promises_nothing(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner)
        assert not (await house.up()).until_stopped
        house.system.end(owner)
        await asyncio.sleep(60)
        assert house.records.servers == {}

    house.live(story)


@pytest.mark.parametrize("crashes", ["while no daemon runs", "under the next daemon"])
def test_promise_to_nobody_in_particular_survives_the_daemon(house: House, crashes: str) -> None:
    rows: list[ServerRecord] = []

    async def first() -> None:
        rows.append(await house.up())

    house.live(first)
    if crashes == "while no daemon runs":
        crash(house, rows[0])
    later = house.restarted()

    async def second() -> None:
        if crashes == "under the next daemon":
            crash(later, rows[0])
        await comes_back(later, rows[0])

    later.live(second)


def test_ownerless_server_that_waits_to_be_restarted_survives_the_daemon(house: House) -> None:
    async def first() -> None:
        record = await house.up()
        house.system.programs["toy"] = lambda system, process, command: system.end(process.identity, 3)  # noqa: ARG005
        crash(house, record)
        await asyncio.sleep(1)
        assert house.records.server("toy").state is ServerState.BACKOFF

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        later.system.programs["toy"] = serve
        await asyncio.sleep(5)
        assert later.records.server("toy").state is ServerState.READY

    later.live(second)


def test_registry_of_an_earlier_release_keeps_the_promise(house: House) -> None:
    rows: list[ServerRecord] = []

    async def first() -> None:
        rows.append(await house.up())

    house.live(first)
    assert house.store.data is not None
    house.store.data = house.store.data.replace(b',"until_stopped":true', b"")
    later = house.restarted()

    async def second() -> None:
        crash(later, rows[0])
        await comes_back(later, rows[0])

    later.live(second)


def test_kind_with_an_idle_time_still_ends(house: House) -> None:
    house.tables = {"toy": {**TOY, "idle_s": 30}}

    async def story() -> None:
        record = await house.up()
        crash(house, record)
        await comes_back(house, record)
        owner = house.editor()
        await house.up(owner)
        house.system.end(owner)
        await asyncio.sleep(25)
        assert house.records.server("toy").state is ServerState.READY
        await asyncio.sleep(60)
        assert house.records.servers == {}

    house.live(story)


def test_start_that_failed_for_nobody_in_particular_is_kept_by_a_restart(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = lambda system, process, command: system.end(process.identity, 3)  # noqa: ARG005
        with pytest.raises(StartFailed):
            await house.up()
        house.system.programs["toy"] = serve
        record = await house.supervisor.restart("toy")
        crash(house, record)
        await comes_back(house, record)

    house.live(story)


def test_cancelled_ownerless_wish_leaves_the_server_to_who_joined_it(house: House) -> None:
    def slow(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        asyncio.get_running_loop().call_later(5, serve, system, process, command)

    async def story() -> None:
        house.system.programs["toy"] = slow
        ownerless = asyncio.create_task(house.up(request_id="mine"))
        await asyncio.sleep(1)
        owner = house.editor()
        joined = asyncio.create_task(house.up(owner))
        await asyncio.sleep(1)
        house.supervisor.cancel("mine")
        await asyncio.gather(ownerless, return_exceptions=True)
        assert not (await joined).until_stopped
        house.system.end(owner)
        await asyncio.sleep(60)
        assert house.records.servers == {}

    house.live(story)


def test_server_adopted_without_an_owner_is_started_again(house: House, answers: Answers) -> None:
    assert not answers.mute
    house.tables = {"toy": ANSWERING}

    async def story() -> None:
        process = strangers_toy(house)
        record = await house.supervisor.adopt(AdoptRequest(port=8000))
        assert (record.process, record.until_stopped) == (process, True)
        crash(house, record)
        await comes_back(house, record)

    house.live(story)
