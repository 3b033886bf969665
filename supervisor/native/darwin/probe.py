"""macOS's answers about one process, by psutil, which asks sysctl KERN_PROC: it tells of every user's processes."""

import os
import sys
from typing import Any

from ...core.model import Liveness, Occupant, ProcessIdentity
from ..posix import processes
from . import libproc

assert sys.platform != "win32"  # noqa: S101 (tells type checkers where this may run; tests run it on Linux)

# <sys/proc_internal.h>: PID_MAX
PID_MAX = 99999


def possible(pid: int) -> bool:
    """Whether a process can have this number."""
    return 0 < pid <= PID_MAX


class DarwinProbe:
    """Start tokens are microseconds since the epoch, as the kernel wrote them down when the process began."""

    def __init__(self, system: Any, birth_of: libproc.BirthOf) -> None:
        """`system` is the module `psutil`."""
        self._system = system
        self._birth_of = birth_of

    def pids(self) -> tuple[int, ...]:
        """Of every process, zombies too."""
        return tuple(pid for pid in self._system.pids() if possible(pid))

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Who is behind this pid now. Raises OSError where the system would not tell."""
        if not possible(pid):
            return None
        try:
            process = self._system.Process(pid)
            if process.status() == self._system.STATUS_ZOMBIE:
                return None
            return self._name(process)
        except (self._system.NoSuchProcess, self._system.ZombieProcess):
            return None
        except self._system.AccessDenied as error:
            raise PermissionError(f"the system does not tell about process {pid}") from error

    def newborn(self, pid: int) -> ProcessIdentity:
        """The identity of a child that nobody has waited for: it has one even if it has ended already.

        Raises:
            OSError: the system would not tell.
        """
        try:
            return self._name(self._system.Process(pid))
        except self._system.Error as error:
            raise ProcessLookupError(f"the system does not tell about process {pid}") from error

    def sample(self, identity: ProcessIdentity) -> Liveness:
        """Whether exactly this process lives."""
        try:
            found = self.identify(identity.pid)
        except OSError:
            return Liveness.UNKNOWN
        return Liveness.ALIVE if found == identity else Liveness.DEAD

    def same_user(self, identity: ProcessIdentity) -> bool | None:
        """Whether it belongs to the daemon's user."""
        uid = self._told(identity, "uids")
        return None if uid is None else uid.effective == os.geteuid()

    def same_namespace(self, identity: ProcessIdentity) -> bool | None:
        """There is one for all."""
        return True if self.sample(identity) is Liveness.ALIVE else None

    def started_at(self, identity: ProcessIdentity) -> float | None:
        """Wall time of its start: it is the token."""
        return int(identity.start_token) / 1e6 if identity.start_token.isdecimal() else None

    def born(self, identity: ProcessIdentity) -> float | None:
        """By the time that runs since the boot. The token would not do: it follows a clock that can be set."""
        born = self._birth_of(identity.pid) if possible(identity.pid) else None
        # Asked last: if it is the process now, it was the process then.
        return born if self.sample(identity) is Liveness.ALIVE else None

    def describe(self, pid: int) -> Occupant:
        """Command line, user and start, for people; empty for a process that has gone."""
        try:
            identity = self.identify(pid)
        except OSError:
            return Occupant()
        if identity is None:
            return Occupant()
        # The command line of another user's process is hidden.
        words = self._told(identity, "cmdline") or [self._told(identity, "name") or ""]
        uids = self._told(identity, "uids")
        user = None if uids is None else processes.user_name(uids.effective)
        return Occupant(identity, tuple(word for word in words if word), user, self.started_at(identity))

    def no_process(self, pid: int) -> str | None:  # noqa: ARG002 (the Protocol's)
        """Threads have no numbers of this kind here, and the kernel is pid 0, which is none."""
        return None

    def on_terminal(self, pid: int) -> bool:
        """Whether it has a controlling terminal; False also where the system does not tell."""
        try:
            return self._system.Process(pid).terminal() is not None
        except (self._system.Error, OSError):
            return False

    def parent(self, pid: int) -> int:
        """The pid of its parent; 0: unknown."""
        try:
            return int(self._system.Process(pid).ppid())
        except self._system.Error:
            return 0

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """An environment variable that the process was started with; None: not set.

        Raises:
            OSError: the system does not tell. Of what it protects, it shows an empty environment.
        """
        found = self._told(identity, "environ")
        if not found:
            raise PermissionError(f"the system does not tell what process {identity.pid} was started with")
        value: str | None = found.get(name)
        return value

    def _told(self, identity: ProcessIdentity, what: str) -> Any:
        """What psutil says of exactly this process; None: nothing."""
        try:
            answer = getattr(self._system.Process(identity.pid), what)()
        except (self._system.Error, OSError, RuntimeError):
            return None
        # Asked last: if it is the process now, it was the process then.
        return answer if self.sample(identity) is Liveness.ALIVE else None

    @staticmethod
    def _name(process: Any) -> ProcessIdentity:
        # create_time() follows the system's clock when that is set; what psutil compares processes by does not.
        pid, began = process._ident  # noqa: SLF001
        if began is None:
            raise PermissionError(f"the system does not tell when process {pid} began")
        return ProcessIdentity(pid, str(round(began * 1e6)))
