"""What every probe promises."""

import time

import pytest

from supervisor.core.model import Liveness, ProcessIdentity
from tests.contract.worlds import FakeWorld, RealWorld, World, on_loop
from tests.privilege import NEEDS_ROOT
from tests.wine import IS_WINDOWS, WINE

RECYCLING_WORLDS = ["fake", *(() if IS_WINDOWS else (pytest.param("real", marks=NEEDS_ROOT),))]


@on_loop
async def test_a_living_process_is_alive(world: World) -> None:
    child = world.child()
    assert world.platform.probe.identify(child.pid) == child
    assert world.platform.probe.sample(child) is Liveness.ALIVE


@on_loop
async def test_an_ended_process_is_dead(world: World) -> None:
    child = world.child()
    world.end(child)
    assert world.platform.probe.sample(child) is Liveness.DEAD
    assert world.platform.probe.identify(child.pid) is None


@on_loop
async def test_a_zombie_is_dead(world: World) -> None:
    _, grandchild = world.family()
    world.end(grandchild)
    assert world.platform.probe.sample(grandchild) is Liveness.DEAD
    assert world.platform.probe.identify(grandchild.pid) is None
    assert world.platform.probe.describe(grandchild.pid).identity is None


@pytest.mark.parametrize("world", RECYCLING_WORLDS, indirect=True)
@on_loop
async def test_a_process_whose_pid_was_recycled_is_dead(world: World) -> None:
    child = world.child()
    other = world.recycle(child)
    assert other.pid == child.pid
    assert world.platform.probe.sample(child) is Liveness.DEAD
    assert world.platform.probe.sample(other) is Liveness.ALIVE
    assert world.platform.probe.same_user(child) is None


@on_loop
async def test_the_next_pid_is_another_process(world: World) -> None:
    child = world.child()
    neighbour = ProcessIdentity(child.pid + 1, child.start_token)
    found = world.platform.probe.identify(neighbour.pid)
    assert found is None or found.pid == neighbour.pid
    assert world.platform.probe.sample(ProcessIdentity(world.me.pid, child.start_token)) is Liveness.DEAD
    assert world.platform.probe.sample(ProcessIdentity(child.pid, world.me.start_token)) is Liveness.DEAD


@pytest.mark.parametrize("pid", [0, -1, -4711, 2**31, 2**80])
def test_what_is_no_pid_is_nobody(world: World, pid: int) -> None:
    assert world.platform.probe.identify(pid) is None
    assert world.platform.probe.sample(ProcessIdentity(pid, world.me.start_token)) is Liveness.DEAD
    assert world.platform.probe.describe(pid).identity is None


@pytest.mark.parametrize("token", ["", ":", "nonsense", "another-boot:4711", "fake:999999"])
def test_a_token_of_another_boot_is_dead(world: World, token: str) -> None:
    assert world.platform.probe.sample(ProcessIdentity(world.me.pid, token)) is Liveness.DEAD


def test_a_process_that_cannot_be_read_is_unknown() -> None:
    world = FakeWorld()
    world.system.processes[world.me.pid].unreadable = True
    assert world.platform.probe.sample(world.me) is Liveness.UNKNOWN
    assert world.platform.probe.same_user(world.me) is None
    with pytest.raises(OSError, match="unreadable"):
        world.platform.probe.identify(world.me.pid)


@on_loop
async def test_a_child_belongs_to_the_same_user(world: World) -> None:
    assert world.platform.probe.same_user(world.child()) is True


@on_loop
async def test_a_child_started_after_its_parent_and_before_now(world: World) -> None:
    probe = world.platform.probe
    child = world.child()
    parents, childs = probe.started_at(world.me), probe.started_at(child)
    assert parents is not None
    assert childs is not None
    older, younger = probe.born(world.me), probe.born(child)
    if WINE and isinstance(world, RealWorld):
        # It tells times by a clock that can be set, and nothing else.
        assert older is younger is None
    else:
        assert older is not None
        assert younger is not None
        assert older <= younger
    # A clock tick of the kernel is 10 ms.
    assert parents - 0.02 <= childs <= world.platform.clock.wall() + 0.02
    assert probe.describe(child.pid).since == pytest.approx(childs, abs=0.02)


@on_loop
async def test_a_description_names_the_command_and_the_user(world: World) -> None:
    child = world.child()
    described = world.platform.probe.describe(child.pid)
    assert described.identity == child
    assert described.command
    assert described.user


def test_the_clock_goes_forward(world: World) -> None:
    before = world.platform.clock.monotonic()
    assert world.platform.clock.monotonic() >= before
    assert world.platform.clock.wall() > time.mktime((2020, 1, 1, 0, 0, 0, 0, 0, 0))


def test_a_process_of_our_own_namespace_is_told(world: World) -> None:
    assert world.platform.probe.same_namespace(world.me) is True


def test_the_namespace_of_a_process_that_has_gone_is_unknown(world: World) -> None:
    assert world.platform.probe.same_namespace(ProcessIdentity(world.me.pid, "another")) is None
