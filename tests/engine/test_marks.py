"""What another home of this user has adopted is no orphan."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ProcessIdentity
from supervisor.engine.holders.editors import Arrival
from supervisor.engine.starting.adopt import AdoptRequest
from supervisor.errors import StartFailed
from tests.engine.answers import ANSWERING, strangers_toy
from tests.engine.harness import EngineHarness
from tests.fakes import Fault

pytestmark = pytest.mark.usefixtures("answers")


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.tables = {"toy": ANSWERING}
    harness.discover = "watch"
    return harness


async def found(harness: EngineHarness) -> tuple[ProcessIdentity, ProcessIdentity]:
    """A server that was found, and the owner in its environment."""
    owner = harness.editor()
    toy = strangers_toy(harness, owner=str(owner.pid))
    await asyncio.sleep(40)
    assert harness.records.server("toy").process == toy
    return toy, owner


def test_what_another_home_has_adopted_is_not_reaped_and_down_ends_it(harness: EngineHarness) -> None:
    async def story() -> None:
        toy, owner = await found(harness)
        harness.system.marks[toy] = {"elsewhere"}
        harness.system.end(owner)
        await asyncio.sleep(600)
        assert harness.alive(toy)
        verdict = await harness.supervisor.judge("toy", act=True)
        assert "another godot-supervisor home" in str(verdict)
        await harness.supervisor.stop("toy")
        assert not harness.alive(toy)

    harness.run(story)


def test_an_adoption_elsewhere_after_the_verdict_still_saves_a_server(harness: EngineHarness) -> None:
    async def story() -> None:
        toy, owner = await found(harness)
        # The table is read between the verdict and the first signal.
        harness.system.meanwhile["table"] = lambda: harness.system.marks.setdefault(toy, {"elsewhere"})
        harness.system.end(owner)
        await asyncio.sleep(60)
        assert harness.system.marks[toy] == {"elsewhere"}
        assert harness.alive(toy)
        assert harness.events.of("signal.sent") == []

    harness.run(story)


def test_where_marks_cannot_be_read_what_was_found_is_kept(harness: EngineHarness) -> None:
    async def story() -> None:
        toy, owner = await found(harness)
        harness.system.fails["marks"] = Fault(PermissionError("no folder of this user alone"), times=10_000)
        harness.system.end(owner)
        await asyncio.sleep(600)
        assert harness.alive(toy)
        harness.system.fails.clear()
        harness.supervisor.reaper.look("toy")
        await asyncio.sleep(60)
        assert not harness.alive(toy)

    harness.run(story)


def test_an_adoption_is_marked_and_withdrawn_when_nobody_here_needs_it(harness: EngineHarness) -> None:
    async def story() -> None:
        toy = strangers_toy(harness)
        editor = harness.editor()
        owner = harness.claims.attach(Arrival(editor.pid))
        await harness.supervisor.adopt(AdoptRequest(pid=toy.pid, editor=owner))
        assert harness.system.marks[toy] == {"home"}
        harness.system.marks[toy].add("elsewhere")
        harness.system.end(editor)
        await asyncio.sleep(60)
        # The other home still needs it, and does not wait for this one.
        assert harness.system.marks[toy] == {"elsewhere"}
        assert harness.alive(toy)
        harness.system.marks[toy].clear()
        harness.supervisor.reaper.look("toy")
        await asyncio.sleep(60)
        assert not harness.alive(toy)

    harness.run(story)


def test_what_another_home_has_adopted_makes_room_for_no_other_version(harness: EngineHarness) -> None:
    async def story() -> None:
        toy, owner = await found(harness)
        harness.system.marks[toy] = {"elsewhere"}
        harness.system.end(owner)
        # What runs beside it answers as 1.0, too; what counts is that it was begun beside it.
        with pytest.raises(StartFailed):
            await harness.up(harness.editor(), version="2.0")
        assert harness.alive(toy)
        assert harness.events.of("server.planned")[0]["ports"] == {"http": 8001, "sessions": 9501}

    harness.run(story)
