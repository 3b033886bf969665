"""Windows tells when a process ends: a wait of the system's thread pool on its handle."""

import asyncio
import atexit
import ctypes
import sys
from collections.abc import Callable
from ctypes.wintypes import HANDLE
from itertools import count
from weakref import WeakValueDictionary

from ....core.model import Liveness, ProcessIdentity
from ...api import Probe, Watch
from ...shared.exits import ArmedWatch, Collect, PollingExitWatcher
from .. import win32
from . import handles

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)


class _Wait:
    """One wait for one process, however many watch it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.watches: list[ArmedWatch] = []
        self.process = 0
        self.registered = HANDLE()
        self.closed = False

    def fire(self) -> None:
        for watch in tuple(self.watches):
            watch.fire()

    def close(self) -> None:
        """In this order: the handle must be open as long as somebody waits for it."""
        if self.closed:
            return
        self.closed = True
        if self.registered.value:
            # ERROR_IO_PENDING only says that the callback runs just now; it finds nothing to do.
            win32.UnregisterWait(self.registered)
        if self.process:
            win32.CloseHandle(self.process)


# The system calls by number what it was given, on a thread of its own, and also once more for a wait that is just being
# closed: what it calls has to be there as long as the process is. A wait that nobody holds any more is not found.
_armed: WeakValueDictionary[int, _Wait] = WeakValueDictionary()
_numbers = count(1)


def _signalled(number: int, _timed_out: int) -> None:
    """On a thread of the system's."""
    wait = _armed.get(number)
    if wait is None or wait.closed:
        return
    try:
        wait.loop.call_soon_threadsafe(wait.fire)
    except RuntimeError:
        # The loop has been closed since; nobody waits any more.
        return


_callback = win32.WaitCallback(_signalled)


@atexit.register
def _end_every_wait() -> None:
    """An interpreter that is being taken down must not be called back any more."""
    for wait in tuple(_armed.values()):
        wait.close()


class WaitWatcher:
    """The system calls back on a thread of its own, which wakes the loop. Where it refuses, a poll takes over."""

    def __init__(self, probe: Probe, collect: Collect) -> None:
        self._probe = probe
        self._collect = collect
        self._waits: dict[ProcessIdentity, _Wait] = {}
        self._polling = PollingExitWatcher(probe, collect, better=self._take_over)
        self._trouble: OSError | None = None

    def watch(self, identity: ProcessIdentity, on_exit: Callable[[], None]) -> Watch:
        """Arm."""
        watch = ArmedWatch(identity, on_exit, collect=self._collect, disarm=_already)
        try:
            self._take_over(watch)
        except OSError as error:
            if error.winerror != win32.ERROR_INVALID_PARAMETER:
                self._trouble = error
            return self._polling.watch(identity, on_exit)
        return watch

    def _take_over(self, watch: ArmedWatch) -> None:
        """Have the system tell a watch.

        Raises:
            OSError: it refused.
        """
        loop = asyncio.get_running_loop()
        identity = watch.identity
        wait = self._waits.get(identity) or self._register(identity, loop)

        def disarm(watch: ArmedWatch) -> None:
            wait.watches.remove(watch)
            if not wait.watches:
                del self._waits[identity]
                wait.close()

        watch.disarmed_by(disarm)
        wait.watches.append(watch)
        if self._probe.sample(identity) is Liveness.DEAD:
            loop.call_soon(watch.fire)

    def note(self) -> str | None:
        """What a user should know of a fallback in use."""
        polling = self._polling.note()
        return f"{polling}: {self._trouble}" if polling and self._trouble else None

    def _register(self, identity: ProcessIdentity, loop: asyncio.AbstractEventLoop) -> _Wait:
        wait = _Wait(loop)
        number = next(_numbers)
        try:
            pid = identity.pid if handles.is_pid(identity.pid) else 0
            wait.process = handles.open_raw(pid, handles.ASK)
            _armed[number] = wait
            if not win32.RegisterWaitForSingleObject(
                ctypes.byref(wait.registered),
                wait.process,
                _callback,
                number,
                win32.INFINITE,
                win32.WT_EXECUTEONLYONCE,
            ):
                raise win32.last_error()
        except OSError:
            wait.close()
            raise
        self._waits[identity] = wait
        return wait


def _already(watch: ArmedWatch) -> None:
    """For a watch that no source has taken yet."""
