"""Queries about processes that may hang in the kernel: one at a time per process, and at most one thread waits."""

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
"""The time after which a query about one process counts as hanging."""


class ProcessQuery:
    """A query about one process, from its start to its return.

    `over` is locked until the return. `given_up`: callers no longer wait for the thread. `process` is the process that
    had the pid when another query was first refused; None before that.
    """

    __slots__ = ("given_up", "over", "process", "since")

    def __init__(self) -> None:
        self.since = time.monotonic()
        self.over = threading.Lock()
        self.over.acquire()
        self.given_up = False
        self.process: ProcessIdentity | None = None

    def hangs(self, patience_s: float = PATIENCE_S) -> bool:
        """Return whether it takes too long."""
        return self.given_up or time.monotonic() - self.since >= patience_s


class ProcessQueries:
    """Knows the running queries about processes, and which of them hang.

    While a query about a process hangs, one thread waits for it, and every other query about that process raises at
    once. `identify` tells whether the pid has been given to another process.
    """

    def __init__(self, identify: Callable[[int], ProcessIdentity | None]) -> None:
        self._identify = identify
        self._open: dict[int, ProcessQuery] = {}
        self._local = threading.local()

    def report_queries_of_this_thread(self, note: Callable[[ProcessQuery | None], None] | None) -> None:
        """Report every query that this thread starts to `note`, and None after its return."""
        self._local.note = note

    def run(self, pid: int, read: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
        """Call `read`, which queries this process. Blocking, and must not be nested for one pid.

        Raises:
            TimeoutError: an earlier query about the process hangs.
        """
        mine = ProcessQuery()
        # setdefault is atomic: of two threads that arrive together, one queries, and the other finds its query.
        while (other := self._open.setdefault(pid, mine)) is not mine:
            self._wait_for(pid, other)
            mine.since = time.monotonic()
        note: Callable[[ProcessQuery | None], None] | None = getattr(self._local, "note", None)
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
        """Return the pids whose queries have not returned in time."""
        return tuple(pid for pid, query in list(self._open.items()) if query.hangs())

    def _wait_for(self, pid: int, other: ProcessQuery) -> None:
        """Return when another query about this pid has returned, or is about an ended process.

        Raises:
            TimeoutError: the other query hangs.
        """
        left_s = other.since + PATIENCE_S - time.monotonic()
        if not other.given_up and left_s > 0 and other.over.acquire(timeout=left_s):
            other.over.release()
            return
        if self._was_reused(pid, other):
            self._open.pop(pid, None)
            return
        raise TimeoutError(errno.ETIMEDOUT, f"process {pid} hangs in the kernel: an earlier query has not returned")

    def _was_reused(self, pid: int, query: ProcessQuery) -> bool:
        """Return whether the pid now belongs to another process than that of the hanging query."""
        try:
            now = self._identify(pid)
        except OSError:
            return False
        if query.process is None:
            query.process = now
        return now is not None and now != query.process


class PatientProbe:
    """A probe whose `describe` omits the command line of a process that hangs."""

    def __init__(self, probe: Probe, queries: ProcessQueries) -> None:
        self._probe = probe
        self._queries = queries
        self.identify = probe.identify
        self.sample = probe.sample
        self.same_user = probe.same_user
        self.same_namespace = probe.same_namespace
        self.why_no_process = probe.why_no_process
        self.started_at = probe.started_at
        self.creation_order = probe.creation_order

    def describe(self, pid: int) -> Occupant:
        """Return command line, user and start, for people; for a process that hangs, its identity and start."""
        try:
            return self._queries.run(pid, self._probe.describe, pid)
        except TimeoutError:
            try:
                identity = self._probe.identify(pid)
            except OSError:
                return Occupant()
            return Occupant(identity, (), None, self._probe.started_at(identity)) if identity else Occupant()


class PatientProcesses:
    """Process control whose `variable` raises for a process that hangs."""

    def __init__(self, processes: ProcessControl, queries: ProcessQueries) -> None:
        self._processes = processes
        self._queries = queries
        self.rehearse = processes.rehearse
        self.spawn = processes.spawn
        self.exit_status = processes.exit_status
        self.ask_to_end = processes.ask_to_end
        self.kill = processes.kill
        self.table = processes.table
        self.is_unused = processes.is_unused

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """Return an environment variable that the process was started with.

        Raises:
            TimeoutError: the process hangs.
            OSError: the system does not tell, or the process has ended.
        """
        return self._queries.run(identity.pid, self._processes.variable, identity, name)
