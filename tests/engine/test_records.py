import asyncio
from pathlib import Path

import pytest

from supervisor.engine.claims.editors import Arrival
from supervisor.engine.state.registry_writer import RETRY_S
from supervisor.errors import StateNotWritable
from supervisor.registry.codec import decode
from tests.engine.harness import EngineHarness


def count_writes(harness: EngineHarness) -> list[float]:
    """The times of the attempts to write."""
    tried: list[float] = []
    honest = harness.store.write
    harness.store.write = lambda state: (tried.append(harness.system.clock.now), honest(state))[1]  # type: ignore[method-assign]
    return tried


def test_failed_write_is_retried_without_a_change(tmp_path: Path) -> None:
    harness = EngineHarness(tmp_path)

    async def story() -> None:
        harness.store.broken = True
        editor = harness.attachments.attach(Arrival(harness.editor().pid))
        await asyncio.sleep(60)
        harness.store.broken = False
        await asyncio.sleep(RETRY_S + 0.1)
        assert harness.records.trouble is None
        assert editor.id in decode(harness.store.data or b"").editors
        assert len(harness.events.of("registry.not_writable")) == 1

    harness.run(story)


def test_failed_rewrite_is_retried(tmp_path: Path) -> None:
    harness = EngineHarness(tmp_path)

    async def story() -> None:
        await harness.up(harness.editor())
        harness.store.broken = True
        with pytest.raises(StateNotWritable):
            harness.records.commit()
        harness.store.broken = False
        await asyncio.sleep(RETRY_S + 0.1)
        assert harness.records.trouble is None

    harness.run(story)


def test_waiters_of_one_loop_iteration_share_one_write(tmp_path: Path) -> None:
    harness = EngineHarness(tmp_path)

    async def change(name: str) -> None:
        harness.records.keep_sticky_ports("toy", name, {"http": 8000})
        await harness.records.wait_until_saved()
        assert name in (harness.store.data or b"").decode()

    async def story() -> None:
        tried = count_writes(harness)
        await asyncio.gather(*(change(f"/p/{number}") for number in range(20)))
        assert len(tried) == 1
        harness.store.broken = True
        for outcome in await asyncio.gather(*(change(f"/q/{number}") for number in range(3)), return_exceptions=True):
            assert isinstance(outcome, StateNotWritable)

    harness.run(story)


def test_only_a_full_disk_is_retried_at_intervals(tmp_path: Path) -> None:
    harness = EngineHarness(tmp_path)

    async def story() -> None:
        tried = count_writes(harness)
        harness.attachments.attach(Arrival(harness.editor().pid))
        await asyncio.sleep(0.1)
        good = len(tried)
        await asyncio.sleep(3600)
        assert len(tried) == good
        harness.store.broken = True
        harness.attachments.attach(Arrival(harness.editor().pid))
        await asyncio.sleep(100)
        assert 15 <= len(tried) - good <= 25

    harness.run(story)


def test_closing_ends_the_retries(tmp_path: Path) -> None:
    harness = EngineHarness(tmp_path)

    async def story() -> None:
        harness.store.broken = True
        harness.attachments.attach(Arrival(harness.editor().pid))
        await asyncio.sleep(1)
        await harness.supervisor.close(servers=False)
        tried = count_writes(harness)
        await asyncio.sleep(60)
        assert tried == []

    harness.run(story)
