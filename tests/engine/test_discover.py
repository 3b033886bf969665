import asyncio
from pathlib import Path

import pytest

from tests.engine.house import TOY, House

MATCHED = {**TOY, "identify": {"http": "/", "match": {"name": "toy"}}}


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.discover = "watch"
    house.tables = {"toy": MATCHED, "plain": {**TOY, "ports": {"http": "8100", "sessions": "9600"}}}
    return house


def test_a_look_at_start_and_then_one_every_half_minute(house: House) -> None:
    async def story() -> None:
        await asyncio.sleep(1)
        assert house.system.calls["listening"] == 1
        await asyncio.sleep(28)
        assert house.system.calls["listening"] == 1
        await asyncio.sleep(2)
        assert house.system.calls["listening"] == 2
        await asyncio.sleep(300)
        assert house.system.calls["listening"] == 12

    house.live(story)


def test_where_nobody_listens_a_look_ends_with_the_cheapest_question(house: House) -> None:
    async def story() -> None:
        await asyncio.sleep(100)
        assert house.system.calls["listening"] > 1
        assert house.system.calls["facts"] == house.system.calls["table"] - 1 == 0

    house.live(story)


def test_reads_set_a_look_off_but_never_one_after_the_other(house: House) -> None:
    async def story() -> None:
        await asyncio.sleep(6)
        for _ in range(20):
            house.supervisor.discovery.nudge()
        await asyncio.sleep(1)
        assert house.system.calls["listening"] == 2
        for _ in range(20):
            house.supervisor.discovery.nudge()
        await asyncio.sleep(1)
        assert house.system.calls["listening"] == 2
        await asyncio.sleep(5)
        house.supervisor.discovery.nudge()
        await asyncio.sleep(0.1)
        assert house.system.calls["listening"] == 3

    house.live(story)


def test_with_discovery_off_nobody_looks_and_nobody_is_woken(house: House) -> None:
    house.discover = "off"

    async def story() -> None:
        house.supervisor.discovery.nudge()
        await asyncio.sleep(3600)
        assert house.system.calls["listening"] == 0

    house.live(story)


def test_ports_of_servers_that_are_known_are_not_looked_at(house: House) -> None:
    async def story() -> None:
        house.tables = {"plain": TOY}
        await asyncio.sleep(1)
        looked = house.system.calls["facts"]
        stranger = house.system.start("vim", "toy")
        house.system.listen(stranger, 8000)
        await asyncio.sleep(31)
        assert house.system.calls["facts"] == looked + 1
        assert house.records.servers == {}

    house.live(story)


def test_a_look_that_fails_is_told_and_repeated(house: House) -> None:
    from tests.fakes import Fault

    house.system.fails["listening"] = Fault(OSError(5, "no table"), times=1)

    async def story() -> None:
        await asyncio.sleep(1)
        assert len(house.ear.of("discovery.failed")) == 1
        await asyncio.sleep(31)
        assert house.system.calls["listening"] == 2
        assert len(house.ear.of("discovery.failed")) == 1

    house.live(story)


def test_a_program_of_another_kind_on_a_known_port_is_never_asked(house: House) -> None:
    async def story() -> None:
        stranger = house.system.start("python", "-m", "http.server", "8000")
        house.system.listen(stranger, 8000)
        await asyncio.sleep(60)
        assert house.records.servers == {}
        assert house.ear.of("signal.sent") == []

    house.live(story)
