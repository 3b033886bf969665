import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from supervisor.daemon.home_folder import make_home
from supervisor.daemon.home_lock import (
    STARTS_WITHIN_S,
    HomeLock,
    LockHolder,
    describe_running,
    holder_by_pid_file,
    lock_holder,
)
from supervisor.errors import DaemonUnreachable, NotOurs
from supervisor.native.facts import Folders
from tests.privilege import IS_ROOT, NOBODY, ONLY_ROOT
from tests.systems import POSIX_ONLY
from tests.wine import IS_WINDOWS

HOLDER = """
import sys
from pathlib import Path
from supervisor.daemon.home_lock import HomeLock
instance = HomeLock(Path(sys.argv[1]))
print(instance.take(), flush=True)
sys.stdin.read()
instance.release()
"""

HOLDER_WITH_SERVER = """
import asyncio, os, sys
from pathlib import Path
from supervisor.daemon.home_lock import HomeLock
from supervisor.native.api import ChildCommand
from supervisor.native.platforms import open_platform

async def hold():
    lock = Path(sys.argv[1])
    instance = HomeLock(lock)
    assert instance.take()
    sleeper = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)")
    server = ChildCommand(sleeper, dict(os.environ), lock.parent, lock.with_name("server.log"))
    print(open_platform().processes.spawn(server).pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""

KILLED = 1 if IS_WINDOWS else -9

Begin = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "daemon.lock"


@pytest.fixture
def begin(lock: Path) -> Iterator[Begin]:
    """Return a function that starts another process on the same lock."""
    processes: list[subprocess.Popen[str]] = []

    def popen(script: str = HOLDER) -> subprocess.Popen[str]:
        argv = [sys.executable, "-P", "-c", script, str(lock)]
        processes.append(subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return processes[-1]

    yield popen
    for process in processes:
        with process:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    """Return the next line that the process prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_only_one_of_two_processes_gets_the_lock(lock: Path, begin: Begin) -> None:
    assert said(begin()) == "True"
    assert said(begin()) == "False"
    assert not HomeLock(lock).take()


def test_only_one_of_many_processes_gets_the_lock(begin: Begin) -> None:
    assert sorted(said(process) for process in [begin() for _ in range(4)]) == ["False", "False", "False", "True"]


def test_a_released_lock_can_be_taken_again(lock: Path, begin: Begin) -> None:
    holder = begin()
    assert said(holder) == "True"
    holder.communicate()
    instance = HomeLock(lock)
    assert instance.take()
    assert said(begin()) == "False"
    instance.release()


def test_a_killed_holder_frees_the_lock(lock: Path, begin: Begin) -> None:
    holder = begin()
    assert said(holder) == "True"
    holder.kill()
    assert holder.wait() == KILLED
    instance = HomeLock(lock)
    assert instance.take()
    instance.release()


def test_a_server_of_a_killed_holder_does_not_keep_the_lock(lock: Path, begin: Begin) -> None:
    holder = begin(HOLDER_WITH_SERVER)
    server = int(said(holder))
    try:
        holder.kill()
        holder.wait()
        assert psutil.pid_exists(server)
        instance = HomeLock(lock)
        assert instance.take()
        instance.release()
    finally:
        psutil.Process(server).kill()


@POSIX_ONLY
def test_the_lock_file_is_for_its_user_only(lock: Path) -> None:
    instance = HomeLock(lock)
    assert instance.take()
    assert lock.stat().st_mode & 0o777 == 0o600
    instance.release()


def test_a_lock_that_cannot_be_made_is_an_error_not_a_held_lock(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    with pytest.raises(OSError, match="home"):
        HomeLock(tmp_path / "home" / "daemon.lock").take()


@POSIX_ONLY
def test_a_new_home_is_for_its_user_only(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    make_home(Folders(home, moved=True))
    assert home.stat().st_mode & 0o777 == 0o700
    make_home(Folders(home, moved=True))


@POSIX_ONLY
@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_home_that_others_may_write_into_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(NotOurs, match="others may write") as caught:
        make_home(Folders(tmp_path, moved=True))
    assert caught.value.hint == f"chmod go-w {tmp_path}"
    tmp_path.chmod(0o700)


@pytest.mark.needs_root
@pytest.mark.skipif(not IS_ROOT, reason=ONLY_ROOT)
def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, -1)
    with pytest.raises(NotOurs, match="belongs to another user"):
        make_home(Folders(home, moved=True))


def test_the_pid_of_the_lock_holder_is_written_for_people(lock: Path, begin: Begin) -> None:
    assert lock_holder(lock) is None
    assert not lock.exists()
    process = begin(HOLDER)
    assert said(process) == "True"
    assert lock_holder(lock) == LockHolder(None, None)
    process.communicate()
    assert lock_holder(lock) is None
    instance = HomeLock(lock)
    assert instance.take()
    instance.write_pid()
    assert holder_by_pid_file(lock).pid == os.getpid()
    assert 0 <= holder_by_pid_file(lock).held_for_s(time.time()) < 60
    instance.release()
    assert holder_by_pid_file(lock) == LockHolder(None, None)


def test_a_starting_daemon_has_time_to_publish_its_endpoint(tmp_path: Path) -> None:
    where = Folders(tmp_path, moved=True)
    instance = HomeLock(where.lock)
    assert instance.take()
    instance.write_pid()
    assert describe_running(where) == "starting up"
    long_ago = time.time() - STARTS_WITHIN_S - 1
    os.utime(tmp_path / "daemon.pid", (long_ago, long_ago))
    with pytest.raises(DaemonUnreachable, match=rf"pid {os.getpid()}\) runs and cannot be reached: .* is gone"):
        describe_running(where)
    instance.release()


def test_a_test_of_the_lock_does_not_keep_a_daemon_from_starting(lock: Path) -> None:
    tester, daemon = HomeLock(lock), HomeLock(lock)
    assert tester.take()
    assert not daemon.take()
    # A lock belongs to the thread that took it.
    with ThreadPoolExecutor(1) as thread:
        taken = thread.submit(daemon.take, 60.0)
        assert not taken.done()
        tester.release()
        assert taken.result()
        thread.submit(daemon.release).result()
