"""What every exit watcher promises."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.core.model import Liveness, ProcessIdentity
from tests.contract.worlds import PATIENCE_S, World, on_loop, until, world_of
from tests.privilege import NEEDS_ROOT
from tests.wine import IS_WINDOWS

RECYCLED = () if IS_WINDOWS else ("real", "polling")
RECYCLING_WORLDS = ["fake", *(pytest.param(name, marks=NEEDS_ROOT) for name in RECYCLED)]


@pytest.fixture(params=["fake", "real", "polling"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The fallback keeps the same promises."""
    with world_of(request.param, tmp_path) as made:
        yield made


async def ended(world: World, identity: ProcessIdentity) -> None:
    """Wait for the event."""
    event = asyncio.Event()
    world.platform.exits.watch(identity, event.set)
    await asyncio.wait_for(event.wait(), PATIENCE_S)


@on_loop
async def test_the_end_of_a_child_is_reported_with_its_status(world: World) -> None:
    child = world.child()
    statuses: list[int | None] = []
    world.platform.exits.watch(child, lambda: statuses.append(world.platform.processes.exit_status(child)))
    later = asyncio.create_task(ended(world, child))
    await asyncio.sleep(0)
    assert statuses == []
    world.end(child)
    await later
    assert statuses == [world.ended]
    assert world.platform.probe.sample(child) is Liveness.DEAD


@on_loop
async def test_the_end_of_a_process_that_is_not_our_child_is_reported(world: World) -> None:
    _, grandchild = world.family()
    later = asyncio.create_task(ended(world, grandchild))
    await asyncio.sleep(0)
    assert not later.done()
    world.end(grandchild)
    await later
    assert world.platform.processes.exit_status(grandchild) is None


@on_loop
async def test_a_process_that_has_ended_is_reported_on_a_later_turn(world: World) -> None:
    child = world.child()
    world.end(child)
    calls: list[str] = []
    world.platform.exits.watch(child, lambda: calls.append("ended"))
    assert calls == []
    await ended(world, child)
    assert calls == ["ended"]


@on_loop
async def test_who_begins_to_watch_what_others_watch_is_told_as_they_are(world: World) -> None:
    child = world.child()
    told: list[str] = []
    world.platform.exits.watch(child, lambda: told.append("first"))
    world.end(child)
    # Nobody has been told yet: the loop had no turn.
    world.platform.exits.watch(child, lambda: told.append("second"))
    assert told == []
    await until(lambda: sorted(told) == ["first", "second"], "both are told")


@on_loop
async def test_a_zombie_is_reported(world: World) -> None:
    _, grandchild = world.family()
    world.end(grandchild)
    await ended(world, grandchild)


@on_loop
async def test_a_process_that_never_was_is_reported(world: World) -> None:
    await ended(world, ProcessIdentity(2**40, "never"))
    await ended(world, ProcessIdentity(0, "never"))


@pytest.mark.parametrize("world", RECYCLING_WORLDS, indirect=True)
@on_loop
async def test_a_recycled_pid_is_reported_while_the_other_process_lives(world: World) -> None:
    child = world.child()
    other = world.recycle(child)
    await ended(world, child)
    assert world.platform.probe.sample(other) is Liveness.ALIVE


@on_loop
async def test_a_closed_watch_stays_silent(world: World) -> None:
    child = world.child()
    calls: list[str] = []
    closed = world.platform.exits.watch(child, lambda: calls.append("closed"))
    world.platform.exits.watch(child, lambda: calls.append("open"))
    closed.close()
    closed.close()
    world.end(child)
    await until(lambda: calls, "the open one is called")
    await ended(world, child)
    assert calls == ["open"]


@on_loop
async def test_a_watch_closed_between_the_event_and_its_turn_stays_silent(world: World) -> None:
    child = world.child()
    world.end(child)
    calls: list[str] = []
    watch = world.platform.exits.watch(child, lambda: calls.append("closed"))
    watch.close()
    await ended(world, child)
    assert calls == []


@on_loop
async def test_every_watch_is_called_once_and_may_be_closed_afterwards(world: World) -> None:
    child = world.child()
    calls: list[str] = []
    first = world.platform.exits.watch(child, lambda: calls.append("first"))

    def end_of_second() -> None:
        calls.append("second")
        second.close()

    second = world.platform.exits.watch(child, end_of_second)
    world.end(child)
    await until(lambda: len(calls) > 1, "both are called")
    await ended(world, child)
    first.close()
    assert sorted(calls) == ["first", "second"]
