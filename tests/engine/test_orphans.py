"""Which server is reaped when its owners have ended or left, and which one is kept."""

import asyncio
from pathlib import Path

from supervisor.engine.claims.editors import Arrival
from tests.engine.harness import TOY, EngineHarness


def test_an_orphan_is_reaped_after_two_samples_one_grace_apart(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.end(owner)
        died = harness.system.clock.now
        await asyncio.sleep(20)
        assert not harness.alive(record.process)
        (reaped,) = harness.events.of("server.reaped")
        assert died <= reaped["first_sample"] < died + 1
        assert 5 <= reaped["second_sample"] - reaped["first_sample"] < 6
        assert harness.records.servers == {}
        assert harness.records.editors == {}

    harness.run(story)


def test_a_zombie_owner_is_a_dead_owner(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.end(owner, zombie=True)
        await asyncio.sleep(20)
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_recycled_owner_is_dead_and_the_new_process_lives(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        foreign_server = harness.system.recycle(owner.pid)
        await asyncio.sleep(20)
        assert not harness.alive(record.process)
        assert harness.alive(foreign_server)

    harness.run(story)


def test_an_open_session_keeps_a_server_until_one_grace_later(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.connections[9500] = 1
        harness.system.end(owner)
        await asyncio.sleep(60)
        assert harness.alive(record.process)
        harness.system.connections[9500] = 0
        closed = harness.system.clock.now
        await asyncio.sleep(20)
        assert not harness.alive(record.process)
        (reaped,) = harness.events.of("server.reaped")
        assert closed <= reaped["first_sample"] <= closed + 1.1

    harness.run(story)


def test_one_living_owner_of_two_keeps_the_server(harness: EngineHarness) -> None:
    async def story() -> None:
        first, second = harness.editor(), harness.editor()
        record = await harness.up(first)
        await harness.up(second)
        harness.system.end(first)
        await asyncio.sleep(300)
        assert harness.alive(record.process)
        harness.system.end(second)
        await asyncio.sleep(20)
        assert not harness.alive(record.process)

    harness.run(story)


def test_an_owner_that_attaches_within_the_grace_saves_the_server(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.end(owner)
        await asyncio.sleep(4)
        await harness.up(harness.editor())
        await asyncio.sleep(300)
        assert harness.alive(record.process)

    harness.run(story)


def test_a_detached_editor_lingers_before_its_server_goes(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner, project=str(tmp_path))
        editor = next(iter(harness.records.editors))
        harness.attachments.detach(editor, stop=False)
        await asyncio.sleep(19)
        assert harness.alive(record.process)
        await asyncio.sleep(3)
        assert not harness.alive(record.process)

    harness.run(story)


def test_an_editor_of_the_same_project_inherits_the_server(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        before, after = harness.editor(), harness.editor()
        record = await harness.up(before, project=str(tmp_path))
        harness.attachments.detach(next(iter(harness.records.editors)), stop=False)
        heir = harness.attachments.attach(Arrival(after.pid, project=str(tmp_path)))
        harness.system.end(before)
        await asyncio.sleep(300)
        assert harness.alive(record.process)
        assert [owner.editor for owner in harness.records.server("toy").owners] == [heir.id]

    harness.run(story)


def test_detach_with_stop_does_not_linger(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        harness.attachments.detach(next(iter(harness.records.editors)), stop=True)
        await asyncio.sleep(6)
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_server_without_owner_is_not_reaped(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up()
        await asyncio.sleep(3600)
        assert harness.alive(record.process)

    harness.run(story)


def test_an_owner_of_unknown_liveness_keeps_the_server(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        other = harness.editor()
        record = await harness.up(owner)
        await harness.up(other)
        harness.system.processes[owner.pid].unreadable = True
        harness.system.end(other)
        await asyncio.sleep(300)
        assert harness.alive(record.process)

    harness.run(story)


def test_the_idle_time_of_a_kind_ends_a_server_that_never_had_an_owner(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "idle_s": 60}}

    async def story() -> None:
        record = await harness.up()
        harness.system.connections[9500] = 1
        await asyncio.sleep(300)
        assert harness.alive(record.process)
        harness.system.connections[9500] = 0
        await asyncio.sleep(70)
        assert not harness.alive(record.process)

    harness.run(story)
