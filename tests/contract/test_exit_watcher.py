"""The contract of exit watchers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.core.model import Liveness, ProcessIdentity
from tests.contract.platforms import PATIENCE_S, PlatformHarness, harness_of, on_loop, until
from tests.privilege import NEEDS_ROOT
from tests.wine import IS_WINDOWS

RECYCLED = () if IS_WINDOWS else ("real", "polling")
RECYCLING_PLATFORMS = ["fake", *(pytest.param(name, marks=NEEDS_ROOT) for name in RECYCLED)]


@pytest.fixture(params=["fake", "real", "polling"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PlatformHarness]:
    """The same contract for the fallback."""
    with harness_of(request.param, tmp_path) as made:
        yield made


async def ended(harness: PlatformHarness, identity: ProcessIdentity) -> None:
    """Wait for the event."""
    event = asyncio.Event()
    harness.platform.exits.watch(identity, event.set)
    await asyncio.wait_for(event.wait(), PATIENCE_S)


@on_loop
async def test_the_end_of_a_child_is_reported_with_its_status(harness: PlatformHarness) -> None:
    child = harness.child()
    statuses: list[int | None] = []
    harness.platform.exits.watch(child, lambda: statuses.append(harness.platform.processes.exit_status(child)))
    later = asyncio.create_task(ended(harness, child))
    await asyncio.sleep(0)
    assert statuses == []
    harness.end(child)
    await later
    assert statuses == [harness.ended]
    assert harness.platform.probe.sample(child) is Liveness.DEAD


@on_loop
async def test_end_of_a_process_that_is_no_child_is_reported(harness: PlatformHarness) -> None:
    _, grandchild = harness.family()
    later = asyncio.create_task(ended(harness, grandchild))
    await asyncio.sleep(0)
    assert not later.done()
    harness.end(grandchild)
    await later
    assert harness.platform.processes.exit_status(grandchild) is None


@on_loop
async def test_ended_process_is_reported_in_a_later_loop_iteration(harness: PlatformHarness) -> None:
    child = harness.child()
    harness.end(child)
    calls: list[str] = []
    harness.platform.exits.watch(child, lambda: calls.append("ended"))
    assert calls == []
    await ended(harness, child)
    assert calls == ["ended"]


@on_loop
async def test_second_watch_of_a_process_reports_like_the_first(harness: PlatformHarness) -> None:
    child = harness.child()
    told: list[str] = []
    harness.platform.exits.watch(child, lambda: told.append("first"))
    harness.end(child)
    # No callback has run yet, because the loop had no iteration.
    harness.platform.exits.watch(child, lambda: told.append("second"))
    assert told == []
    await until(lambda: sorted(told) == ["first", "second"], "both are told")


@on_loop
async def test_a_zombie_is_reported(harness: PlatformHarness) -> None:
    _, grandchild = harness.family()
    harness.end(grandchild)
    await ended(harness, grandchild)


@on_loop
async def test_process_that_never_existed_is_reported(harness: PlatformHarness) -> None:
    await ended(harness, ProcessIdentity(2**40, "never"))
    await ended(harness, ProcessIdentity(0, "never"))


@pytest.mark.parametrize("harness", RECYCLING_PLATFORMS, indirect=True)
@on_loop
async def test_recycled_pid_is_reported_while_the_new_process_lives(harness: PlatformHarness) -> None:
    child = harness.child()
    other = harness.recycle(child)
    await ended(harness, child)
    assert harness.platform.probe.sample(other) is Liveness.ALIVE


@on_loop
async def test_a_closed_watch_stays_silent(harness: PlatformHarness) -> None:
    child = harness.child()
    calls: list[str] = []
    closed = harness.platform.exits.watch(child, lambda: calls.append("closed"))
    harness.platform.exits.watch(child, lambda: calls.append("open"))
    closed.close()
    closed.close()
    harness.end(child)
    await until(lambda: calls, "the open one is called")
    await ended(harness, child)
    assert calls == ["open"]


@on_loop
async def test_watch_closed_between_event_and_callback_stays_silent(harness: PlatformHarness) -> None:
    child = harness.child()
    harness.end(child)
    calls: list[str] = []
    watch = harness.platform.exits.watch(child, lambda: calls.append("closed"))
    watch.close()
    await ended(harness, child)
    assert calls == []


@on_loop
async def test_every_watch_is_called_once_and_may_be_closed_afterwards(harness: PlatformHarness) -> None:
    child = harness.child()
    calls: list[str] = []
    first = harness.platform.exits.watch(child, lambda: calls.append("first"))

    def end_of_second() -> None:
        calls.append("second")
        second.close()

    second = harness.platform.exits.watch(child, end_of_second)
    harness.end(child)
    await until(lambda: len(calls) > 1, "both are called")
    await ended(harness, child)
    first.close()
    assert sorted(calls) == ["first", "second"]
