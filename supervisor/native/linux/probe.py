"""Linux's answers about one process, out of /proc."""

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
        """Who is behind this pid now. Raises OSError where the system would not tell."""
        # Of a process that has ended, signal 0 tells ten times sooner than a path that is not there.
        if not 0 < pid <= procfs.PID_MAX or not _answers_signal_0(pid):
            return None
        try:
            stat = procfs.read_stat(pid)
        except (FileNotFoundError, ProcessLookupError, PermissionError) as error:
            if not _answers_signal_0(pid):
                return None
            # It is there, but /proc is mounted with hidepid (proc(5)).
            raise PermissionError(errno.EACCES, "hidden by the system", f"/proc/{pid}") from error
        return None if stat.ended else self.name(pid, stat)

    def newborn(self, pid: int) -> ProcessIdentity:
        """The identity of a child that nobody has waited for: it has one even if it has ended already.

        Raises:
            OSError: the system would not tell.
        """
        return self.name(pid, procfs.read_stat(pid))

    def name(self, pid: int, stat: procfs.Stat) -> ProcessIdentity:
        """The identity that these facts make."""
        return ProcessIdentity(pid, f"{self._boot}:{stat.ticks}")

    def sample(self, identity: ProcessIdentity) -> Liveness:
        """Whether exactly this process lives."""
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
        """Whether it belongs to the daemon's user."""
        try:
            uid = procfs.owner(identity.pid)
            # Asked last: if it is the process now, it was the process then.
            return uid == os.geteuid() if self.identify(identity.pid) == identity else None
        except OSError:
            return None

    def same_namespace(self, identity: ProcessIdentity) -> bool | None:
        """Whether its pid namespace is ours, and so was that of the program that started it."""
        try:
            theirs = procfs.pid_namespace(str(identity.pid))
            from_sandbox = procfs.started_for_a_sandbox(identity.pid)
            if self.identify(identity.pid) != identity or from_sandbox:
                return None
            return theirs == procfs.pid_namespace("self")
        except OSError:
            return None

    def started_at(self, identity: ProcessIdentity) -> float | None:
        """Wall time of its start; known for processes of this boot, living or not."""
        born = self.born(identity)
        if born is None:
            return None
        boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        # To the tick: the two clocks are not read at the same instant, and the answer should not differ each time.
        return round(boot + born, 2)

    def born(self, identity: ProcessIdentity) -> float | None:
        """Seconds from the boot to its start."""
        ticks = self._ticks(identity)
        return None if ticks is None else ticks / self._ticks_per_second

    def describe(self, pid: int) -> Occupant:
        """Command line, user and start, for people; empty for a process that has gone."""
        try:
            identity = self.identify(pid)
            if identity is None:
                return Occupant()
            user = processes.user_name(procfs.owner(pid))
        except OSError:
            return Occupant()
        return Occupant(identity, procfs.command_line(pid), user, self.started_at(identity))

    def no_process(self, pid: int) -> str | None:
        """Whether it is a thread's number: kill(2) and /proc answer for those, too. Or one of the kernel's own."""
        try:
            group, flags = procfs.thread_group(pid), procfs.read_stat(pid).flags
        except (FileNotFoundError, ProcessLookupError):
            # It has ended; whoever asks has proven, or will, that it lives.
            return None
        if group != pid:
            return f"{pid} is a thread of process {group}"
        return f"{pid} is a thread of the kernel" if flags & procfs.KERNEL_THREAD else None

    def _ticks(self, identity: ProcessIdentity) -> int | None:
        boot, _, ticks = identity.start_token.partition(":")
        return int(ticks) if boot == self._boot and ticks.isdecimal() else None


def _answers_signal_0(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
