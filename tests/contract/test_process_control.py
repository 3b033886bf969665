"""What every process control promises."""

import pytest

from supervisor.core.model import Liveness, ProcessIdentity, ProcessRow
from supervisor.native.api import variable_if_told
from tests.contract.worlds import RealWorld, World, on_loop, until
from tests.fakes import SIGTERMED
from tests.privilege import NEEDS_ROOT
from tests.wine import IS_WINDOWS, REAL_WINDOWS

CONTROL_C_EXIT = 0xC000013A
"""STATUS_CONTROL_C_EXIT, <ntstatus.h>: what is left of a process that CTRL_BREAK has ended."""

ASKING_WORLDS = ["fake", pytest.param("real", marks=REAL_WINDOWS if IS_WINDOWS else ())]
"""Wine passes CTRL_BREAK on to nobody, or not as Windows does."""

UNTOLD = (FileNotFoundError, PermissionError, ProcessLookupError)
"""What the systems say of a process that is not there, or that they do not tell about."""

RECYCLING_WORLDS = ["fake", *(() if IS_WINDOWS else (pytest.param("real", marks=NEEDS_ROOT),))]


def row(world: World, identity: ProcessIdentity) -> ProcessRow | None:
    """Its line of the process table."""
    return next((row for row in world.platform.processes.table() if row.identity == identity), None)


async def gone(world: World, identity: ProcessIdentity) -> None:
    """Wait for its end."""
    await until(lambda: world.platform.probe.sample(identity) is Liveness.DEAD, "it ends")


@on_loop
@pytest.mark.parametrize("rehearsed", [False, True])
async def test_a_program_that_is_not_there_is_named(world: World, *, rehearsed: bool) -> None:
    with pytest.raises(OSError, match="no-such-program"):
        world.missing(rehearsed=rehearsed)


@on_loop
async def test_a_child_that_ends_at_once_has_a_status(world: World) -> None:
    child = world.brief(7)
    await gone(world, child)
    await until(lambda: world.platform.processes.exit_status(child) is not None, "the status is there")
    assert world.platform.processes.exit_status(child) == 7


@on_loop
@pytest.mark.parametrize("world", ["real"], indirect=True)
async def test_input_ends_at_once_unless_it_is_kept(world: World) -> None:
    assert isinstance(world, RealWorld)
    kept = world.reader(keeps_input=True)
    closed = [world.reader(keeps_input=False) for _ in range(3)]
    for child in closed:
        await gone(world, child)
    assert world.platform.probe.sample(kept) is Liveness.ALIVE


@on_loop
async def test_a_living_child_has_no_status(world: World) -> None:
    assert world.platform.processes.exit_status(world.child()) is None


@on_loop
async def test_a_status_is_that_of_the_very_process(world: World) -> None:
    child = world.brief(7)
    await until(lambda: world.platform.processes.exit_status(child) is not None, "the status is there")
    assert world.platform.processes.exit_status(ProcessIdentity(child.pid, world.me.start_token)) is None


@pytest.mark.parametrize("world", ASKING_WORLDS, indirect=True)
@on_loop
async def test_a_child_that_is_asked_to_end_ends_by_that(world: World) -> None:
    child = world.child()
    assert await world.platform.processes.ask_to_end(child)
    await gone(world, child)
    await until(lambda: world.platform.processes.exit_status(child) is not None, "the status is there")
    real_windows = IS_WINDOWS and isinstance(world, RealWorld)
    assert world.platform.processes.exit_status(child) == (CONTROL_C_EXIT if real_windows else SIGTERMED)


@pytest.mark.parametrize("world", ASKING_WORLDS, indirect=True)
@on_loop
async def test_a_child_that_ignores_the_request_dies_of_a_kill(world: World) -> None:
    child = world.child(stubborn=True)
    assert await world.platform.processes.ask_to_end(child)
    assert world.platform.probe.sample(child) is Liveness.ALIVE
    assert world.platform.processes.kill(child)
    await gone(world, child)
    await until(lambda: world.platform.processes.exit_status(child) is not None, "the status is there")
    assert world.platform.processes.exit_status(child) == world.killed


@on_loop
async def test_a_process_that_is_not_our_child_can_be_ended(world: World) -> None:
    _, grandchild = world.family()
    if IS_WINDOWS and isinstance(world, RealWorld):
        with pytest.raises(OSError, match="no polite request"):
            await world.platform.processes.ask_to_end(grandchild)
        assert world.platform.processes.kill(grandchild)
    else:
        assert await world.platform.processes.ask_to_end(grandchild)
    await gone(world, grandchild)


@on_loop
async def test_a_signal_to_the_dead_says_so(world: World) -> None:
    child = world.child()
    _, zombie = world.family()
    for identity in (child, zombie):
        world.end(identity)
        assert not await world.platform.processes.ask_to_end(identity)
        assert not world.platform.processes.kill(identity)


@pytest.mark.parametrize("pid", [0, -1, 2**40])
@on_loop
async def test_a_signal_to_what_is_no_pid_says_so(world: World, pid: int) -> None:
    assert not await world.platform.processes.ask_to_end(ProcessIdentity(pid, world.me.start_token))
    assert not world.platform.processes.kill(ProcessIdentity(pid, world.me.start_token))


@on_loop
async def test_a_signal_with_another_start_token_hits_nobody(world: World) -> None:
    child = world.child()
    mistaken = ProcessIdentity(child.pid, world.me.start_token)
    assert not world.platform.processes.kill(mistaken)
    assert not await world.platform.processes.ask_to_end(mistaken)
    assert world.platform.probe.sample(child) is Liveness.ALIVE
    with pytest.raises(UNTOLD):
        world.platform.processes.variable(mistaken, "GREETING")


@pytest.mark.parametrize("world", RECYCLING_WORLDS, indirect=True)
@on_loop
async def test_a_kill_of_a_recycled_identity_does_nothing(world: World) -> None:
    child = world.child()
    other = world.recycle(child)
    assert not world.platform.processes.kill(child)
    assert not await world.platform.processes.ask_to_end(child)
    assert world.platform.probe.sample(other) is Liveness.ALIVE


@on_loop
async def test_the_table_shows_parents_and_sessions(world: World) -> None:
    parent, grandchild = world.family()
    assert row(world, parent) == ProcessRow(parent, world.me.pid, parent.pid)
    assert row(world, grandchild) == ProcessRow(grandchild, parent.pid, parent.pid)
    mine = row(world, world.me)
    assert mine is not None
    assert mine.session != parent.pid


@on_loop
async def test_the_table_leaves_the_dead_out(world: World) -> None:
    _, grandchild = world.family()
    child = world.child()
    world.end(grandchild)
    world.end(child)
    assert row(world, grandchild) is None
    assert row(world, child) is None


@on_loop
async def test_an_orphan_is_shown_below_another_parent(world: World) -> None:
    parent, orphan = world.family()
    world.end(parent)
    shown = row(world, orphan)
    assert shown is not None
    assert shown.parent != parent.pid
    assert shown.session == parent.pid


@on_loop
async def test_the_number_of_a_child_is_vacant_once_it_has_been_collected(world: World) -> None:
    child = world.child()
    assert not world.platform.processes.vacant(child.pid)
    world.end(child)
    await until(lambda: world.platform.processes.exit_status(child) is not None, "it is collected")
    # On Windows its console host ends after it.
    await until(lambda: world.platform.processes.vacant(child.pid), "nothing is left")


@on_loop
async def test_the_number_of_a_leader_is_not_vacant_while_its_session_lives(world: World) -> None:
    parent, orphan = world.family()
    world.end(parent)
    await until(lambda: world.platform.processes.exit_status(parent) is not None, "it is collected")
    assert not world.platform.processes.vacant(parent.pid)
    assert world.platform.probe.sample(orphan) is Liveness.ALIVE


@on_loop
async def test_the_number_of_a_zombie_is_not_vacant(world: World) -> None:
    _, zombie = world.family()
    world.end(zombie)
    # Windows keeps the number of a process that somebody has a handle to, and nothing else of it.
    kept_by_a_handle = IS_WINDOWS and isinstance(world, RealWorld)
    assert world.platform.processes.vacant(zombie.pid) is kept_by_a_handle


@pytest.mark.parametrize("pid", [0, -1, -(2**30), 2**40])
def test_what_is_no_number_is_not_vacant(world: World, pid: int) -> None:
    assert not world.platform.processes.vacant(pid)


@on_loop
async def test_a_variable_of_a_child_can_be_read(world: World) -> None:
    child = world.child(variable="a=b c")
    assert world.platform.processes.variable(child, "GREETING") == "a=b c"
    assert world.platform.processes.variable(child, "GREET") is None
    world.end(child)
    with pytest.raises(UNTOLD):
        world.platform.processes.variable(child, "GREETING")
    assert variable_if_told(world.platform.processes, child, "GREETING") is None
