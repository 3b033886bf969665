import asyncio
from pathlib import Path

import pytest

from supervisor.engine.adopt import AdoptWish, Candidate
from supervisor.errors import Busy, NotOurs
from supervisor.kinds.catalog import Catalog
from supervisor.native.api import Command
from tests.core.grounds import stranger
from tests.engine.house import TOY, House, serve
from tests.fakes import FakeProcess, FakeSystem


def slow(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    asyncio.get_running_loop().call_later(5, serve, system, process, command)


def test_a_stranger_on_ports_that_a_starting_server_was_promised_is_not_adopted_yet(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.system.programs["toy"] = slow

    async def story() -> None:
        start = asyncio.create_task(house.up(house.editor()))
        await asyncio.sleep(1)
        ports = dict(house.records.server("toy").ports)
        thief = Candidate("toy-2", Catalog.build({"toy": TOY}).get("toy"), None, stranger(ports))
        with pytest.raises(Busy, match="promised to toy"):
            house.supervisor._adopter.refuse_the_promised(thief)
        assert list(house.records.servers) == ["toy"]
        await start
        elsewhere = {name: port + 1 for name, port in ports.items()}
        house.supervisor._adopter.refuse_the_promised(Candidate("toy-2", thief.kind, None, stranger(elsewhere)))
        assert list(house.records.servers) == ["toy"]

    house.live(story)


def test_kinds_look_at_a_mute_server_all_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path)
    house.tables = {f"toy{number}": TOY for number in range(8)}

    async def story() -> None:
        process = house.system.start("toy", "8000", "9500")
        serve(house.system, house.system.processes[process.pid], Command(("toy", "8000", "9500"), {}, tmp_path, None))

        async def mute(*_: object) -> None:
            await asyncio.sleep(1)

        monkeypatch.setattr(house.supervisor._adopter._recogniser, "look", mute)
        began = house.system.clock.monotonic()
        with pytest.raises(NotOurs):
            await house.supervisor.adopt(AdoptWish(port=8000))
        assert house.system.clock.monotonic() - began < 2

    house.live(story)
