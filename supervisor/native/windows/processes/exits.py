"""Exit watches on Windows, by waits of the system's thread pool on handles of processes."""

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
    """A wait for one process, which serves all watches of it."""

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
        """Close both, in this order: the handle must be open while the system waits for it."""
        if self.closed:
            return
        self.closed = True
        if self.registered.value:
            # ERROR_IO_PENDING means that the callback is just running; it will find nothing to do.
            win32.UnregisterWait(self.registered)
        if self.process:
            win32.CloseHandle(self.process)


# The system calls this by number, on its own thread, even for a wait that is just being closed. The callback therefore
# exists as long as the process, and finds closed waits missing from the table.
_armed: WeakValueDictionary[int, _Wait] = WeakValueDictionary()
_numbers = count(1)


def _signalled(number: int, _timed_out: int) -> None:
    """Handle the callback, on a thread of the system."""
    wait = _armed.get(number)
    if wait is None or wait.closed:
        return
    try:
        wait.loop.call_soon_threadsafe(wait.fire)
    except RuntimeError:
        # The loop has been closed since, so no watch is left.
        return


_callback = win32.WaitCallback(_signalled)


@atexit.register
def _end_every_wait() -> None:
    """Close all waits: the system must not call back into an interpreter that is being finalised."""
    for wait in tuple(_armed.values()):
        wait.close()


class WaitWatcher:
    """Uses callbacks of the system, on threads that wake the loop. Where the system refuses, polling takes over."""

    def __init__(self, probe: Probe, collect: Collect) -> None:
        self._probe = probe
        self._collect = collect
        self._waits: dict[ProcessIdentity, _Wait] = {}
        self._polling = PollingExitWatcher(probe, collect, better=self._take_over)
        self._trouble: OSError | None = None

    def watch(self, identity: ProcessIdentity, on_exit: Callable[[], None]) -> Watch:
        """Arm a watch."""
        watch = ArmedWatch(identity, on_exit, collect=self._collect, disarm=_already)
        try:
            self._take_over(watch)
        except OSError as error:
            if error.winerror != win32.ERROR_INVALID_PARAMETER:
                self._trouble = error
            return self._polling.watch(identity, on_exit)
        return watch

    def _take_over(self, watch: ArmedWatch) -> None:
        """Let the system serve a watch.

        Raises:
            OSError: the system refused.
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
        """Return what a user should know of a fallback in use."""
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
    """Disarm nothing: no source serves the watch yet."""
