"""The platform of Linux: /proc, pidfds and SO_PEERCRED."""

import asyncio
import errno
import fcntl
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

from ...core.model import ProcessIdentity, ProcessRow
from .. import trust
from ..api import ChildCommand, Platform
from ..posix import mark_folders, process_control, processes
from ..shared import adoption_marks
from ..shared.clock import MonotonicClock
from ..shared.exit_events import ExitEvent, PerProcessExitWatcher
from ..shared.file_watch import FallbackFileWatcher, PollingFileWatcher
from ..shared.lanes import ThreadLanes
from ..shared.process_queries import PatientProbe, PatientProcesses, ProcessQueries
from . import ports, procfs
from . import probe as linux_probe

assert sys.platform == "linux"  # noqa: S101 (tells type checkers where this runs)


def linux_platform(child_descriptors: tuple[int, int] | None) -> Platform:
    """Return the platform of Linux. `child_descriptors` is the limit of open files for children, soft and hard."""
    # Imported below the assertion on the platform, which type checkers of other platforms do not pass.
    from .files import why_writes_are_missed
    from .inotify import InotifyWatcher

    probe = linux_probe.LinuxProbe()
    queries = ProcessQueries(probe.identify)
    patient = PatientProbe(probe, queries)
    children = processes.Children()
    exits = PidfdWatcher(probe, children.collect)
    return Platform(
        clock=MonotonicClock(),
        probe=patient,
        exits=exits,
        processes=PatientProcesses(LinuxProcessControl(probe, children, exits, child_descriptors), queries),
        ports=ports.LinuxPortTable(patient, queries),
        files=FallbackFileWatcher(InotifyWatcher(), PollingFileWatcher(), why_writes_are_missed),
        peers=LinuxPeerCheck(),
        lanes=ThreadLanes(queries),
        marks=adoption_marks.FileMarks(
            mark_folders.of_this_user(),
            probe.sample,
            probe.started_at,
            lambda: procfs.pid_namespace("self").strip("pid:[]"),
        ),
    )


class _Pidfd(ExitEvent):
    """A descriptor for one process, which becomes readable at the end of the process."""

    def __init__(self, descriptor: int, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._loop = loop
        try:
            loop.add_reader(descriptor, self.fire)
        except OSError:
            os.close(descriptor)
            raise

    def close(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)


class PidfdWatcher(PerProcessExitWatcher):
    """Watches processes by pidfds. Polling serves a process for which the system gives no pidfd."""

    def _open(self, identity: ProcessIdentity, loop: asyncio.AbstractEventLoop) -> _Pidfd:
        return _Pidfd(_open_pidfd(identity.pid), loop)


class LinuxProcessControl(process_control.PosixProcessControl[linux_probe.LinuxProbe]):
    """Sends signals through a pidfd that was opened first and verified after, so they cannot hit a recycled pid."""

    def table(self) -> tuple[ProcessRow, ...]:
        """Return every living process that can be seen."""
        rows = []
        for pid in procfs.pids():
            try:
                stat = procfs.read_stat(pid)
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
            if not stat.ended:
                identity = self._probe.identity_from(pid, stat)
                rows.append(ProcessRow(identity, stat.parent, stat.session, on_terminal=stat.terminal != 0))
        return tuple(rows)

    def is_unused(self, pid: int) -> bool:
        """Return whether it is proven that this number is unused. False before Linux 4.13, which does not tell."""
        if not 0 < pid <= procfs.PID_MAX:
            return False
        # The kernel keeps a number for as long as a process, a group or a session has it (kernel/pid.c, free_pid), and
        # F_SETOWN reports ESRCH for a number that it does not keep (fs/fcntl.c, f_setown).
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            fcntl.fcntl(nothing, fcntl.F_SETOWN, pid)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        finally:
            os.close(nothing)
        return False

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """Return an environment variable that the process was started with."""
        value = procfs.variable(identity.pid, name)
        if self._probe.identify(identity.pid) != identity:
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        return value

    def _start_child(self, command: ChildCommand) -> "subprocess.Popen[bytes]":
        process = processes.start_detached(command)
        try:
            self._restore_descriptor_limit(process.pid)
        except OSError:
            processes.abandon(process)
            raise
        return process

    def _send_signal(self, identity: ProcessIdentity, number: signal.Signals) -> bool:
        try:
            pidfd = _open_pidfd(identity.pid)
        except ProcessLookupError:
            return False
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            # No pidfds (before Linux 5.3, or a seccomp filter): the identity is checked immediately before instead.
            return self._deliver(identity, lambda: os.kill(identity.pid, number))
        try:
            return self._deliver(identity, lambda: signal.pidfd_send_signal(pidfd, number))
        finally:
            os.close(pidfd)

    def _deliver(self, identity: ProcessIdentity, send: Callable[[], None]) -> bool:
        if self._probe.identify(identity.pid) != identity:
            return False
        try:
            send()
        except ProcessLookupError:
            return False
        return True

    def _restore_descriptor_limit(self, pid: int) -> None:
        if self._child_descriptors is None:
            return
        try:
            resource.prlimit(pid, resource.RLIMIT_NOFILE, self._child_descriptors)
        except (ProcessLookupError, PermissionError):
            # The process has ended, or is a set-user-id program, which sets its own limits.
            return


class LinuxPeerCheck:
    """The kernel keeps the credentials that the peer had when it connected (unix(7))."""

    def same_user(self, connection: socket.socket) -> bool:
        """Return whether the peer runs as the daemon's user."""
        return trust.same_user(connection)


def _open_pidfd(pid: int) -> int:
    if not 0 < pid <= procfs.PID_MAX:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
    return os.pidfd_open(pid)
