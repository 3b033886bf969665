"""What another home of this user has adopted is no orphan."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ProcessIdentity
from supervisor.engine.holders.editors import Arrival
from supervisor.engine.starting.adopt import AdoptRequest
from supervisor.errors import StartFailed
from tests.engine.answers import ANSWERING, strangers_toy
from tests.engine.house import House
from tests.fakes import Fault

pytestmark = pytest.mark.usefixtures("answers")


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.tables = {"toy": ANSWERING}
    house.discover = "watch"
    return house


async def found(house: House) -> tuple[ProcessIdentity, ProcessIdentity]:
    """A server that was found, and the owner in its environment."""
    owner = house.editor()
    toy = strangers_toy(house, owner=str(owner.pid))
    await asyncio.sleep(40)
    assert house.records.server("toy").process == toy
    return toy, owner


def test_what_another_home_has_adopted_is_not_reaped_and_down_ends_it(house: House) -> None:
    async def story() -> None:
        toy, owner = await found(house)
        house.system.marks[toy] = {"elsewhere"}
        house.system.end(owner)
        await asyncio.sleep(600)
        assert house.alive(toy)
        verdict = await house.supervisor.judge("toy", act=True)
        assert "another godot-supervisor home" in str(verdict)
        await house.supervisor.stop("toy")
        assert not house.alive(toy)

    house.live(story)


def test_an_adoption_elsewhere_after_the_verdict_still_saves_a_server(house: House) -> None:
    async def story() -> None:
        toy, owner = await found(house)
        # The table is read between the verdict and the first signal.
        house.system.meanwhile["table"] = lambda: house.system.marks.setdefault(toy, {"elsewhere"})
        house.system.end(owner)
        await asyncio.sleep(60)
        assert house.system.marks[toy] == {"elsewhere"}
        assert house.alive(toy)
        assert house.ear.of("signal.sent") == []

    house.live(story)


def test_where_marks_cannot_be_read_what_was_found_is_kept(house: House) -> None:
    async def story() -> None:
        toy, owner = await found(house)
        house.system.fails["marks"] = Fault(PermissionError("no folder of this user alone"), times=10_000)
        house.system.end(owner)
        await asyncio.sleep(600)
        assert house.alive(toy)
        house.system.fails.clear()
        house.supervisor.reaper.look("toy")
        await asyncio.sleep(60)
        assert not house.alive(toy)

    house.live(story)


def test_an_adoption_is_marked_and_withdrawn_when_nobody_here_needs_it(house: House) -> None:
    async def story() -> None:
        toy = strangers_toy(house)
        editor = house.editor()
        owner = house.claims.attach(Arrival(editor.pid))
        await house.supervisor.adopt(AdoptRequest(pid=toy.pid, editor=owner))
        assert house.system.marks[toy] == {"home"}
        house.system.marks[toy].add("elsewhere")
        house.system.end(editor)
        await asyncio.sleep(60)
        # The other home still needs it, and does not wait for this one.
        assert house.system.marks[toy] == {"elsewhere"}
        assert house.alive(toy)
        house.system.marks[toy].clear()
        house.supervisor.reaper.look("toy")
        await asyncio.sleep(60)
        assert not house.alive(toy)

    house.live(story)


def test_what_another_home_has_adopted_makes_room_for_no_other_version(house: House) -> None:
    async def story() -> None:
        toy, owner = await found(house)
        house.system.marks[toy] = {"elsewhere"}
        house.system.end(owner)
        # What runs beside it answers as 1.0, too; what counts is that it was begun beside it.
        with pytest.raises(StartFailed):
            await house.up(house.editor(), version="2.0")
        assert house.alive(toy)
        assert house.ear.of("server.planned")[0]["ports"] == {"http": 8001, "sessions": 9501}

    house.live(story)
