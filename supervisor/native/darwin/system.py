"""The platform of macOS: kqueue, psutil and LOCAL_PEERCRED. Tests hand in substitutes, so they need no macOS."""

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

from ...core.model import ProcessIdentity, ProcessRow
from .. import trust
from ..api import ChildCommand, Platform
from ..posix import mark_folders, process_control, processes
from ..posix.kqueue import KqueueWatcher
from ..shared import adoption_marks
from ..shared.clock import MonotonicClock
from ..shared.file_watch import PollingFileWatcher
from ..shared.lanes import ThreadLanes
from ..shared.process_queries import PatientProbe, PatientProcesses, ProcessQueries
from . import libproc, ports
from . import probe as darwin_probe

assert sys.platform != "win32"  # noqa: S101 (tells type checkers where this may run; tests run it on Linux)


def darwin_platform(child_descriptors: tuple[int, int] | None) -> Platform:
    """Return the platform of macOS. `child_descriptors` is the limit of open files for children, soft and hard."""
    import psutil

    probe = darwin_probe.DarwinProbe(psutil, libproc.open_libproc())
    queries = ProcessQueries(probe.identify)
    children = processes.Children()
    exits = KqueueWatcher(probe, children.collect, select, darwin_probe.is_pid)
    return Platform(
        clock=MonotonicClock(),
        probe=PatientProbe(probe, queries),
        exits=exits,
        processes=PatientProcesses(DarwinProcessControl(probe, children, exits, child_descriptors), queries),
        ports=ports.DarwinPortTable(probe, psutil, queries=queries),
        files=PollingFileWatcher(),
        peers=DarwinPeerCheck(),
        lanes=ThreadLanes(queries),
        marks=adoption_marks.FileMarks(mark_folders.of_this_user(), probe.sample, probe.started_at, lambda: "all"),
    )


class DarwinProcessControl(process_control.PosixProcessControl[darwin_probe.DarwinProbe]):
    """macOS has no handle for a process, so its identity is proven immediately before every signal."""

    def table(self) -> tuple[ProcessRow, ...]:
        """Return every living process that can be seen."""
        rows = []
        for pid in self._probe.pids():
            with contextlib.suppress(OSError):
                identity = self._probe.identify(pid)
                if identity is not None:
                    session = os.getsid(pid)
                    # Only a session leader is asked, because only there does the answer decide anything.
                    on_terminal = session == pid and self._probe.on_terminal(pid)
                    rows.append(ProcessRow(identity, self._probe.parent(pid), session, on_terminal))
        return tuple(rows)

    def is_unused(self, pid: int) -> bool:
        """Return whether it is proven that no process, group or session has this number."""
        if not darwin_probe.is_pid(pid) or not (_reaches_nothing(os.kill, pid) and _reaches_nothing(os.killpg, pid)):
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
        """Return an environment variable that the process was started with."""
        return self._probe.variable(identity, name)

    def _send_signal(self, identity: ProcessIdentity, number: signal.Signals) -> bool:
        if self._probe.identify(identity.pid) != identity:
            return False
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _start_child(self, command: ChildCommand) -> "subprocess.Popen[bytes]":
        """Start a child with the user's limit of open files, or the daemon's if the user's is too low for a start."""
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
        """Return whether the peer runs as the daemon's user."""
        return trust.peer_uid(connection, "macos") == os.getuid()


@contextlib.contextmanager
def _limited(descriptors: tuple[int, int] | None) -> Iterator[None]:
    """Set the daemon's own limit while a child starts: macOS cannot set the limit of another process."""
    if descriptors is None:
        yield
        return
    ours = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors[0], ours[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, ours)


def _reaches_nothing(send: Callable[[int, int], None], number: int) -> bool:
    """Return whether it is proven that signals to this number reach no process. `send`: os.kill or os.killpg."""
    try:
        send(number, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
