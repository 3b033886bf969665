import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ServerState
from supervisor.errors import StartFailed, VersionConflict
from supervisor.native.api import Command
from tests.engine.house import TOY, House, serve
from tests.fakes import FakeProcess, FakeSystem


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.tables = {"toy": {**TOY, "version": "1.0"}}
    return house


def fails(house: House, *numbers: int) -> None:
    """The launches of these numbers, from now on, never listen."""
    launches = 0

    def program(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        nonlocal launches
        launches += 1
        if launches not in numbers:
            serve(system, process, command)

    house.system.programs["toy"] = program


def test_another_version_takes_the_place_of_one_that_nobody_else_uses(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        old = await house.up(owner)
        new = await house.up(owner, version="2.0")
        assert (new.id, new.version, new.ports) == ("toy", "2.0", old.ports)
        assert not house.alive(old.process)
        assert [held.process for held in new.owners] == [owner]
        assert len(house.ear.of("server.replaced")) == 1

    house.live(story)


@pytest.mark.parametrize("by", ["an owner", "a lease", "a session", "sessions that cannot be told"])
def test_one_that_is_in_use_stays_and_both_versions_run(house: House, by: str) -> None:
    async def story() -> None:
        old = await house.up(house.editor() if by == "an owner" else None)
        if by == "a lease":
            house.claims.acquire("toy", "a test", 600)
        if by == "a session":
            house.system.connections[9500] = 1
        if by == "sessions that cannot be told":
            house.system.connections[9500] = None
        new = await house.up(house.editor(), version="2.0")
        assert (new.id, new.version) == ("toy-2", "2.0")
        assert house.alive(old.process)
        assert house.alive(new.process)
        (conflict,) = house.ear.of("server.version_conflict")
        assert (conflict["beside"], conflict["beside_version"], conflict["version"]) == ("toy", "1.0", "2.0")
        assert house.ear.of("signal.sent") == []

    house.live(story)


def test_a_new_version_that_does_not_become_ready_gives_way_to_the_old_one(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner)
        fails(house, 1)
        with pytest.raises(StartFailed) as caught:
            await house.up(owner, version="2.0")
        assert caught.value.data["rolled_back_to"] == "1.0"
        record = house.records.server("toy")
        assert (record.state, record.version) == (ServerState.READY, "1.0")
        assert house.alive(record.process)
        assert [held.process for held in record.owners] == [owner]
        (told,) = house.ear.of("server.rolled_back")
        assert (told["version"], told["failed"]) == ("1.0", None)

    house.live(story)


def test_the_old_one_does_not_come_back_beside_one_that_was_started_meanwhile(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner)
        fails(house, 1)
        update = asyncio.ensure_future(house.up(owner, version="2.0"))
        # The new one has been spawned, and will not be ready within its time.
        await asyncio.sleep(0.5)
        assert house.records.server("toy").version == "2.0"
        other = await house.up(house.editor(), version="1.0")
        assert (other.id, other.version) == ("toy-2", "1.0")
        with pytest.raises(StartFailed) as caught:
            await update
        assert "toy-2, which was started meanwhile" in (caught.value.hint or "")
        assert house.records.server("toy").state is ServerState.FAILED
        assert house.ear.of("server.rolled_back") == []

    house.live(story)


def test_when_neither_starts_both_reasons_are_told(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner)
        fails(house, 1, 2)
        with pytest.raises(StartFailed) as caught:
            await house.up(owner, version="2.0")
        assert "could not be started again either" in (caught.value.hint or "")
        assert house.records.server("toy").state is ServerState.FAILED
        (told,) = house.ear.of("server.rolled_back")
        assert told["failed"]

    house.live(story)


def test_a_lease_that_comes_in_the_last_moment_saves_the_old_one(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        old = await house.up(owner)
        house.system.meanwhile["table"] = lambda: house.claims.acquire("toy", "a test", 600)
        with pytest.raises(VersionConflict, match="came into use"):
            await house.up(owner, version="2.0")
        assert house.alive(old.process)
        assert house.records.server("toy").state is ServerState.READY
        assert house.ear.of("signal.sent") == []
        again = await house.up(owner, version="2.0")
        assert again.id == "toy-2"

    house.live(story)


def test_who_replaces_without_an_owner_has_it_until_it_is_stopped(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner)
        house.system.end(owner)
        new = await house.up(version="2.0")
        await asyncio.sleep(3600)
        assert house.alive(new.process)

    house.live(story)


def test_a_daemon_that_is_killed_between_the_two_leaves_one_server(house: House) -> None:
    async def first() -> None:
        owner = house.editor()
        await house.up(owner)
        house.system.programs["toy"] = lambda *_: None
        asyncio.create_task(house.up(owner, version="2.0"))  # noqa: RUF006 (it goes with its daemon)
        await asyncio.sleep(5)
        assert house.records.server("toy").state is ServerState.STARTING

    house.live(first)
    house.system.programs["toy"] = serve
    later = house.restarted()
    later.tables = house.tables

    async def second() -> None:
        await asyncio.sleep(120)
        toys = [process for process in later.system.processes.values() if process.command[:1] == ("toy",)]
        assert len(toys) <= 1

    later.live(second)
