import asyncio
from pathlib import Path

import pytest

from supervisor.engine.holders.editors import Arrival
from supervisor.engine.state.records import RETRY_S
from supervisor.errors import StateNotWritable
from supervisor.registry.codec import decode
from tests.engine.house import House


def count_writes(house: House) -> list[float]:
    """When somebody tried to write."""
    tried: list[float] = []
    honest = house.store.write
    house.store.write = lambda state: (tried.append(house.system.clock.now), honest(state))[1]  # type: ignore[method-assign]
    return tried


def test_a_write_that_failed_is_tried_again_though_nothing_changes(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def story() -> None:
        house.store.broken = True
        editor = house.claims.attach(Arrival(house.editor().pid))
        await asyncio.sleep(60)
        house.store.broken = False
        await asyncio.sleep(RETRY_S + 0.1)
        assert house.records.trouble is None
        assert editor.id in decode(house.store.data or b"").editors
        assert len(house.ear.of("registry.not_writable")) == 1

    house.live(story)


def test_a_write_of_what_was_there_already_is_tried_again_too(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def story() -> None:
        await house.up(house.editor())
        house.store.broken = True
        with pytest.raises(StateNotWritable):
            house.records.commit()
        house.store.broken = False
        await asyncio.sleep(RETRY_S + 0.1)
        assert house.records.trouble is None

    house.live(story)


def test_whoever_waits_for_one_turns_changes_shares_one_write(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def change(name: str) -> None:
        house.records.stick("toy", name, {"http": 8000})
        await house.records.saved()
        assert name in (house.store.data or b"").decode()

    async def story() -> None:
        tried = count_writes(house)
        await asyncio.gather(*(change(f"/p/{number}") for number in range(20)))
        assert len(tried) == 1
        house.store.broken = True
        for outcome in await asyncio.gather(*(change(f"/q/{number}") for number in range(3)), return_exceptions=True):
            assert isinstance(outcome, StateNotWritable)

    house.live(story)


def test_a_disk_that_stays_full_is_asked_now_and_then_and_a_good_one_not_at_all(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def story() -> None:
        tried = count_writes(house)
        house.claims.attach(Arrival(house.editor().pid))
        await asyncio.sleep(0.1)
        good = len(tried)
        await asyncio.sleep(3600)
        assert len(tried) == good
        house.store.broken = True
        house.claims.attach(Arrival(house.editor().pid))
        await asyncio.sleep(100)
        assert 15 <= len(tried) - good <= 25

    house.live(story)


def test_with_the_daemon_go_its_tries(tmp_path: Path) -> None:
    house = House(tmp_path)

    async def story() -> None:
        house.store.broken = True
        house.claims.attach(Arrival(house.editor().pid))
        await asyncio.sleep(1)
        await house.supervisor.close(servers=False)
        tried = count_writes(house)
        await asyncio.sleep(60)
        assert tried == []

    house.live(story)
