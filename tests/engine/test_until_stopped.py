"""A server that was asked for without an owner runs until it is stopped."""

import asyncio

import pytest

from supervisor.core.model import ServerRecord, ServerState
from supervisor.engine.starting.adopt import AdoptRequest
from supervisor.errors import StartFailed
from supervisor.native.api import ChildCommand
from tests.engine.answers import ANSWERING, Answers, start_foreign_toy
from tests.engine.harness import TOY, EngineHarness, serve
from tests.fakes import FakeProcess, FakeSystem


def crash(harness: EngineHarness, record: ServerRecord, status: int = 7) -> None:
    assert record.process is not None
    harness.system.end(record.process, status)


async def comes_back(harness: EngineHarness, before: ServerRecord) -> ServerRecord:
    await asyncio.sleep(2)
    after = harness.records.server(before.id)
    assert (after.state, after.ports) == (ServerState.READY, before.ports)
    assert after.process != before.process
    assert harness.alive(after.process)
    return after


def test_ownerless_server_is_restarted_after_a_crash(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up()
        assert record.until_stopped
        crash(harness, record)
        await comes_back(harness, record)
        await harness.supervisor.stop("toy")
        assert harness.records.servers == {}

    harness.run(story)


def test_ownerless_server_that_keeps_crashing_is_given_up(harness: EngineHarness) -> None:
    def crashing(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(1, system.end, process.identity, 7)

    async def story() -> None:
        harness.system.programs["toy"] = crashing
        await harness.up()
        await asyncio.sleep(120)
        record = harness.records.server("toy")
        assert record.state is ServerState.FAILED
        assert len(harness.events.of("server.exited")) == 5
        await asyncio.sleep(3600)
        assert harness.records.server("toy") == record

    harness.run(story)


def test_ownerless_server_survives_an_owner_that_joined_and_died(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up()
        owner = harness.editor()
        await harness.up(owner)
        harness.system.end(owner)
        await asyncio.sleep(120)
        assert harness.alive(record.process)
        crash(harness, record)
        await comes_back(harness, record)

    harness.run(story)


def test_ownerless_request_keeps_a_server_whose_owner_has_died(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.end(owner)
        await asyncio.sleep(1)
        assert (await harness.up()).until_stopped
        await asyncio.sleep(60)
        assert harness.alive(record.process)

    harness.run(story)


def test_ownerless_request_beside_a_living_owner_changes_nothing(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner)
        assert not (await harness.up()).until_stopped
        harness.system.end(owner)
        await asyncio.sleep(60)
        assert harness.records.servers == {}

    harness.run(story)


@pytest.mark.parametrize("crashes", ["while no daemon runs", "under the next daemon"])
def test_ownerless_server_survives_the_daemon(harness: EngineHarness, crashes: str) -> None:
    rows: list[ServerRecord] = []

    async def first() -> None:
        rows.append(await harness.up())

    harness.run(first)
    if crashes == "while no daemon runs":
        crash(harness, rows[0])
    later = harness.restarted()

    async def second() -> None:
        if crashes == "under the next daemon":
            crash(later, rows[0])
        await comes_back(later, rows[0])

    later.run(second)


def test_ownerless_server_that_waits_to_be_restarted_survives_the_daemon(harness: EngineHarness) -> None:
    async def first() -> None:
        record = await harness.up()
        harness.system.programs["toy"] = lambda system, process, command: system.end(process.identity, 3)  # noqa: ARG005
        crash(harness, record)
        await asyncio.sleep(1)
        assert harness.records.server("toy").state is ServerState.BACKOFF

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        later.system.programs["toy"] = serve
        await asyncio.sleep(5)
        assert later.records.server("toy").state is ServerState.READY

    later.run(second)


def test_registry_of_an_earlier_release_keeps_ownerless_servers(harness: EngineHarness) -> None:
    rows: list[ServerRecord] = []

    async def first() -> None:
        rows.append(await harness.up())

    harness.run(first)
    assert harness.store.data is not None
    harness.store.data = harness.store.data.replace(b',"until_stopped":true', b"")
    later = harness.restarted()

    async def second() -> None:
        crash(later, rows[0])
        await comes_back(later, rows[0])

    later.run(second)


def test_ownerless_server_with_an_idle_time_still_ends(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "idle_s": 30}}

    async def story() -> None:
        record = await harness.up()
        crash(harness, record)
        await comes_back(harness, record)
        owner = harness.editor()
        await harness.up(owner)
        harness.system.end(owner)
        await asyncio.sleep(25)
        assert harness.records.server("toy").state is ServerState.READY
        await asyncio.sleep(60)
        assert harness.records.servers == {}

    harness.run(story)


def test_restart_keeps_a_failed_ownerless_server(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = lambda system, process, command: system.end(process.identity, 3)  # noqa: ARG005
        with pytest.raises(StartFailed):
            await harness.up()
        harness.system.programs["toy"] = serve
        record = await harness.supervisor.restart("toy")
        crash(harness, record)
        await comes_back(harness, record)

    harness.run(story)


def test_cancelled_ownerless_request_leaves_the_server_to_its_owner(harness: EngineHarness) -> None:
    def slow(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        asyncio.get_running_loop().call_later(5, serve, system, process, command)

    async def story() -> None:
        harness.system.programs["toy"] = slow
        ownerless = asyncio.create_task(harness.up(request_id="mine"))
        await asyncio.sleep(1)
        owner = harness.editor()
        joined = asyncio.create_task(harness.up(owner))
        await asyncio.sleep(1)
        harness.engine.requests.cancel("mine")
        await asyncio.gather(ownerless, return_exceptions=True)
        assert not (await joined).until_stopped
        harness.system.end(owner)
        await asyncio.sleep(60)
        assert harness.records.servers == {}

    harness.run(story)


def test_server_adopted_without_an_owner_is_restarted(harness: EngineHarness, answers: Answers) -> None:
    assert not answers.mute
    harness.tables = {"toy": ANSWERING}

    async def story() -> None:
        process = start_foreign_toy(harness)
        record = await harness.supervisor.adopt(AdoptRequest(port=8000))
        assert (record.process, record.until_stopped) == (process, True)
        crash(harness, record)
        await comes_back(harness, record)

    harness.run(story)
