"""Facts about one process on Linux, from /proc."""

import errno
import os
import sys
import time

from ...core.model import Liveness, Occupant, ProcessIdentity
from ..posix import processes
from . import procfs

assert sys.platform == "linux"  # noqa: S101 (tells type checkers where this runs)


class LinuxProbe:
    """Start tokens are `boot id:ticks`: field 22 of /proc/PID/stat counts from the boot."""

    def __init__(self) -> None:
        self._boot = procfs.boot_id()
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Return the identity behind this pid. Raises OSError if the system does not tell."""
        # For a process that has ended, signal 0 answers ten times faster than a missing path.
        if not 0 < pid <= procfs.PID_MAX or not _answers_signal_0(pid):
            return None
        try:
            stat = procfs.read_stat(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError) as error:
            if not _answers_signal_0(pid):
                return None
            # The process exists, but /proc is mounted with hidepid (proc(5)).
            raise PermissionError(errno.EACCES, "hidden by the system", f"/proc/{pid}") from error
        return None if stat.ended else self.identity_from(pid, stat)

    def identify_child(self, pid: int) -> ProcessIdentity:
        """Return the identity of a child that has not been waited for; it has one even after its end.

        Raises:
            OSError: the system does not tell.
        """
        return self.identity_from(pid, procfs.read_stat(pid))

    def identity_from(self, pid: int, stat: procfs.Stat) -> ProcessIdentity:
        """Return the identity of the process with this pid and this line of /proc/PID/stat."""
        return ProcessIdentity(pid, f"{self._boot}:{stat.ticks}")

    def sample(self, identity: ProcessIdentity) -> Liveness:
        """Return whether exactly this process lives."""
        if self._ticks(identity) is None:
            return Liveness.DEAD
        try:
            found = self.identify(identity.pid)
        except PermissionError:
            return Liveness.ALIVE
        except OSError:
            return Liveness.UNKNOWN
        return Liveness.ALIVE if found == identity else Liveness.DEAD

    def same_user(self, identity: ProcessIdentity) -> bool | None:
        """Return whether the daemon's user owns it."""
        try:
            uid = procfs.owner(identity.pid)
            # The identity is checked last: a process that has it now had it then.
            return uid == os.geteuid() if self.identify(identity.pid) == identity else None
        except OSError:
            return None

    def same_namespace(self, identity: ProcessIdentity) -> bool | None:
        """Return whether it has the daemon's pid namespace, as does the program that started it."""
        try:
            theirs = procfs.pid_namespace(str(identity.pid))
            from_sandbox = procfs.started_for_a_sandbox(identity.pid)
            if self.identify(identity.pid) != identity or from_sandbox:
                return None
            return theirs == procfs.pid_namespace("self")
        except OSError:
            return None

    def started_at(self, identity: ProcessIdentity) -> float | None:
        """Return the wall time of its start; known for processes of this boot, living or not."""
        born = self.creation_order(identity)
        if born is None:
            return None
        boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        # Rounded to a tick: the two clocks are not read at the same instant, and the answer should not differ each
        # time.
        return round(boot + born, 2)

    def creation_order(self, identity: ProcessIdentity) -> float | None:
        """Return the seconds from the boot to its start."""
        ticks = self._ticks(identity)
        return None if ticks is None else ticks / self._ticks_per_second

    def describe(self, pid: int) -> Occupant:
        """Return command line, user and start, for people; empty for a process that has ended."""
        try:
            identity = self.identify(pid)
            if identity is None:
                return Occupant()
            user = processes.user_name(procfs.owner(pid))
        except OSError:
            return Occupant()
        return Occupant(identity, procfs.command_line(pid), user, self.started_at(identity))

    def why_no_process(self, pid: int) -> str | None:
        """Return why a pid names no process: kill(2) and /proc answer for threads too, also those of the kernel."""
        try:
            group, flags = procfs.thread_group(pid), procfs.read_stat(pid).flags
        except (FileNotFoundError, ProcessLookupError):
            # The process has ended; callers prove separately that it lives.
            return None
        if group != pid:
            return f"{pid} is a thread of process {group}"
        return f"{pid} is a thread of the kernel" if flags & procfs.KERNEL_THREAD else None

    def _ticks(self, identity: ProcessIdentity) -> int | None:
        boot, _, ticks = identity.start_token.partition(":")
        return int(ticks) if boot == self._boot and ticks.isdecimal() else None


def _answers_signal_0(pid: int) -> bool:
    """Return whether the kernel has a process or thread with this number, of any user: kill(2)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # Another user's process.
        return True
    return True
