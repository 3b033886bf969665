"""Servers whose launcher leaves the listening to a child: the one ends before the other."""

import asyncio

from supervisor.core.model import Origin, ProcessIdentity, ServerState
from supervisor.native.api import ChildCommand
from tests.engine.harness import EngineHarness, serve
from tests.fakes import FakeProcess, FakeSystem


def launcher(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
    """Run as a program that leaves the listening to a child."""
    serve(system, system.processes[system.fork(process.identity, "worker").pid], command)


def toys(harness: EngineHarness) -> list[ProcessIdentity]:
    """The living servers."""
    return [identity for identity in harness.system.spawned if harness.alive(identity)]


def test_a_launcher_whose_listener_dies_is_swept_and_started_again(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = launcher
        first = await harness.up(harness.editor())
        assert first.process is not None
        assert first.root != first.process
        harness.system.end(first.process, 9)
        await asyncio.sleep(5)
        second = harness.records.server("toy")
        assert second.state is ServerState.READY
        assert second.ports == first.ports
        assert not harness.alive(first.root)
        assert toys(harness) == [second.root]

    harness.run(story)


def test_an_unkillable_launcher_is_retried_with_pauses(
    harness: EngineHarness,
) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = launcher
        record = await harness.up(harness.editor())
        assert record.root is not None
        assert record.process is not None
        harness.system.processes[record.root.pid].denied = True
        harness.system.end(record.process)
        await asyncio.sleep(120)
        failed = harness.records.server("toy")
        assert failed.state is ServerState.FAILED
        assert failed.failure is not None
        assert str(record.root.pid) in failed.failure.message
        assert len(harness.events.of("flight.started")) <= 4
        assert len(harness.system.spawned) == 1

    harness.run(story)


def test_a_launcher_that_becomes_killable_ends_without_owners(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = launcher
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.root is not None
        assert record.process is not None
        root = harness.system.processes[record.root.pid]
        root.denied = True
        harness.system.end(record.process)
        await asyncio.sleep(10)
        harness.system.end(owner)
        root.denied = False
        await asyncio.sleep(120)
        assert not harness.alive(record.root)
        assert harness.records.servers == {}

    harness.run(story)


def test_a_rebuilt_launcher_whose_listener_dies_is_left_to_the_user(harness: EngineHarness) -> None:
    owner = harness.editor()

    async def first() -> None:
        harness.system.programs["toy"] = launcher
        await harness.up(owner)

    harness.run(first)
    harness.store.data = None
    later = harness.restarted()

    async def second() -> None:
        record = later.records.server("toy")
        assert record.origin is Origin.ADOPTED
        assert record.root != record.process
        assert record.process is not None
        later.system.end(record.process)
        await asyncio.sleep(120)
        assert later.records.server("toy").state is ServerState.FAILED
        assert later.alive(record.root)
        assert len(later.events.of("flight.started")) <= 4
        await later.supervisor.stop("toy")
        assert not later.alive(record.root)
        assert later.records.servers == {}

    later.run(second)
