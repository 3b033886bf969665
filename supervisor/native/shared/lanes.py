"""Threads for blocking work, in lanes: slow work in one lane delays no other lane."""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any, Generic, TypeVar

from ...errors import SystemExhausted
from ..lane import Lane, current
from .process_queries import PATIENCE_S, ProcessQueries, ProcessQuery

T = TypeVar("T")

IDLE_S = 10.0
"""A thread without work ends after this time, so an idle daemon has none."""

FURTHER_PATIENCE_S = 0.25
"""The patience with each further process once one has hung in the same call: others may hang for the same reason."""

CALL_PATIENCE_S = 30.0
"""The time after which a call counts as hanging although it waits for no particular process."""

PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5)
"""The pauses between attempts while the system has no thread, before the operation fails."""

LAST_WORK_S, POLL_S = 5.0, 0.01
"""The time for running work to end when the daemon ends, and the interval of checks."""


THREADS: Mapping[Lane, int] = {
    Lane.QUESTIONS: 4,
    Lane.STARTING: 4,
    Lane.ENDING: 4,
    Lane.JUDGING: 4,
    Lane.DISCOVERY: 2,
    Lane.FILES: 2,
}


class Work(Generic[T]):
    """One call for a thread, and the query about a process that the call is in."""

    def __init__(self, call: Callable[[], T], queries: ProcessQueries) -> None:
        self._call = call
        self._queries = queries
        self._began: float | None = None
        self.query: ProcessQuery | None = None
        """The query about a process that the call waits for; None if it waits for no particular process."""

    def __call__(self) -> T:
        """Make the call, in a thread of a lane."""
        self._began = time.monotonic()
        self._queries.report_queries_of_this_thread(self._note)
        try:
            return self._call()
        finally:
            self._queries.report_queries_of_this_thread(None)

    def hangs(self, patience_s: float = PATIENCE_S) -> bool:
        """Return whether the call takes so long that its thread must be regarded as lost."""
        query = self.query
        if query is not None and query.hangs(patience_s):
            return True
        return self._began is not None and time.monotonic() - self._began > CALL_PATIENCE_S

    def _note(self, query: ProcessQuery | None) -> None:
        self.query = query


class LaneThreads(Executor):
    """The threads of one lane, at most `most`. They are made for work and end without it; one that hangs is replaced.

    They are daemon threads, so a process that hangs in the kernel does not keep the interpreter from ending.
    """

    def __init__(self, name: str, most: int, idle_s: float | None = None) -> None:
        """Let a thread end after `idle_s` seconds without work; None: `IDLE_S`."""
        self._name = name
        self._idle_s = idle_s
        self._most = most
        self._changed = threading.Condition()
        self._queue: deque[tuple[Future[Any], Work[Any]]] = deque()
        self._running: set[Work[Any]] = set()
        self._alive = 0
        self._idle = 0

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Queue a `Work`; see `Executor`.

        Raises:
            RuntimeError, MemoryError: the system has no thread for it, and all threads of this lane hang.
        """
        if not isinstance(fn, Work) or args or kwargs:
            raise TypeError("a lane takes pieces of work")
        future: Future[T] = Future()
        entry = (future, fn)
        with self._changed:
            self._queue.append(entry)
            try:
                self._make_threads()
            except (RuntimeError, MemoryError):
                if self._alive == self._hung():
                    self._queue.remove(entry)
                    raise
            self._changed.notify()
        return future

    def tend(self) -> None:
        """Replace threads that hang, if work waits for a thread."""
        with self._changed:
            try:
                self._make_threads()
            except (RuntimeError, MemoryError):
                # The existing threads do the waiting work, or the next call makes threads.
                return

    @property
    def busy(self) -> bool:
        """Whether calls run or wait, other than those that hang."""
        with self._changed:
            return bool(self._queue) or len(self._running) > self._hung()

    @property
    def alive(self) -> int:
        """The number of threads, including those that hang."""
        return self._alive

    def _make_threads(self) -> None:
        while len(self._queue) > self._idle and self._alive - self._hung() < self._most:
            threading.Thread(target=self._work, name=f"lane {self._name}", daemon=True).start()
            self._alive += 1
            # A new thread counts as idle: it takes the first waiting entry.
            self._idle += 1

    def _idle_timeout_s(self) -> float | None:
        """Return how long a thread waits for work; None: for ever. The constant is read late, because tests set it."""
        idle_s = IDLE_S if self._idle_s is None else self._idle_s
        return None if idle_s == math.inf else idle_s

    def _hung(self) -> int:
        """Return the number of threads that hang."""
        return sum(work.hangs() for work in self._running)

    def _work(self) -> None:
        while (entry := self._next()) is not None:
            future, work = entry
            try:
                _perform(future, work)
            finally:
                with self._changed:
                    self._running.discard(work)
                    self._idle += 1
            # Objects of finished work must not stay alive while the thread waits.
            del entry, future, work

    def _next(self) -> tuple[Future[Any], Work[Any]] | None:
        """Wait for work and return it with its future; None if the calling thread is to end.

        A thread ends if it gets no work in time, or if it is surplus: one that hung has returned after its replacement
        was made.
        """
        with self._changed:
            surplus = self._alive - self._hung() > self._most
            found = bool(self._queue) or (
                not surplus and self._changed.wait_for(lambda: bool(self._queue), self._idle_timeout_s())
            )
            self._idle -= 1
            if not found:
                self._alive -= 1
                return None
            future, work = self._queue.popleft()
            self._running.add(work)
            return future, work


def _do_nothing() -> None:
    """Do nothing: the thread that calls this is made so that it exists later."""


def _perform(future: Future[T], work: Work[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 (it is the caller's)
        future.set_exception(error)
    else:
        future.set_result(result)


class ThreadLanes:
    """Runs blocking calls in threads. See the protocol `Lanes`.

    `look` is for calls that only read: if a call hangs at one process, another thread repeats it without that process.
    `do` is for calls that must run once only.
    """

    def __init__(self, queries: ProcessQueries) -> None:
        self._queries = queries
        self._lanes = {lane: LaneThreads(lane.value, most) for lane, most in THREADS.items()}
        self._reserve = LaneThreads("reserve", 1, idle_s=math.inf)

    @property
    def threads(self) -> Mapping[Lane, int]:
        """The present number of threads in each lane."""
        return {lane: threads.alive for lane, threads in self._lanes.items()}

    async def prepare(self) -> None:
        """Make a thread that stays, for all lanes: it does the work while the system has no other thread.

        Raises:
            SystemExhausted: the system has no thread.
        """
        await self._begin(self._reserve, Work(_do_nothing, self._queries))

    async def look(self, read: Callable[..., T], *arguments: Any, lane: Lane | None = None) -> T:
        """Call a function that only reads.

        Raises:
            SystemExhausted: the system has no thread.
            TimeoutError: the call hangs, but at no process that could be left out.
        """
        threads = self._lanes[lane or current()]
        patience_s = PATIENCE_S
        while True:
            work = Work(partial(read, *arguments), self._queries)
            future = await self._begin(threads, work)
            try:
                while not future.done() and not work.hangs(patience_s):
                    await asyncio.wait((future,), timeout=patience_s)
                    if not future.done():
                        threads.tend()
                if future.done():
                    return future.result()
            finally:
                # No caller waits any longer for a call that has not returned.
                future.cancel()
            query = work.query
            if query is None:
                raise TimeoutError(f"the system has not answered within {CALL_PATIENCE_S:g} s")
            query.given_up = True
            patience_s = FURTHER_PATIENCE_S

    async def do(self, work: Callable[..., T], *arguments: Any, lane: Lane | None = None) -> T:
        """Call a function that must run once only.

        Raises:
            SystemExhausted: the system has no thread; the function was not called.
        """
        threads = self._lanes[lane or current()]
        return await (await self._begin(threads, Work(partial(work, *arguments), self._queries)))

    async def close(self) -> None:
        """Wait for a bounded time for running work, because it may be writing."""
        for _ in range(round(LAST_WORK_S / POLL_S)):
            if not any(threads.busy for threads in self._lanes.values()):
                return
            await asyncio.sleep(POLL_S)

    async def _begin(self, threads: LaneThreads, work: Work[T]) -> "asyncio.Future[T]":
        """Queue work in a lane, or in the reserve thread if the lane can have no thread, and return its future.

        Raises:
            SystemExhausted: the system has no thread, after several attempts.
        """
        loop = asyncio.get_running_loop()
        for pause_s in (*PAUSES_S, None):
            for executor in (threads, self._reserve):
                try:
                    return loop.run_in_executor(executor, work)
                except (RuntimeError, MemoryError) as error:
                    problem = error
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        raise SystemExhausted(
            f"the system has no thread for the daemon: {problem}",
            hint="end some processes, or raise the limit of them (ulimit -u, TasksMax), then ask again",
        ) from problem
