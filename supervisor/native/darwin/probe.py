"""Facts about one process on macOS, by psutil: it uses sysctl KERN_PROC, which shows the processes of every user."""

import os
import sys
from typing import Any

from ...core.model import Liveness, Occupant, ProcessIdentity
from ..posix import processes
from . import libproc

assert sys.platform != "win32"  # noqa: S101 (tells type checkers where this may run; tests run it on Linux)

# <sys/proc_internal.h>: PID_MAX
PID_MAX = 99999


def is_pid(pid: int) -> bool:
    """Return whether a process can have this number."""
    return 0 < pid <= PID_MAX


class DarwinProbe:
    """Start tokens are microseconds since the epoch, as the kernel noted them at the start of the process."""

    def __init__(self, system: Any, birth_of: libproc.BirthOf) -> None:
        """Use the module `psutil` as `system`."""
        self._system = system
        self._birth_of = birth_of

    def pids(self) -> tuple[int, ...]:
        """Return the pids of all processes, zombies included."""
        return tuple(pid for pid in self._system.pids() if is_pid(pid))

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Return the identity behind this pid. Raises OSError if the system does not tell."""
        if not is_pid(pid):
            return None
        try:
            process = self._system.Process(pid)
            if process.status() == self._system.STATUS_ZOMBIE:
                return None
            return self._identity_of(process)
        except (self._system.NoSuchProcess, self._system.ZombieProcess):
            return None
        except self._system.AccessDenied as error:
            raise PermissionError(f"the system does not tell about process {pid}") from error

    def identify_child(self, pid: int) -> ProcessIdentity:
        """Return the identity of a child that has not been waited for; it has one even after its end.

        Raises:
            OSError: the system does not tell.
        """
        try:
            return self._identity_of(self._system.Process(pid))
        except self._system.Error as error:
            raise ProcessLookupError(f"the system does not tell about process {pid}") from error

    def sample(self, identity: ProcessIdentity) -> Liveness:
        """Return whether exactly this process lives."""
        try:
            found = self.identify(identity.pid)
        except OSError:
            return Liveness.UNKNOWN
        return Liveness.ALIVE if found == identity else Liveness.DEAD

    def same_user(self, identity: ProcessIdentity) -> bool | None:
        """Return whether the daemon's user owns it."""
        uid = self._answer_for(identity, "uids")
        return None if uid is None else uid.effective == os.geteuid()

    def same_namespace(self, identity: ProcessIdentity) -> bool | None:
        """Return True: macOS has a single pid namespace."""
        return True if self.sample(identity) is Liveness.ALIVE else None

    def started_at(self, identity: ProcessIdentity) -> float | None:
        """Return the wall time of its start, which the token is."""
        return int(identity.start_token) / 1e6 if identity.start_token.isdecimal() else None

    def creation_order(self, identity: ProcessIdentity) -> float | None:
        """Return the time from the boot to its creation.

        The token would not do, because it follows a clock that can be set.
        """
        born = self._birth_of(identity.pid) if is_pid(identity.pid) else None
        # The identity is checked last: a process that has it now had it then.
        return born if self.sample(identity) is Liveness.ALIVE else None

    def describe(self, pid: int) -> Occupant:
        """Return command line, user and start, for people; empty for a process that has ended."""
        try:
            identity = self.identify(pid)
        except OSError:
            return Occupant()
        if identity is None:
            return Occupant()
        # The command lines of other users' processes are hidden.
        words = self._answer_for(identity, "cmdline") or [self._answer_for(identity, "name") or ""]
        uids = self._answer_for(identity, "uids")
        user = None if uids is None else processes.user_name(uids.effective)
        return Occupant(identity, tuple(word for word in words if word), user, self.started_at(identity))

    def why_no_process(self, pid: int) -> str | None:  # noqa: ARG002 (the Protocol's)
        """Return why a pid names no process. Threads have other numbers on macOS, and the kernel is pid 0."""
        return None

    def on_terminal(self, pid: int) -> bool:
        """Return whether it has a controlling terminal; False also if the system does not tell."""
        try:
            return self._system.Process(pid).terminal() is not None
        except (self._system.Error, OSError):
            return False

    def parent(self, pid: int) -> int:
        """Return the pid of its parent; 0 if unknown."""
        try:
            return int(self._system.Process(pid).ppid())
        except self._system.Error:
            return 0

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """Return an environment variable that the process was started with; None if not set.

        Raises:
            OSError: the system does not tell. For protected processes it shows an empty environment.
        """
        found = self._answer_for(identity, "environ")
        if not found:
            raise PermissionError(f"the system does not tell what process {identity.pid} was started with")
        value: str | None = found.get(name)
        return value

    def _answer_for(self, identity: ProcessIdentity, what: str) -> Any:
        """Return psutil's answer for exactly this process; None if there is none."""
        try:
            answer = getattr(self._system.Process(identity.pid), what)()
        except (self._system.Error, OSError, RuntimeError):
            return None
        # The identity is checked last: a process that has it now had it then.
        return answer if self.sample(identity) is Liveness.ALIVE else None

    @staticmethod
    def _identity_of(process: Any) -> ProcessIdentity:
        # create_time() follows changes of the system's clock; the ident by which psutil compares processes does not.
        pid, began = process._ident  # noqa: SLF001
        if began is None:
            raise PermissionError(f"the system does not tell when process {pid} began")
        return ProcessIdentity(pid, str(round(began * 1e6)))
