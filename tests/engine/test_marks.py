"""A server that another home of the user has adopted is no orphan."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ProcessIdentity
from supervisor.engine.claims.editors import Arrival
from supervisor.engine.starting.adopt import AdoptRequest
from supervisor.errors import StartFailed
from tests.engine.answers import ANSWERING, start_foreign_toy
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
    """Return a server that was found, and the owner in its environment."""
    owner = harness.editor()
    toy = start_foreign_toy(harness, owner=str(owner.pid))
    await asyncio.sleep(40)
    assert harness.records.server("toy").process == toy
    return toy, owner


def test_server_of_another_home_is_not_reaped_but_can_be_stopped(harness: EngineHarness) -> None:
    async def story() -> None:
        toy, owner = await found(harness)
        harness.system.marks[toy] = {"elsewhere"}
        harness.system.end(owner)
        await asyncio.sleep(600)
        assert harness.alive(toy)
        verdict = await harness.engine.inspector.judge("toy", act=True)
        assert "another godot-supervisor home" in str(verdict)
        await harness.supervisor.stop("toy")
        assert not harness.alive(toy)

    harness.run(story)


def test_adoption_by_another_home_after_the_verdict_saves_a_server(harness: EngineHarness) -> None:
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


def test_unreadable_marks_keep_observed_servers(harness: EngineHarness) -> None:
    async def story() -> None:
        toy, owner = await found(harness)
        harness.system.fails["marks"] = Fault(PermissionError("no folder of this user alone"), times=10_000)
        harness.system.end(owner)
        await asyncio.sleep(600)
        assert harness.alive(toy)
        harness.system.fails.clear()
        harness.engine.inspector.reaper.judge_soon("toy")
        await asyncio.sleep(60)
        assert not harness.alive(toy)

    harness.run(story)


def test_mark_is_withdrawn_when_this_home_needs_the_server_no_more(harness: EngineHarness) -> None:
    async def story() -> None:
        toy = start_foreign_toy(harness)
        editor = harness.editor()
        owner = harness.attachments.attach(Arrival(editor.pid))
        await harness.supervisor.adopt(AdoptRequest(pid=toy.pid, editor=owner))
        assert harness.system.marks[toy] == {"home"}
        harness.system.marks[toy].add("elsewhere")
        harness.system.end(editor)
        await asyncio.sleep(60)
        # The other home still needs it, and does not wait for this one.
        assert harness.system.marks[toy] == {"elsewhere"}
        assert harness.alive(toy)
        harness.system.marks[toy].clear()
        harness.engine.inspector.reaper.judge_soon("toy")
        await asyncio.sleep(60)
        assert not harness.alive(toy)

    harness.run(story)


def test_server_adopted_by_another_home_is_not_replaced(harness: EngineHarness) -> None:
    async def story() -> None:
        toy, owner = await found(harness)
        harness.system.marks[toy] = {"elsewhere"}
        harness.system.end(owner)
        # The server beside it answers as 1.0 too. The test is about its start beside the other one.
        with pytest.raises(StartFailed):
            await harness.up(harness.editor(), version="2.0")
        assert harness.alive(toy)
        assert harness.events.of("server.planned")[0]["ports"] == {"http": 8001, "sessions": 9501}

    harness.run(story)


def test_a_mark_that_another_program_removed_is_made_again(harness: EngineHarness) -> None:
    async def story() -> None:
        toy = start_foreign_toy(harness)
        owner = harness.attachments.attach(Arrival(harness.editor().pid))
        await harness.supervisor.adopt(AdoptRequest(pid=toy.pid, editor=owner))
        for _ in range(3):
            harness.system.marks.clear()
            await asyncio.sleep(30)
            assert harness.system.marks[toy] == {"home"}

    harness.run(story)


def test_a_server_is_judged_again_once_marks_can_be_read(harness: EngineHarness) -> None:
    async def story() -> None:
        toy, owner = await found(harness)
        harness.system.fails["marks"] = Fault(BlockingIOError("marks may have been removed"), times=3)
        harness.system.end(owner)
        await asyncio.sleep(15)
        assert harness.alive(toy)
        await asyncio.sleep(120)
        assert not harness.alive(toy)

    harness.run(story)
