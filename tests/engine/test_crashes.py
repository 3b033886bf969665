"""Servers that end by themselves are started again, with pauses, or given up."""

import asyncio

import pytest

from supervisor.core.model import ServerState
from supervisor.native.api import ChildCommand
from tests.engine.harness import EngineHarness, serve
from tests.fakes import FakeProcess, FakeSystem


def test_a_server_that_ends_by_itself_is_started_again_on_its_ports(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        first = await harness.up(owner)
        assert first.process is not None
        child = harness.system.fork(first.process, "child")
        harness.system.listen(child, 8000)
        harness.system.end(first.process, 7)
        await asyncio.sleep(1)
        second = harness.records.server("toy")
        assert second.state is ServerState.READY
        assert second.ports == first.ports
        assert second.process != first.process
        assert second.restarts == 1
        assert not harness.alive(child)
        assert len(harness.system.spawned) == 2

    harness.run(story)


def test_a_restarted_server_is_given_a_living_owner(harness: EngineHarness) -> None:
    async def story() -> None:
        gone, stays = harness.editor(), harness.editor()
        await harness.up(gone)
        record = await harness.up(stays)
        harness.system.end(gone)
        assert record.process is not None
        harness.system.end(record.process)
        await asyncio.sleep(1)
        again = harness.records.server("toy").process
        assert again is not None
        assert harness.system.processes[again.pid].environment["TOY_OWNER"] == str(stays.pid)

    harness.run(story)


def test_a_server_without_owners_is_not_started_again(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.process is not None
        harness.system.end(owner)
        harness.system.end(record.process)
        await asyncio.sleep(30)
        assert harness.records.servers == {}
        assert len(harness.system.spawned) == 1

    harness.run(story)


@pytest.mark.parametrize("life_s", [0.2, 15.0])
def test_a_server_that_keeps_ending_is_given_up_after_five(harness: EngineHarness, life_s: float) -> None:
    def short_lived(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(life_s, system.end, process.identity, 9)

    async def story() -> None:
        harness.system.programs["toy"] = short_lived
        await harness.up(harness.editor())
        await asyncio.sleep(300)
        record = harness.records.server("toy")
        assert record.state is ServerState.FAILED
        assert record.failure is not None
        assert record.failure.exit == 9
        assert len(harness.system.spawned) == 5
        pauses = [row["pause_s"] for row in harness.events.of("server.backs_off")]
        assert len(pauses) == 3
        assert pauses[0] < pauses[1] < pauses[2]
        harness.system.programs["toy"] = serve
        assert (await harness.up(harness.editor())).state is ServerState.READY

    harness.run(story)


def test_a_stable_time_forgives_earlier_ends(harness: EngineHarness) -> None:
    def lasting(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(61, system.end, process.identity, 9)

    async def story() -> None:
        harness.system.programs["toy"] = lasting
        await harness.up(harness.editor())
        await asyncio.sleep(700)
        assert harness.records.server("toy").state is ServerState.READY
        assert len(harness.system.spawned) > 10

    harness.run(story)


def test_an_owner_that_dies_during_a_pause_ends_the_waiting(harness: EngineHarness) -> None:
    def short_lived(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(0.1, system.end, process.identity, 9)

    async def story() -> None:
        harness.system.programs["toy"] = short_lived
        owner = harness.editor()
        await harness.up(owner)
        await asyncio.sleep(0.4)
        assert harness.events.of("server.backs_off")
        harness.system.end(owner)
        await asyncio.sleep(60)
        assert harness.records.servers == {}
        assert len(harness.system.spawned) == 2

    harness.run(story)
