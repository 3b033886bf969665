"""The macOS wing: kqueue, psutil, and LOCAL_PEERCRED. What it asks is handed in: tests need no macOS."""

import asyncio
import contextlib
import errno
import os
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from ...core.model import Liveness, ProcessIdentity, ProcessRow
from .. import trust
from ..api import Command, ExitWatcher, Platform, Watch
from ..posix import mark_folders, processes
from ..shared import adoption_marks, runnable
from ..shared.clock import MonotonicClock
from ..shared.exits import ArmedWatch, Collect, PollingExitWatcher
from ..shared.file_watch import PollingFileWatcher
from ..shared.lanes import Lanes
from ..shared.patient_probe import Looks, PatientProbe, PatientProcesses
from . import libproc, ports
from . import probe as darwin_probe

assert sys.platform != "win32"  # noqa: S101 (tells type checkers where this may run; tests run it on Linux)

SETTLE_EVERY_S, SETTLE_LOOKS = 0.01, 100
"""NOTE_EXIT may come before the process is a zombie, and can be waited for."""


def darwin_platform(child_descriptors: tuple[int, int] | None) -> Platform:
    """The macOS wing. `child_descriptors`: the limit of open files for what is spawned, soft and hard."""
    import psutil

    probe = darwin_probe.DarwinProbe(psutil, libproc.open_libproc())
    looks = Looks(probe.identify)
    children = processes.Children()
    exits = KqueueWatcher(probe, children.collect, select)
    return Platform(
        clock=MonotonicClock(),
        probe=PatientProbe(probe, looks),
        exits=exits,
        processes=PatientProcesses(DarwinProcessControl(probe, children, exits, child_descriptors), looks),
        ports=ports.DarwinPortTable(probe, psutil, looks=looks),
        files=PollingFileWatcher(),
        peers=DarwinPeerCheck(),
        lanes=Lanes(looks),
        marks=adoption_marks.FileMarks(mark_folders.of_this_user(), probe.sample, probe.started_at, lambda: "all"),
    )


class KqueueWatcher:
    """One kernel queue for every process watched. Where it cannot watch one, a poll takes over."""

    def __init__(self, probe: darwin_probe.DarwinProbe, collect: Collect, system: Any) -> None:
        """`system` is the module `select`, which has what this needs on macOS only."""
        self._probe = probe
        self._collect = collect
        self._system = system
        self._queue: Any = None
        self._watches: dict[int, list[ArmedWatch]] = {}
        self._polling = PollingExitWatcher(probe, collect, better=self._take_over)
        self._trouble: OSError | None = None

    def watch(self, identity: ProcessIdentity, on_exit: Callable[[], None]) -> Watch:
        """Arm. Registered first, verified after."""
        watch = ArmedWatch(identity, on_exit, collect=self._collect, disarm=self._forget)
        try:
            self._take_over(watch)
        except OSError as error:
            self._trouble = error
            return self._polling.watch(identity, on_exit)
        return watch

    def _take_over(self, watch: ArmedWatch) -> None:
        """Have the kernel queue tell a watch.

        Raises:
            OSError: it cannot.
        """
        loop = asyncio.get_running_loop()
        gone = not self._register(watch.identity.pid, loop)
        watch.disarmed_by(self._forget)
        self._watches.setdefault(watch.identity.pid, []).append(watch)
        if gone or self._probe.sample(watch.identity) is Liveness.DEAD:
            # ESRCH, too, may come before it can be waited for.
            loop.call_soon(self._settle, watch, loop, SETTLE_LOOKS)

    def note(self) -> str | None:
        """What a user should know of a fallback in use."""
        polling = self._polling.note()
        return f"{polling}: {self._trouble}" if polling and self._trouble else None

    def _register(self, pid: int, loop: asyncio.AbstractEventLoop) -> bool:
        """False: there is no such process."""
        if not darwin_probe.possible(pid):
            return False
        if self._queue is None:
            queue = self._system.kqueue()
            try:
                loop.add_reader(queue.fileno(), self._read, loop)
            except OSError:
                # Kept, it would take watches and tell of none of them.
                queue.close()
                raise
            self._queue = queue
        flags = self._system.KQ_EV_ADD | self._system.KQ_EV_ONESHOT
        event = self._system.kevent(
            pid, filter=self._system.KQ_FILTER_PROC, flags=flags, fflags=self._system.KQ_NOTE_EXIT
        )
        try:
            self._queue.control([event], 0, 0)
        except ProcessLookupError:
            return False
        return True

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        for event in self._queue.control(None, 64, 0):
            for watch in tuple(self._watches.get(event.ident, ())):
                self._settle(watch, loop, SETTLE_LOOKS)

    def _settle(self, watch: ArmedWatch, loop: asyncio.AbstractEventLoop, looks: int) -> None:
        if looks == 0 or self._probe.sample(watch.identity) is Liveness.DEAD:
            watch.fire()
        elif watch in self._watches.get(watch.identity.pid, ()):
            loop.call_later(SETTLE_EVERY_S, self._settle, watch, loop, looks - 1)

    def _forget(self, watch: ArmedWatch) -> None:
        # A registration that nobody waits for any more ends with its process; the queue goes with the last of them.
        watches = self._watches[watch.identity.pid]
        watches.remove(watch)
        if not watches:
            del self._watches[watch.identity.pid]
        if not self._watches:
            queue, self._queue = self._queue, None
            asyncio.get_running_loop().remove_reader(queue.fileno())
            queue.close()


class DarwinProcessControl:
    """There is no handle on a process here: its identity is proven immediately before every signal."""

    def __init__(
        self,
        probe: darwin_probe.DarwinProbe,
        children: processes.Children,
        exits: ExitWatcher,
        child_descriptors: tuple[int, int] | None,
    ) -> None:
        self._probe = probe
        self._children = children
        self._exits = exits
        self._child_descriptors = child_descriptors

    def spawn(self, command: Command) -> ProcessIdentity:
        """Start it detached. Called on the event loop, where its end is waited for whether or not anybody watches."""
        asyncio.get_running_loop()
        process = self._start(command)
        try:
            identity = self._probe.newborn(process.pid)
        except OSError:
            processes.abandon(process)
            raise
        processes.disown(process)
        self._children.add(identity)
        self._exits.watch(identity, _nothing)
        return identity

    def rehearse(self, command: Command) -> None:
        """Whether it could be started."""
        runnable.rehearse(command)

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        """Exit status of a child that has ended."""
        return self._children.exit_status(identity)

    async def ask_to_end(self, identity: ProcessIdentity) -> bool:
        """SIGTERM."""
        return self._signal(identity, signal.SIGTERM)

    def kill(self, identity: ProcessIdentity) -> bool:
        """SIGKILL."""
        return self._signal(identity, signal.SIGKILL)

    def table(self) -> tuple[ProcessRow, ...]:
        """Every living process that can be seen."""
        rows = []
        for pid in self._probe.pids():
            with contextlib.suppress(OSError):
                identity = self._probe.identify(pid)
                if identity is not None:
                    session = os.getsid(pid)
                    # Asked of those alone of which it decides something.
                    on_terminal = session == pid and self._probe.on_terminal(pid)
                    rows.append(ProcessRow(identity, self._probe.parent(pid), session, on_terminal))
        return tuple(rows)

    def vacant(self, pid: int) -> bool:
        """Whether it is proven that nothing has this number: no process, no group, no session."""
        if not darwin_probe.possible(pid) or not (_nobody(os.kill, pid) and _nobody(os.killpg, pid)):
            return False
        for other in self._probe.pids():
            with contextlib.suppress(ProcessLookupError):
                try:
                    if os.getsid(other) == pid:
                        return False
                except PermissionError:
                    return False
        return True

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """An environment variable that the process was started with."""
        return self._probe.variable(identity, name)

    def _signal(self, identity: ProcessIdentity, number: signal.Signals) -> bool:
        if self._probe.identify(identity.pid) != identity:
            return False
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _start(self, command: Command) -> "subprocess.Popen[bytes]":
        """With the limit of open files as the user set it; where that leaves no room to start anything, with ours."""
        try:
            with _limited(self._child_descriptors):
                return processes.start_detached(command)
        except OSError as error:
            if error.errno != errno.EMFILE or self._child_descriptors is None:
                raise
        return processes.start_detached(command)


class DarwinPeerCheck:
    """The kernel keeps the credentials that the peer had when it connected (unix(4))."""

    def same_user(self, connection: socket.socket) -> bool:
        """Whether the peer runs as the daemon's user."""
        return trust.peer_uid(connection, "macos") == os.getuid()


@contextlib.contextmanager
def _limited(descriptors: tuple[int, int] | None) -> Iterator[None]:
    """No other process's limit can be set here, so ours is, for as long as a child is born."""
    if descriptors is None:
        yield
        return
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors[0], ours[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, ours)


def _nobody(ask: Callable[[int, int], None], number: int) -> bool:
    try:
        ask(number, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _nothing() -> None:
    """For a child whose end is only waited for."""
