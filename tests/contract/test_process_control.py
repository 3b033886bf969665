"""The contract of process control."""

import pytest

from supervisor.core.model import Liveness, ProcessIdentity, ProcessRow
from supervisor.native.api import variable_if_told
from tests.contract.platforms import PlatformHarness, RealHarness, on_loop, until
from tests.fakes import SIGTERMED
from tests.privilege import NEEDS_ROOT
from tests.wine import IS_WINDOWS, REAL_WINDOWS

CONTROL_C_EXIT = 0xC000013A
"""STATUS_CONTROL_C_EXIT, <ntstatus.h>: the exit status of a process that CTRL_BREAK has ended."""

ASKING_WORLDS = ["fake", pytest.param("real", marks=REAL_WINDOWS if IS_WINDOWS else ())]
"""Wine passes CTRL_BREAK to no process, or not as Windows does."""

UNTOLD = (FileNotFoundError, PermissionError, ProcessLookupError)
"""The errors of systems for a process that is missing, or that they do not tell about."""

RECYCLING_PLATFORMS = ["fake", *(() if IS_WINDOWS else (pytest.param("real", marks=NEEDS_ROOT),))]


def row(harness: PlatformHarness, identity: ProcessIdentity) -> ProcessRow | None:
    """Return its line of the process table."""
    return next((row for row in harness.platform.processes.table() if row.identity == identity), None)


async def gone(harness: PlatformHarness, identity: ProcessIdentity) -> None:
    """Wait for its end."""
    await until(lambda: harness.platform.probe.sample(identity) is Liveness.DEAD, "it ends")


@on_loop
@pytest.mark.parametrize("rehearsed", [False, True])
async def test_missing_program_is_named(harness: PlatformHarness, *, rehearsed: bool) -> None:
    with pytest.raises(OSError, match="no-such-program"):
        harness.missing(rehearsed=rehearsed)


@on_loop
async def test_a_child_that_ends_at_once_has_a_status(harness: PlatformHarness) -> None:
    child = harness.brief(7)
    await gone(harness, child)
    await until(lambda: harness.platform.processes.exit_status(child) is not None, "the status is there")
    assert harness.platform.processes.exit_status(child) == 7


@on_loop
@pytest.mark.parametrize("harness", ["real"], indirect=True)
async def test_input_ends_at_once_unless_it_is_kept(harness: PlatformHarness) -> None:
    assert isinstance(harness, RealHarness)
    kept = harness.reader(keeps_input=True)
    closed = [harness.reader(keeps_input=False) for _ in range(3)]
    for child in closed:
        await gone(harness, child)
    assert harness.platform.probe.sample(kept) is Liveness.ALIVE


@on_loop
async def test_a_living_child_has_no_status(harness: PlatformHarness) -> None:
    assert harness.platform.processes.exit_status(harness.child()) is None


@on_loop
async def test_status_belongs_to_exactly_this_process(harness: PlatformHarness) -> None:
    child = harness.brief(7)
    await until(lambda: harness.platform.processes.exit_status(child) is not None, "the status is there")
    assert harness.platform.processes.exit_status(ProcessIdentity(child.pid, harness.me.start_token)) is None


@pytest.mark.parametrize("harness", ASKING_WORLDS, indirect=True)
@on_loop
async def test_child_ends_by_the_polite_request(harness: PlatformHarness) -> None:
    child = harness.child()
    assert await harness.platform.processes.ask_to_end(child)
    await gone(harness, child)
    await until(lambda: harness.platform.processes.exit_status(child) is not None, "the status is there")
    real_windows = IS_WINDOWS and isinstance(harness, RealHarness)
    assert harness.platform.processes.exit_status(child) == (CONTROL_C_EXIT if real_windows else SIGTERMED)


@pytest.mark.parametrize("harness", ASKING_WORLDS, indirect=True)
@on_loop
async def test_child_that_ignores_the_request_is_killed(harness: PlatformHarness) -> None:
    child = harness.child(stubborn=True)
    assert await harness.platform.processes.ask_to_end(child)
    assert harness.platform.probe.sample(child) is Liveness.ALIVE
    assert harness.platform.processes.kill(child)
    await gone(harness, child)
    await until(lambda: harness.platform.processes.exit_status(child) is not None, "the status is there")
    assert harness.platform.processes.exit_status(child) == harness.killed


@on_loop
async def test_process_that_is_no_child_can_be_ended(harness: PlatformHarness) -> None:
    _, grandchild = harness.family()
    if IS_WINDOWS and isinstance(harness, RealHarness):
        with pytest.raises(OSError, match="no polite request"):
            await harness.platform.processes.ask_to_end(grandchild)
        assert harness.platform.processes.kill(grandchild)
    else:
        assert await harness.platform.processes.ask_to_end(grandchild)
    await gone(harness, grandchild)


@on_loop
async def test_signal_to_an_ended_process_returns_false(harness: PlatformHarness) -> None:
    child = harness.child()
    _, zombie = harness.family()
    for identity in (child, zombie):
        harness.end(identity)
        assert not await harness.platform.processes.ask_to_end(identity)
        assert not harness.platform.processes.kill(identity)


@pytest.mark.parametrize("pid", [0, -1, 2**40])
@on_loop
async def test_signal_to_an_impossible_pid_returns_false(harness: PlatformHarness, pid: int) -> None:
    assert not await harness.platform.processes.ask_to_end(ProcessIdentity(pid, harness.me.start_token))
    assert not harness.platform.processes.kill(ProcessIdentity(pid, harness.me.start_token))


@on_loop
async def test_signal_with_another_start_token_is_not_sent(harness: PlatformHarness) -> None:
    child = harness.child()
    mistaken = ProcessIdentity(child.pid, harness.me.start_token)
    assert not harness.platform.processes.kill(mistaken)
    assert not await harness.platform.processes.ask_to_end(mistaken)
    assert harness.platform.probe.sample(child) is Liveness.ALIVE
    with pytest.raises(UNTOLD):
        harness.platform.processes.variable(mistaken, "GREETING")


@pytest.mark.parametrize("harness", RECYCLING_PLATFORMS, indirect=True)
@on_loop
async def test_a_kill_of_a_recycled_identity_does_nothing(harness: PlatformHarness) -> None:
    child = harness.child()
    other = harness.recycle(child)
    assert not harness.platform.processes.kill(child)
    assert not await harness.platform.processes.ask_to_end(child)
    assert harness.platform.probe.sample(other) is Liveness.ALIVE


@on_loop
async def test_the_table_shows_parents_and_sessions(harness: PlatformHarness) -> None:
    parent, grandchild = harness.family()
    assert row(harness, parent) == ProcessRow(parent, harness.me.pid, parent.pid)
    assert row(harness, grandchild) == ProcessRow(grandchild, parent.pid, parent.pid)
    mine = row(harness, harness.me)
    assert mine is not None
    assert mine.session != parent.pid


@on_loop
async def test_table_omits_ended_processes(harness: PlatformHarness) -> None:
    _, grandchild = harness.family()
    child = harness.child()
    harness.end(grandchild)
    harness.end(child)
    assert row(harness, grandchild) is None
    assert row(harness, child) is None


@on_loop
async def test_an_orphan_is_shown_below_another_parent(harness: PlatformHarness) -> None:
    parent, orphan = harness.family()
    harness.end(parent)
    shown = row(harness, orphan)
    assert shown is not None
    assert shown.parent != parent.pid
    assert shown.session == parent.pid


@on_loop
async def test_pid_of_a_child_is_unused_after_it_was_collected(harness: PlatformHarness) -> None:
    child = harness.child()
    assert not harness.platform.processes.is_unused(child.pid)
    harness.end(child)
    await until(lambda: harness.platform.processes.exit_status(child) is not None, "it is collected")
    # On Windows its console host ends after it.
    await until(lambda: harness.platform.processes.is_unused(child.pid), "nothing is left")


@on_loop
async def test_pid_of_a_leader_is_not_unused_while_its_session_lives(harness: PlatformHarness) -> None:
    parent, orphan = harness.family()
    harness.end(parent)
    await until(lambda: harness.platform.processes.exit_status(parent) is not None, "it is collected")
    assert not harness.platform.processes.is_unused(parent.pid)
    assert harness.platform.probe.sample(orphan) is Liveness.ALIVE


@on_loop
async def test_pid_of_a_zombie_is_not_unused(harness: PlatformHarness) -> None:
    _, zombie = harness.family()
    harness.end(zombie)
    # Windows keeps the number of a process with an open handle, and nothing else of it.
    kept_by_a_handle = IS_WINDOWS and isinstance(harness, RealHarness)
    assert harness.platform.processes.is_unused(zombie.pid) is kept_by_a_handle


@pytest.mark.parametrize("pid", [0, -1, -(2**30), 2**40])
def test_impossible_pid_is_not_unused(harness: PlatformHarness, pid: int) -> None:
    assert not harness.platform.processes.is_unused(pid)


@on_loop
async def test_a_variable_of_a_child_can_be_read(harness: PlatformHarness) -> None:
    child = harness.child(variable="a=b c")
    assert harness.platform.processes.variable(child, "GREETING") == "a=b c"
    assert harness.platform.processes.variable(child, "GREET") is None
    harness.end(child)
    with pytest.raises(UNTOLD):
        harness.platform.processes.variable(child, "GREETING")
    assert variable_if_told(harness.platform.processes, child, "GREETING") is None
