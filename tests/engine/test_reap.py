"""What keeps a server from being reaped, and what does not."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.reaping import Keep
from tests.engine.house import TOY, House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_server_whose_kind_was_taken_out_of_the_configuration_is_kept_with_its_sessions(house: House) -> None:
    async def begin() -> None:
        await house.up(house.editor())

    house.live(begin)
    later = house.restarted()
    later.tables = {}
    house.system.connections[9500] = 1

    async def story() -> None:
        record = later.records.server("toy")
        house.system.end(record.owners[0].process)
        await asyncio.sleep(600)
        assert later.alive(record.process)
        verdict = later.supervisor.reaper.verdict("toy")
        assert isinstance(verdict, Keep)
        assert verdict.reasons == ("its kind was taken out of the configuration: its sessions cannot be told",)

    later.live(story)
    last = later.restarted()
    last.tables = {"toy": TOY}
    house.system.connections[9500] = 0

    async def ending() -> None:
        await asyncio.sleep(10)
        assert last.records.servers == {}

    last.live(ending)
