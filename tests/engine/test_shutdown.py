"""The end of the daemon: operations that are running, and servers that it stops or leaves."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ServerState
from supervisor.errors import (
    ShuttingDown,
)
from tests.engine.harness import EngineHarness, slow, toys, with_silent_installers


def test_a_shutdown_with_servers_stops_one_that_is_being_started(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        start = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(2)
        await harness.supervisor.close(servers=True)
        await asyncio.gather(start, return_exceptions=True)
        assert toys(harness) == []
        assert harness.records.servers == {}

    harness.run(story)


def test_a_shutdown_with_servers_starts_none_for_queued_requests(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.system.processes[record.process.pid].ignores_sigterm = True
        stop = asyncio.create_task(harness.supervisor.stop("toy"))
        await asyncio.sleep(1)
        again = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(0.1)
        await harness.supervisor.close(servers=True)
        with pytest.raises(ShuttingDown):
            await again
        assert len(harness.system.spawned) == 1
        assert toys(harness) == []
        await asyncio.gather(stop, return_exceptions=True)

    harness.run(story)


def test_a_shutdown_with_servers_stops_all_at_once(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        for name in ("one", "two", "three"):
            (tmp_path / name).mkdir()
            record = await harness.up(harness.editor(), "solo", project=str(tmp_path / name))
            assert record.process is not None
            harness.system.processes[record.process.pid].ignores_sigterm = True
        began = harness.system.clock.now
        await harness.supervisor.close(servers=True)
        assert toys(harness) == []
        assert harness.system.clock.now - began < 15

    harness.run(story)


def test_a_server_that_a_shutdown_cannot_stop_is_reported(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        (tmp_path / "game").mkdir()
        held = await harness.up(harness.editor())
        other = await harness.up(harness.editor(), "solo", project=str(tmp_path / "game"))
        assert held.process is not None
        harness.system.processes[held.process.pid].denied = True
        await harness.supervisor.close(servers=True)
        assert toys(harness) == [held.process]
        assert not harness.alive(other.process)
        (told,) = harness.events.of("server.not_stopped")
        assert str(held.process.pid) in told["reason"]

    harness.run(story)


def test_a_shutdown_without_servers_leaves_a_start_to_the_next_daemon(harness: EngineHarness) -> None:
    owner = harness.editor()

    async def first() -> None:
        harness.system.programs["toy"] = lambda *_: None
        start = asyncio.create_task(harness.up(owner))
        await asyncio.sleep(2)
        await harness.supervisor.close(servers=False)
        with pytest.raises(ShuttingDown):
            await start

    harness.run(first)
    (process,) = toys(harness)
    later = harness.restarted()

    async def second() -> None:
        later.system.listen(process, 8000)
        later.system.listen(process, 9500)
        record = await later.up(owner)
        assert (record.state, record.process) == (ServerState.READY, process)
        assert toys(later) == [process]

    later.run(second)


def test_a_shutdown_before_a_spawn_leaves_no_record(harness: EngineHarness) -> None:
    async def first() -> None:
        start = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(0)
        assert "toy" in harness.records.servers
        await harness.supervisor.close(servers=False)
        with pytest.raises(ShuttingDown):
            await start
        assert harness.system.spawned == {}

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        assert later.records.servers == {}

    later.run(second)


def test_a_shutdown_without_servers_ends_an_install_and_leaves_nothing(harness: EngineHarness) -> None:
    with_silent_installers(harness)

    async def story() -> None:
        start = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(20)
        await harness.supervisor.close(servers=False)
        with pytest.raises(ShuttingDown):
            await start
        assert harness.records.servers == {}
        assert len(harness.system.spawned) == 1
        assert not any(harness.alive(installer) for installer in harness.system.spawned)

    harness.run(story)
