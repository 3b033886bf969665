import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ServerState
from supervisor.errors import StartFailed, VersionConflict
from supervisor.native.api import ChildCommand
from tests.engine.harness import TOY, EngineHarness, serve
from tests.fakes import FakeProcess, FakeSystem


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.tables = {"toy": {**TOY, "version": "1.0"}}
    return harness


def fails(harness: EngineHarness, *numbers: int) -> None:
    """Keep the launches with these numbers, from now on, from listening."""
    launches = 0

    def program(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        nonlocal launches
        launches += 1
        if launches not in numbers:
            serve(system, process, command)

    harness.system.programs["toy"] = program


def test_unused_server_is_replaced_by_the_requested_version(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        old = await harness.up(owner)
        new = await harness.up(owner, version="2.0")
        assert (new.id, new.version, new.ports) == ("toy", "2.0", old.ports)
        assert not harness.alive(old.process)
        assert [held.process for held in new.owners] == [owner]
        assert len(harness.events.of("server.replaced")) == 1

    harness.run(story)


@pytest.mark.parametrize("by", ["an owner", "a lease", "a session", "sessions that cannot be told"])
def test_server_in_use_stays_and_both_versions_run(harness: EngineHarness, by: str) -> None:
    async def story() -> None:
        old = await harness.up(harness.editor() if by == "an owner" else None)
        if by == "a lease":
            harness.attachments.acquire_lease("toy", "a test", 600)
        if by == "a session":
            harness.system.connections[9500] = 1
        if by == "sessions that cannot be told":
            harness.system.connections[9500] = None
        new = await harness.up(harness.editor(), version="2.0")
        assert (new.id, new.version) == ("toy-2", "2.0")
        assert harness.alive(old.process)
        assert harness.alive(new.process)
        (conflict,) = harness.events.of("server.version_conflict")
        assert (conflict["beside"], conflict["beside_version"], conflict["version"]) == ("toy", "1.0", "2.0")
        assert harness.events.of("signal.sent") == []

    harness.run(story)


def test_old_version_returns_if_the_new_one_does_not_become_ready(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner)
        fails(harness, 1)
        with pytest.raises(StartFailed) as caught:
            await harness.up(owner, version="2.0")
        assert caught.value.data["rolled_back_to"] == "1.0"
        record = harness.records.server("toy")
        assert (record.state, record.version) == (ServerState.READY, "1.0")
        assert harness.alive(record.process)
        assert [held.process for held in record.owners] == [owner]
        (told,) = harness.events.of("server.rolled_back")
        assert (told["version"], told["failed"]) == ("1.0", None)

    harness.run(story)


def test_old_version_does_not_return_beside_another_of_its_kind(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner)
        fails(harness, 1)
        update = asyncio.ensure_future(harness.up(owner, version="2.0"))
        # The new server has been spawned, and will not become ready in time.
        await asyncio.sleep(0.5)
        assert harness.records.server("toy").version == "2.0"
        other = await harness.up(harness.editor(), version="1.0")
        assert (other.id, other.version) == ("toy-2", "1.0")
        with pytest.raises(StartFailed) as caught:
            await update
        assert "toy-2, which was started in between" in (caught.value.hint or "")
        assert harness.records.server("toy").state is ServerState.FAILED
        assert harness.events.of("server.rolled_back") == []

    harness.run(story)


def test_failure_of_both_versions_reports_both_reasons(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner)
        fails(harness, 1, 2)
        with pytest.raises(StartFailed) as caught:
            await harness.up(owner, version="2.0")
        assert "could not be started again either" in (caught.value.hint or "")
        assert harness.records.server("toy").state is ServerState.FAILED
        (told,) = harness.events.of("server.rolled_back")
        assert told["failed"]

    harness.run(story)


def test_lease_in_the_last_moment_saves_the_old_server(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        old = await harness.up(owner)
        harness.system.meanwhile["table"] = lambda: harness.attachments.acquire_lease("toy", "a test", 600)
        with pytest.raises(VersionConflict, match="came into use"):
            await harness.up(owner, version="2.0")
        assert harness.alive(old.process)
        assert harness.records.server("toy").state is ServerState.READY
        assert harness.events.of("signal.sent") == []
        again = await harness.up(owner, version="2.0")
        assert again.id == "toy-2"

    harness.run(story)


def test_replacement_without_an_owner_runs_until_it_is_stopped(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner)
        harness.system.end(owner)
        new = await harness.up(version="2.0")
        await asyncio.sleep(3600)
        assert harness.alive(new.process)

    harness.run(story)


def test_daemon_killed_during_a_replacement_leaves_one_server(harness: EngineHarness) -> None:
    async def first() -> None:
        owner = harness.editor()
        await harness.up(owner)
        harness.system.programs["toy"] = lambda *_: None
        asyncio.create_task(harness.up(owner, version="2.0"))  # noqa: RUF006 (it goes with its daemon)
        await asyncio.sleep(5)
        assert harness.records.server("toy").state is ServerState.STARTING

    harness.run(first)
    harness.system.programs["toy"] = serve
    later = harness.restarted()
    later.tables = harness.tables

    async def second() -> None:
        await asyncio.sleep(120)
        toys = [process for process in later.system.processes.values() if process.command[:1] == ("toy",)]
        assert len(toys) <= 1

    later.run(second)
