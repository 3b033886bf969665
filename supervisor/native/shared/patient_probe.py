"""Looks at processes that may hang in the kernel: one at a time for each process, and one thread at most waits."""

import errno
import threading
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ...core.model import Occupant, ProcessIdentity
from ..api import Probe, ProcessControl

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE_S = 1.0
"""How long a look at one process may take before that process counts as hanging."""


class Reading:
    """One look at one process, from its begin to its return. `given_up`: its thread is waited for no longer."""

    __slots__ = ("given_up", "over", "process", "since")

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.over = threading.Lock()
        self.over.acquire()
        self.given_up = False
        self.process: ProcessIdentity | None = None

    def hangs(self, patience_s: float = PATIENCE_S) -> bool:
        """Whether it has taken too long."""
        return self.given_up or time.monotonic() - self.since >= patience_s


class Looks:
    """Knows which processes are being looked at, and which of those looks have not returned.

    A process whose look hangs is not asked again until that look has returned: one thread waits for it, and every
    other look raises at once. `identify` tells whether the pid belongs to another process since.
    """

    def __init__(self, identify: Callable[[int], ProcessIdentity | None]) -> None:
        self._identify = identify
        self._open: dict[int, Reading] = {}
        self._here = threading.local()

    def reading_of_this_thread(self, note: Callable[[Reading | None], None] | None) -> None:
        """Tell `note` of every look that this thread begins, and None when it has returned."""
        self._here.note = note

    def at(self, pid: int, read: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Call `read`, which looks at this process. Not to be nested for one pid. Blocking.

        Raises:
            TimeoutError: an earlier look at the process hangs.
        """
        mine = Reading()
        # setdefault is atomic: of two threads that come at once, one reads, and the other finds its reading.
        while (other := self._open.setdefault(pid, mine)) is not mine:
            self._wait_for(pid, other)
            mine.since = time.monotonic()
        note: Callable[[Reading | None], None] | None = getattr(self._here, "note", None)
        if note is not None:
            note(mine)
        try:
            return read(*arguments, **options)
        finally:
            if note is not None:
                note(None)
            if self._open.get(pid) is mine:
                del self._open[pid]
            mine.over.release()

    def hanging(self) -> tuple[int, ...]:
        """The pids whose looks have not returned in time."""
        return tuple(pid for pid, reading in list(self._open.items()) if reading.hangs())

    def _wait_for(self, pid: int, other: Reading) -> None:
        left_s = other.since + PATIENCE_S - time.monotonic()
        if not other.given_up and left_s > 0 and other.over.acquire(timeout=left_s):
            other.over.release()
            return
        if self._is_of_another(pid, other):
            self._open.pop(pid, None)
            return
        raise TimeoutError(errno.ETIMEDOUT, f"process {pid} hangs in the kernel: an earlier look has not returned")

    def _is_of_another(self, pid: int, reading: Reading) -> bool:
        """Whether the pid belongs to another process than the one whose look hangs."""
        try:
            now = self._identify(pid)
        except OSError:
            return False
        if reading.process is None:
            reading.process = now
        return now is not None and now != reading.process


class PatientProbe:
    """A probe whose `describe` leaves a process that hangs without its command line."""

    def __init__(self, probe: Probe, looks: Looks) -> None:
        self._probe = probe
        self._looks = looks
        self.identify = probe.identify
        self.sample = probe.sample
        self.same_user = probe.same_user
        self.same_namespace = probe.same_namespace
        self.no_process = probe.no_process
        self.started_at = probe.started_at
        self.born = probe.born

    def describe(self, pid: int) -> Occupant:
        """Command line, user and start, for people. Of a process that hangs: which one it is, and its start."""
        try:
            return self._looks.at(pid, self._probe.describe, pid)
        except TimeoutError:
            try:
                identity = self._probe.identify(pid)
            except OSError:
                return Occupant()
            return Occupant(identity, (), None, self._probe.started_at(identity)) if identity else Occupant()


class PatientProcesses:
    """Process control whose `variable` raises for a process that hangs."""

    def __init__(self, processes: ProcessControl, looks: Looks) -> None:
        self._processes = processes
        self._looks = looks
        self.rehearse = processes.rehearse
        self.spawn = processes.spawn
        self.exit_status = processes.exit_status
        self.ask_to_end = processes.ask_to_end
        self.kill = processes.kill
        self.table = processes.table
        self.vacant = processes.vacant

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """An environment variable that the process was started with.

        Raises:
            TimeoutError: the process hangs.
            OSError: the system does not tell, or the process has ended.
        """
        return self._looks.at(identity.pid, self._processes.variable, identity, name)
