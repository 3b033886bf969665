"""Servers wait for the editor that opens the project again, for as long as that editor is starting."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ClientName, ProcessIdentity
from supervisor.core.processes.successors import STARTING_S
from supervisor.engine.claims.editors import Arrival
from tests.engine.harness import EngineHarness

LATE_S = 21.6
"""How long a project took to be loaded again on a busy machine, from detach to attach."""


async def open_with_server(harness: EngineHarness, project: Path) -> tuple[ProcessIdentity, ProcessIdentity]:
    """Open an editor that owns a server. Return both processes."""
    editor = harness.system.start("godot", "--path", str(project), "--editor")
    record = await harness.up(editor, project=str(project))
    assert record.process is not None
    await asyncio.sleep(60)
    return editor, record.process


def detach(harness: EngineHarness) -> None:
    harness.attachments.detach(next(iter(harness.records.editors)), stop=False)


async def reload_project(harness: EngineHarness, editor: ProcessIdentity, project: Path) -> ProcessIdentity:
    """Do what an editor does: it detaches, starts the next one, ends. Return the next one, 5.5 s later."""
    detach(harness)
    await asyncio.sleep(4.2)
    after = harness.system.fork(editor, "/usr/bin/godot", "--path", str(project), "-e", session=0)
    await asyncio.sleep(1.3)
    harness.system.end(editor)
    return after


def reasons(harness: EngineHarness) -> tuple[str, ...]:
    verdict = harness.engine.inspector.reaper.last_verdict("toy")
    return () if verdict is None else verdict.reasons


def test_reload_of_the_project_keeps_the_server(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        editor, server = await open_with_server(harness, tmp_path)
        after = await reload_project(harness, editor, tmp_path)
        await asyncio.sleep(LATE_S - 5.5)
        assert harness.alive(server)
        assert reasons(harness) == (f"an editor of its project is starting: pid {after.pid}",)
        heir = harness.attachments.attach(Arrival(after.pid, project=str(tmp_path)))
        await asyncio.sleep(300)
        assert harness.alive(server)
        assert [owner.editor for owner in harness.records.server("toy").owners] == [heir.id]
        assert len(harness.events.of("server.awaits_editor")) == 1

    harness.run(story)


def test_reload_that_fails_ends_the_server(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        editor, server = await open_with_server(harness, tmp_path)
        after = await reload_project(harness, editor, tmp_path)
        await asyncio.sleep(30)
        assert harness.alive(server)
        harness.system.end(after)
        await asyncio.sleep(6)
        assert not harness.alive(server)

    harness.run(story)


def test_editor_that_never_attaches_is_not_awaited_for_ever(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        editor, server = await open_with_server(harness, tmp_path)
        before = harness.system.calls["table"]
        await reload_project(harness, editor, tmp_path)
        await asyncio.sleep(STARTING_S - 3)
        assert harness.alive(server)
        # At the end of the editor, and when its time to linger has passed.
        assert harness.system.calls["table"] == before + 2
        await asyncio.sleep(10)
        assert not harness.alive(server)

    harness.run(story)


@pytest.mark.parametrize("back_s", [3600.0, -3600.0], ids=["back", "forward"])
def test_clock_that_is_set_ends_the_wait_in_time(harness: EngineHarness, tmp_path: Path, back_s: float) -> None:
    async def story() -> None:
        editor, server = await open_with_server(harness, tmp_path)
        await reload_project(harness, editor, tmp_path)
        await asyncio.sleep(10)
        harness.system.clock.epoch -= back_s
        await asyncio.sleep(STARTING_S)
        assert not harness.alive(server)

    harness.run(story)


def test_editor_that_is_opened_again_after_a_crash_is_awaited(harness: EngineHarness, tmp_path: Path) -> None:
    """The new editor owns the server when it attaches, as if the old one had detached."""

    async def story() -> None:
        editor, server = await open_with_server(harness, tmp_path)
        harness.system.end(editor)
        await asyncio.sleep(3)
        after = harness.system.start("godot", "-e", str(tmp_path / "project.godot"))
        await asyncio.sleep(60)
        assert harness.alive(server)
        heir = harness.attachments.attach(Arrival(after.pid, project=str(tmp_path)))
        await asyncio.sleep(300)
        assert harness.alive(server)
        assert [owner.editor for owner in harness.records.server("toy").owners] == [heir.id]

    harness.run(story)


def test_editor_of_another_project_is_not_awaited(harness: EngineHarness, tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()

    async def story() -> None:
        editor, server = await open_with_server(harness, tmp_path / "one")
        await reload_project(harness, editor, tmp_path / "two")
        await asyncio.sleep(LATE_S)
        assert not harness.alive(server)

    harness.run(story)


def test_second_editor_of_the_project_is_not_awaited(harness: EngineHarness, tmp_path: Path) -> None:
    """It has been open for minutes, and has not attached: its plugin is switched off."""

    async def story() -> None:
        editor, server = await open_with_server(harness, tmp_path)
        harness.system.start("godot", "--path", str(tmp_path), "-e")
        await asyncio.sleep(STARTING_S)
        harness.system.end(editor)
        await asyncio.sleep(10)
        assert not harness.alive(server)

    harness.run(story)


def test_ai_client_leaves_no_server_to_an_editor(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        bridge = harness.system.start("godot-supervisor", "mcp")
        client = ClientName("claude", "1")
        harness.attachments.attach(Arrival(bridge.pid, project=str(tmp_path), client=client, is_owner=True))
        record = await harness.up(bridge, project=str(tmp_path))
        harness.attachments.attach(Arrival(bridge.pid, project=str(tmp_path), client=client, is_owner=True))
        harness.system.end(bridge)
        harness.system.start("godot", "--path", str(tmp_path), "-e")
        await asyncio.sleep(10)
        assert not harness.alive(record.process)

    harness.run(story)


def test_next_daemon_awaits_the_editor_too(harness: EngineHarness, tmp_path: Path) -> None:
    left: list[ProcessIdentity] = []

    async def before() -> None:
        editor, server = await open_with_server(harness, tmp_path)
        await reload_project(harness, editor, tmp_path)
        left.append(server)

    harness.run(before)
    later = harness.restarted()

    async def after() -> None:
        await asyncio.sleep(30)
        assert later.alive(left[0])
        assert "is starting" in reasons(later)[0]

    later.run(after)
