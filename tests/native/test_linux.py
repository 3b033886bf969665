"""Behaviour that only Linux has; `tests/contract` has the rest."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from supervisor.core.model import Liveness, ProcessIdentity
from supervisor.native.api import ChildCommand, variable_if_told
from supervisor.native.linux.probe import LinuxProbe
from supervisor.native.linux.procfs import read_stat
from supervisor.native.platforms import open_platform
from supervisor.native.startup.own_identity import own_process
from tests.contract.platforms import PATIENCE_S, PYTHON, SLEEPER, RealHarness, on_loop, until, wait_until
from tests.privilege import NEEDS_ROOT, as_nobody

pytestmark = pytest.mark.linux_only

HIDING = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'
ASK_AS_NOBODY = """
import os, sys
from supervisor.core.model import ProcessIdentity
from supervisor.native.platforms import open_platform
probe, pid, token = open_platform().probe, int(sys.argv[1]), sys.argv[2]
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(os.path.exists(f"/proc/{pid}"), probe.sample(ProcessIdentity(pid, token)), probe.describe(pid).identity)
try:
    probe.identify(pid)
except PermissionError:
    print("refused")
"""


@contextmanager
def without_descriptors() -> Iterator[None]:
    """Leave no free descriptor while inside."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def with_hidden_processes(*arguments: str) -> str:
    """Return what Python prints if /proc is mounted with hidepid, in its own mount namespace."""
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", HIDING, "sh", sys.executable, *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def descriptors(pid: int) -> dict[int, str]:
    """Return the open files of a process; for this process, without the one that the query opens."""
    found = {}
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            found[int(link.name)] = str(link.readlink())
    return found


def descriptor_limit(pid: int) -> tuple[int, int]:
    """Return the soft and the hard limit."""
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)


async def waited_for(harness: RealHarness, child: ProcessIdentity) -> int:
    """Wait for the exit status of a process, and return it."""
    await until(lambda: harness.platform.processes.exit_status(child) is not None, "it is waited for")
    status = harness.platform.processes.exit_status(child)
    assert status is not None
    return status


def spawn(harness: RealHarness, folder: Path, *argv: str) -> ProcessIdentity:
    """Spawn a child with a log in this folder; the harness ends it."""
    identity = harness.platform.processes.spawn(ChildCommand(argv, dict(os.environ), folder, folder / "log"))
    harness._known.append(identity)
    return identity


def test_a_process_without_its_main_thread_is_alive() -> None:
    code = (
        "import ctypes, threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); "
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        try:
            wait_until(lambda: read_stat(process.pid).state == "Z", "the main thread leaves")
            probe = LinuxProbe()
            identity = probe.identify(process.pid)
            assert identity is not None
            assert probe.sample(identity) is Liveness.ALIVE
        finally:
            process.kill()
    assert probe.sample(identity) is Liveness.DEAD


def test_a_sample_without_a_free_descriptor_is_unknown() -> None:
    probe = LinuxProbe()
    me = probe.identify(os.getpid())
    assert me is not None
    with without_descriptors():
        assert probe.sample(me) is Liveness.UNKNOWN
    assert probe.sample(me) is Liveness.ALIVE


@on_loop
async def test_unproven_process_gets_no_signal(harness: RealHarness) -> None:
    child = harness.child()
    with without_descriptors(), pytest.raises(OSError, match="Too many open files"):
        harness.platform.processes.kill(child)
    assert harness.platform.probe.sample(child) is Liveness.ALIVE


@pytest.mark.needs_root
@NEEDS_ROOT[1]
@on_loop
async def test_hidden_process_is_not_taken_for_dead(harness: RealHarness) -> None:
    child = harness.child()
    said = with_hidden_processes("-c", ASK_AS_NOBODY, str(child.pid), child.start_token)
    assert said.splitlines() == ["False alive None", "refused"]


@pytest.mark.needs_root
@NEEDS_ROOT[1]
@on_loop
async def test_process_of_another_user_is_seen_but_not_signalled(harness: RealHarness) -> None:
    child = harness.child(variable="secret")
    probe, processes = harness.platform.probe, harness.platform.processes

    def ask() -> str:
        seen = (probe.sample(child), probe.same_user(child), variable_if_told(processes, child, "GREETING"))
        try:
            processes.kill(child)
        except PermissionError:
            return f"{seen} refused"
        return f"{seen} killed"

    assert as_nobody(ask) == f"{(Liveness.ALIVE, False, None)} refused"
    assert probe.sample(child) is Liveness.ALIVE


@on_loop
async def test_start_of_a_process_agrees_with_psutil(harness: RealHarness) -> None:
    child = harness.child()
    # psutil counts from /proc/stat's btime, which is in whole seconds.
    assert harness.platform.probe.started_at(child) == pytest.approx(psutil.Process(child.pid).create_time(), abs=1.1)
    assert harness.platform.probe.started_at(child) == pytest.approx(time.time(), abs=PATIENCE_S)
    assert harness.platform.probe.started_at(ProcessIdentity(child.pid, "another-boot:1")) is None


@on_loop
async def test_order_of_creation_does_not_depend_on_the_wall_clock(
    harness: RealHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, probe = harness.child(), harness.platform.probe
    before, shown = probe.creation_order(child), probe.started_at(child)
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() - 3600)
    assert probe.creation_order(child) == before
    assert probe.started_at(child) == pytest.approx((shown or 0.0) - 3600, abs=PATIENCE_S)
    assert probe.creation_order(ProcessIdentity(child.pid, "another-boot:1")) is None


@on_loop
async def test_unwatched_child_does_not_stay_a_zombie(harness: RealHarness) -> None:
    child = harness.brief(0)
    await until(lambda: not Path(f"/proc/{child.pid}").exists(), "it is waited for")


@on_loop
async def test_child_has_its_own_session_no_input_and_no_open_file_of_ours(
    harness: RealHarness, tmp_path: Path
) -> None:
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        child = spawn(harness, tmp_path, *PYTHON, SLEEPER)
    finally:
        os.close(inherited)
    wait_until((tmp_path / "log").read_text, "it runs")
    assert descriptors(child.pid) == {0: "/dev/null", 1: str(tmp_path / "log"), 2: str(tmp_path / "log")}
    assert os.getsid(child.pid) == child.pid


@on_loop
async def test_output_is_appended_to_a_private_log(harness: RealHarness, tmp_path: Path) -> None:
    for word in ("one", "two"):
        child = spawn(harness, tmp_path, "sh", "-c", f"echo {word}; echo {word} >&2")
        await waited_for(harness, child)
    assert (tmp_path / "log").read_text().split() == ["one", "one", "two", "two"]
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600


@on_loop
async def test_children_get_the_descriptor_limit_back(tmp_path: Path) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    harness = RealHarness(tmp_path)
    for limit in ((123, hard), (123, 456)):
        harness.platform = open_platform(limit)
        child = harness.child()
        assert descriptor_limit(child.pid) == limit
        harness.end(child)
        await waited_for(harness, child)
    harness.close()


def test_spawn_requires_a_running_loop(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        open_platform().processes.spawn(ChildCommand(("touch", "ran"), dict(os.environ), tmp_path, tmp_path / "log"))
    assert not (tmp_path / "log").exists()


@on_loop
async def test_without_descriptors_exits_are_polled_with_a_note(harness: RealHarness) -> None:
    _, grandchild = harness.family()
    ended = asyncio.Event()
    assert harness.platform.exits.note() is None
    harness.platform.exits._polling._interval_s = 0.05
    with without_descriptors():
        watch = harness.platform.exits.watch(grandchild, ended.set)
    assert "Too many open files" in (harness.platform.exits.note() or "")
    harness.end(grandchild)
    await asyncio.wait_for(ended.wait(), PATIENCE_S)
    assert harness.platform.exits.note() is None
    watch.close()


@on_loop
async def test_watches_of_a_process_share_one_descriptor(harness: RealHarness) -> None:
    _, grandchild = harness.family()
    before = len(descriptors(os.getpid()))
    watches = [harness.platform.exits.watch(grandchild, pytest.fail) for _ in range(10)]
    for watch in watches:
        assert len(descriptors(os.getpid())) == before + 1
        watch.close()
    assert len(descriptors(os.getpid())) == before


@on_loop
async def test_watch_closed_by_another_callback_stays_silent(harness: RealHarness) -> None:
    child = harness.child()
    ended = asyncio.Event()

    def first() -> None:
        second.close()
        ended.set()

    before = len(descriptors(os.getpid()))
    harness.platform.exits.watch(child, first)
    second = harness.platform.exits.watch(child, pytest.fail)
    harness.end(child)
    await asyncio.wait_for(ended.wait(), PATIENCE_S)
    await until(lambda: len(descriptors(os.getpid())) == before - 1, "the descriptor is closed")


@on_loop
async def test_signals_reach_a_verified_pid_without_pidfds(
    harness: RealHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_pid: int) -> int:
        raise OSError(38, "Function not implemented")

    child = harness.child()
    monkeypatch.setattr(os, "pidfd_open", missing)
    assert not harness.platform.processes.kill(ProcessIdentity(child.pid, harness.me.start_token))
    assert harness.platform.probe.sample(child) is Liveness.ALIVE
    assert await harness.platform.processes.ask_to_end(child)
    assert await waited_for(harness, child) == -signal.SIGTERM
    assert not harness.platform.processes.kill(child)


def test_a_process_names_itself_as_the_daemon_sees_it() -> None:
    identity = LinuxProbe().identify(os.getpid())
    assert identity is not None
    assert own_process() == {"pid": identity.pid, "start_token": identity.start_token}
