"""The contract of probes."""

import time

import pytest

from supervisor.core.model import Liveness, ProcessIdentity
from tests.contract.platforms import FakeHarness, PlatformHarness, RealHarness, on_loop
from tests.privilege import NEEDS_ROOT
from tests.wine import IS_WINDOWS, WINE

RECYCLING_PLATFORMS = ["fake", *(() if IS_WINDOWS else (pytest.param("real", marks=NEEDS_ROOT),))]


@on_loop
async def test_a_living_process_is_alive(harness: PlatformHarness) -> None:
    child = harness.child()
    assert harness.platform.probe.identify(child.pid) == child
    assert harness.platform.probe.sample(child) is Liveness.ALIVE


@on_loop
async def test_an_ended_process_is_dead(harness: PlatformHarness) -> None:
    child = harness.child()
    harness.end(child)
    assert harness.platform.probe.sample(child) is Liveness.DEAD
    assert harness.platform.probe.identify(child.pid) is None


@on_loop
async def test_a_zombie_is_dead(harness: PlatformHarness) -> None:
    _, grandchild = harness.family()
    harness.end(grandchild)
    assert harness.platform.probe.sample(grandchild) is Liveness.DEAD
    assert harness.platform.probe.identify(grandchild.pid) is None
    assert harness.platform.probe.describe(grandchild.pid).identity is None


@pytest.mark.parametrize("harness", RECYCLING_PLATFORMS, indirect=True)
@on_loop
async def test_a_process_whose_pid_was_recycled_is_dead(harness: PlatformHarness) -> None:
    child = harness.child()
    other = harness.recycle(child)
    assert other.pid == child.pid
    assert harness.platform.probe.sample(child) is Liveness.DEAD
    assert harness.platform.probe.sample(other) is Liveness.ALIVE
    assert harness.platform.probe.same_user(child) is None


@on_loop
async def test_the_next_pid_is_another_process(harness: PlatformHarness) -> None:
    child = harness.child()
    neighbour = ProcessIdentity(child.pid + 1, child.start_token)
    found = harness.platform.probe.identify(neighbour.pid)
    assert found is None or found.pid == neighbour.pid
    assert harness.platform.probe.sample(ProcessIdentity(harness.me.pid, child.start_token)) is Liveness.DEAD
    assert harness.platform.probe.sample(ProcessIdentity(child.pid, harness.me.start_token)) is Liveness.DEAD


@pytest.mark.parametrize("pid", [0, -1, -4711, 2**31, 2**80])
def test_impossible_pid_has_no_identity(harness: PlatformHarness, pid: int) -> None:
    assert harness.platform.probe.identify(pid) is None
    assert harness.platform.probe.sample(ProcessIdentity(pid, harness.me.start_token)) is Liveness.DEAD
    assert harness.platform.probe.describe(pid).identity is None


@pytest.mark.parametrize("token", ["", ":", "nonsense", "another-boot:4711", "fake:999999"])
def test_a_token_of_another_boot_is_dead(harness: PlatformHarness, token: str) -> None:
    assert harness.platform.probe.sample(ProcessIdentity(harness.me.pid, token)) is Liveness.DEAD


def test_a_process_that_cannot_be_read_is_unknown() -> None:
    harness = FakeHarness()
    harness.system.processes[harness.me.pid].unreadable = True
    assert harness.platform.probe.sample(harness.me) is Liveness.UNKNOWN
    assert harness.platform.probe.same_user(harness.me) is None
    with pytest.raises(OSError, match="unreadable"):
        harness.platform.probe.identify(harness.me.pid)


@on_loop
async def test_a_child_belongs_to_the_same_user(harness: PlatformHarness) -> None:
    assert harness.platform.probe.same_user(harness.child()) is True


@on_loop
async def test_a_child_started_after_its_parent_and_before_now(harness: PlatformHarness) -> None:
    probe = harness.platform.probe
    child = harness.child()
    parents, childs = probe.started_at(harness.me), probe.started_at(child)
    assert parents is not None
    assert childs is not None
    older, younger = probe.creation_order(harness.me), probe.creation_order(child)
    if WINE and isinstance(harness, RealHarness):
        # Its only clock is one that can be set.
        assert older is younger is None
    else:
        assert older is not None
        assert younger is not None
        assert older <= younger
    # A clock tick of the kernel is 10 ms.
    assert parents - 0.02 <= childs <= harness.platform.clock.wall() + 0.02
    assert probe.describe(child.pid).since == pytest.approx(childs, abs=0.02)


@on_loop
async def test_a_description_names_the_command_and_the_user(harness: PlatformHarness) -> None:
    child = harness.child()
    described = harness.platform.probe.describe(child.pid)
    assert described.identity == child
    assert described.command
    assert described.user


def test_the_clock_goes_forward(harness: PlatformHarness) -> None:
    before = harness.platform.clock.monotonic()
    assert harness.platform.clock.monotonic() >= before
    assert harness.platform.clock.wall() > time.mktime((2020, 1, 1, 0, 0, 0, 0, 0, 0))


def test_process_in_our_namespace_is_recognised(harness: PlatformHarness) -> None:
    assert harness.platform.probe.same_namespace(harness.me) is True


def test_namespace_of_an_ended_process_is_unknown(harness: PlatformHarness) -> None:
    assert harness.platform.probe.same_namespace(ProcessIdentity(harness.me.pid, "another")) is None
