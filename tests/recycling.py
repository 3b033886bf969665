"""Gives a free pid to a new process. The kernel's counter stays as it is, because other tests' pids depend on it."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping

import pytest

PATIENCE_S = 20.0

# clone3(2) with set_tid. CLONE_PARENT makes the new process a child of this one, not of the helper, which ends at once.
HELPER = """
import ctypes, os, sys
SYS_CLONE3, CLONE_PARENT = 435, 0x8000
libc = ctypes.CDLL(None, use_errno=True)
pids = (ctypes.c_int * 1)(int(sys.argv[1]))
fields = (ctypes.c_uint64 * 11)(CLONE_PARENT)
fields[8], fields[9] = ctypes.addressof(pids), len(pids)
made = libc.syscall(ctypes.c_long(SYS_CLONE3), fields, ctypes.c_size_t(ctypes.sizeof(fields)))
if made == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
sys.exit(ctypes.get_errno() if made < 0 else 0)
"""


class Recycled:
    """A child of this process with a chosen pid, and the part of `Popen` that the tests need."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return its exit status, or None while it runs."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status

    def end(self) -> None:
        """Kill it, and leave no zombie."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def start_as(pid: int, *words: str, environment: Mapping[str, str] | None = None) -> Recycled:
    """Run a program with this pid. The test is skipped if the kernel does not allow the choice."""
    end = time.monotonic() + PATIENCE_S
    while True:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", HELPER, str(pid), *words], env=environment, check=False
        )
        if done.returncode == 0:
            return Recycled(pid)
        if done.returncode in (errno.EPERM, errno.ENOSYS, errno.EINVAL):
            pytest.skip(f"the next pid cannot be chosen here: {os.strerror(done.returncode)}")
        # Another process, or a thread, has the number for a moment.
        assert done.returncode == errno.EEXIST, os.strerror(done.returncode)
        assert time.monotonic() < end, f"pid {pid} does not become free"
        time.sleep(0.01)
