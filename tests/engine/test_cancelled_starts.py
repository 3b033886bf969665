"""Starts that are shared, cancelled, or left by their callers."""

import asyncio

import pytest

from supervisor.core.model import ServerState
from supervisor.errors import (
    Cancelled,
    InvalidParams,
    NotFound,
    StartFailed,
    StopFailed,
)
from tests.engine.harness import TOY, EngineHarness, FakeRequester, slow, toys, with_silent_installers


def test_an_ensure_during_a_stop_gets_accepted_at_once(harness: EngineHarness) -> None:
    async def story() -> None:
        first = await harness.up(harness.editor())
        assert first.process is not None
        harness.system.processes[first.process.pid].ignores_sigterm = True
        stop = asyncio.create_task(harness.supervisor.stop("toy"))
        await asyncio.sleep(1)
        requester = FakeRequester()
        again = asyncio.create_task(harness.up(harness.editor(), requester=requester))
        await asyncio.sleep(0.1)
        assert requester.told == ["accepted", "queued"]
        assert not stop.done()
        second = await again
        assert requester.told.count("accepted") == 1
        assert "starting" in requester.told
        assert second.process != first.process

    harness.run(story)


def test_a_caller_that_joins_while_the_last_launch_ends_is_an_owner(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.process is not None
        process = harness.system.processes[record.process.pid]
        process.denied = True
        with pytest.raises(StopFailed):
            await harness.supervisor.stop("toy")
        harness.system.end(owner)
        process.denied = False
        process.ignores_sigterm = True
        first, second = harness.editor(), harness.editor()
        one = asyncio.create_task(harness.up(first))
        await asyncio.sleep(3)
        two = asyncio.create_task(harness.up(second))
        assert (await one).launch == (await two).launch
        assert {held.process for held in harness.records.server("toy").owners} == {first, second}
        harness.system.end(first)
        await asyncio.sleep(3600)
        assert harness.alive((await two).process)

    harness.run(story)


def test_a_long_silent_install_does_not_count_against_the_start(harness: EngineHarness) -> None:
    with_silent_installers(harness)

    async def story() -> None:
        began = harness.system.clock.now
        record = await harness.up(harness.editor())
        assert record.state is ServerState.READY
        assert harness.system.clock.now - began >= 100

    harness.run(story)


def test_a_cancelled_install_is_ended_and_leaves_nothing(harness: EngineHarness) -> None:
    with_silent_installers(harness)

    async def story() -> None:
        start = asyncio.create_task(harness.up(harness.editor(), request_id="mine"))
        await asyncio.sleep(20)
        harness.engine.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await start
        await asyncio.sleep(3600)
        assert harness.records.servers == {}
        assert len(harness.system.spawned) == 1
        assert not any(harness.alive(installer) for installer in harness.system.spawned)

    harness.run(story)


def test_a_cancelled_ensure_during_a_stop_starts_nothing(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.system.processes[record.process.pid].ignores_sigterm = True
        stop = asyncio.create_task(harness.supervisor.stop("toy"))
        await asyncio.sleep(1)
        again = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(1)
        again.cancel()
        assert (await stop).state is ServerState.STOPPED
        await asyncio.sleep(60)
        assert toys(harness) == []
        assert harness.records.servers == {}

    harness.run(story)


def test_a_caller_that_cancels_a_shared_start_is_no_owner(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        first, second = harness.editor(), harness.editor()
        one = asyncio.create_task(harness.up(first, request_id="one"))
        two = asyncio.create_task(harness.up(second, request_id="two"))
        await asyncio.sleep(1)
        harness.engine.requests.cancel("one")
        with pytest.raises(Cancelled):
            await one
        record = await two
        assert [held.process for held in harness.records.server("toy").owners] == [second]
        harness.system.end(second)
        await asyncio.sleep(20)
        assert not harness.alive(record.process)

    harness.run(story)


def test_an_owner_that_cancels_its_request_still_owns_the_server(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        owner = harness.editor()
        with pytest.raises(StartFailed):
            await harness.up(owner)
        harness.system.programs["toy"] = slow
        again = asyncio.create_task(harness.up(owner, request_id="mine"))
        other = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(1)
        harness.engine.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await again
        record = await other
        assert owner in [held.process for held in harness.records.server("toy").owners]
        assert harness.alive(record.process)

    harness.run(story)


def test_a_start_without_callers_leaves_nothing_behind(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        start = asyncio.create_task(harness.up())
        await asyncio.sleep(1)
        start.cancel()
        await asyncio.sleep(1)
        assert harness.records.servers == {}
        assert all(harness.system.process(identity) is None for identity in harness.system.spawned)

    harness.run(story)


def test_a_start_for_a_living_editor_completes_without_its_connection(
    harness: EngineHarness,
) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        owner = harness.editor()
        start = asyncio.create_task(harness.up(owner, request_id="mine-1"))
        await asyncio.sleep(1)
        start.cancel()
        requester = FakeRequester()
        rejoined = asyncio.create_task(harness.up(owner, request_id="mine-1", requester=requester))
        await asyncio.sleep(10)
        assert rejoined.done()
        assert requester.told[0] == "accepted"
        assert (await harness.up(owner, request_id="mine-1")).launch == (await rejoined).launch
        assert len(harness.system.spawned) == 1

    harness.run(story)


def test_one_caller_that_cancels_does_not_end_the_shared_start(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        first = asyncio.create_task(harness.up(request_id="one"))
        second = asyncio.create_task(harness.up(request_id="two"))
        await asyncio.sleep(1)
        harness.engine.requests.cancel("one")
        await asyncio.sleep(10)
        assert (await second).state is ServerState.READY
        with pytest.raises(Cancelled):
            await first

    harness.run(story)


def test_a_cancelled_start_is_answered_as_cancelled(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        start = asyncio.create_task(harness.up(harness.editor(), request_id="mine"))
        await asyncio.sleep(1)
        harness.engine.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await start
        assert harness.records.servers == {}
        assert all(harness.system.process(identity) is None for identity in harness.system.spawned)

    harness.run(story)


def test_the_outcome_of_a_request_is_kept_for_five_minutes(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up(request_id="mine")
        assert (await harness.engine.requests.result("mine")).state is ServerState.READY
        with pytest.raises(InvalidParams):
            await harness.supervisor.stop("toy", request_id="mine")
        await asyncio.sleep(301)
        with pytest.raises(NotFound):
            await harness.engine.requests.result("mine")

    harness.run(story)


def test_an_editor_that_was_refused_is_no_owner(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        first, second = harness.editor(), harness.editor()
        record = await harness.up(first)
        with pytest.raises(InvalidParams):
            await harness.up(second, ports={"http": 8002, "sessions": 9502})
        harness.system.end(first)
        await asyncio.sleep(20)
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_lost_connection_does_not_end_a_rejoined_request(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        first = asyncio.create_task(harness.up(request_id="mine"))
        await asyncio.sleep(1)
        second = asyncio.create_task(harness.up(request_id="mine"))
        await asyncio.sleep(1)
        first.cancel()
        assert (await second).state is ServerState.READY

    harness.run(story)
