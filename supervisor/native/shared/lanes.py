"""Threads for what blocks, in lanes: what is slow in one lane delays none of the others."""

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
from .patient_probe import PATIENCE_S, Looks, Reading

T = TypeVar("T")

IDLE_S = 10.0
"""A thread without work ends after this time: an idle daemon has none."""

NEXT_PATIENCE_S = 0.25
"""What each further process may take once one has hung in the same look: where one hangs, others may, too."""

WHOLE_S = 30.0
"""How long a look may take that hangs at no process in particular."""

PAUSES_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.5)
"""Where the system has no thread, it is asked again after these pauses, before the operation fails."""

LAST_WORK_S, POLL_S = 5.0, 0.01
"""How long work may take to end when the daemon ends, and how often that is looked at."""


THREADS: Mapping[Lane, int] = {
    Lane.QUESTIONS: 4,
    Lane.STARTING: 4,
    Lane.ENDING: 4,
    Lane.JUDGING: 4,
    Lane.DISCOVERY: 2,
    Lane.FILES: 2,
}


class Work(Generic[T]):
    """One piece of work in a thread."""

    def __init__(self, call: Callable[[], T], looks: Looks) -> None:
        self._call = call
        self._looks = looks
        self._began: float | None = None
        self.reading: Reading | None = None
        """The look at one process that its thread is in."""

    def __call__(self) -> T:
        """Do it."""
        self._began = time.monotonic()
        self._looks.reading_of_this_thread(self._note)
        try:
            return self._call()
        finally:
            self._looks.reading_of_this_thread(None)

    def hangs(self, patience_s: float = PATIENCE_S) -> bool:
        """Whether its thread cannot be counted on."""
        reading = self.reading
        if reading is not None and reading.hangs(patience_s):
            return True
        return self._began is not None and time.monotonic() - self._began > WHOLE_S

    def _note(self, reading: Reading | None) -> None:
        self.reading = reading


class Threads(Executor):
    """The threads of one lane: made when there is work, ended when there is none. One that hangs is replaced.

    They do not keep the interpreter from ending: a process that hangs in the kernel would.
    """

    def __init__(self, name: str, most: int, idle_s: float | None = None) -> None:
        """`idle_s`: after how long without work a thread ends; None: `IDLE_S`."""
        self._name = name
        self._idle_s = idle_s
        self._most = most
        self._changed = threading.Condition()
        self._queue: deque[tuple[Future[Any], Work[Any]]] = deque()
        self._running: set[Work[Any]] = set()
        self._alive = 0
        self._idle = 0

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """See `Executor`; for a `Work` only.

        Raises:
            RuntimeError, MemoryError: the system has no thread for it, and none of this lane will come to it.
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
        """Replace threads that hang, where work waits for one."""
        with self._changed:
            try:
                self._make_threads()
            except (RuntimeError, MemoryError):
                # What waits is done by the threads that there are, or tended again.
                return

    @property
    def busy(self) -> bool:
        """Whether work is under way that will end."""
        with self._changed:
            return bool(self._queue) or len(self._running) > self._hung()

    @property
    def alive(self) -> int:
        """How many threads there are, with those that hang."""
        return self._alive

    def _make_threads(self) -> None:
        while len(self._queue) > self._idle and self._alive - self._hung() < self._most:
            threading.Thread(target=self._work, name=f"lane {self._name}", daemon=True).start()
            self._alive += 1
            # Counted as idle from its birth: it takes the first that waits.
            self._idle += 1

    def _patience(self) -> float | None:
        idle_s = IDLE_S if self._idle_s is None else self._idle_s
        return None if idle_s == math.inf else idle_s

    def _hung(self) -> int:
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
            # What it holds must not live on while it waits.
            del entry, future, work

    def _next(self) -> tuple[Future[Any], Work[Any]] | None:
        with self._changed:
            surplus = self._alive - self._hung() > self._most
            found = bool(self._queue) or (
                not surplus and self._changed.wait_for(lambda: bool(self._queue), self._patience())
            )
            self._idle -= 1
            if not found:
                self._alive -= 1
                return None
            future, work = self._queue.popleft()
            self._running.add(work)
            return future, work


def _nothing() -> None:
    """For a thread that is only to be there."""


def _perform(future: Future[T], work: Work[T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001 (it is the caller's)
        future.set_exception(error)
    else:
        future.set_result(result)


class Lanes:
    """Does what blocks, off the loop, in the lane of the current task.

    `look` is for what only reads: where it hangs at one process, it is done again in another thread, which passes over
    that process. `do` is for what is done once.
    """

    def __init__(self, looks: Looks) -> None:
        self._looks = looks
        self._lanes = {lane: Threads(lane.value, most) for lane, most in THREADS.items()}
        self._reserve = Threads("reserve", 1, idle_s=math.inf)

    @property
    def threads(self) -> Mapping[Lane, int]:
        """How many threads each lane has now."""
        return {lane: threads.alive for lane, threads in self._lanes.items()}

    async def prepare(self) -> None:
        """Make a thread that stays, for all lanes: where the system has no other any more, it does what there is.

        Raises:
            SystemExhausted: the system has no thread.
        """
        await self._begin(self._reserve, Work(_nothing, self._looks))

    async def look(self, read: Callable[..., T], *arguments: Any, lane: Lane | None = None) -> T:
        """Call what only reads.

        Raises:
            SystemExhausted: the system has no thread.
            TimeoutError: it hangs, and not at a process that could be passed over.
        """
        threads = self._lanes[lane or current()]
        patience_s = PATIENCE_S
        while True:
            work = Work(partial(read, *arguments), self._looks)
            future = await self._begin(threads, work)
            try:
                while not future.done() and not work.hangs(patience_s):
                    await asyncio.wait((future,), timeout=patience_s)
                    if not future.done():
                        threads.tend()
                if future.done():
                    return future.result()
            finally:
                # Where it has not returned, nobody waits for it any longer.
                future.cancel()
            reading = work.reading
            if reading is None:
                raise TimeoutError(f"the system has not answered within {WHOLE_S:g} s")
            reading.given_up = True
            patience_s = NEXT_PATIENCE_S

    async def do(self, work: Callable[..., T], *arguments: Any, lane: Lane | None = None) -> T:
        """Call what is to be done once.

        Raises:
            SystemExhausted: the system has no thread; it was not done.
        """
        threads = self._lanes[lane or current()]
        return await (await self._begin(threads, Work(partial(work, *arguments), self._looks)))

    async def close(self) -> None:
        """Let what is under way end, for a bounded time: it may be writing."""
        for _ in range(round(LAST_WORK_S / POLL_S)):
            if not any(threads.busy for threads in self._lanes.values()):
                return
            await asyncio.sleep(POLL_S)

    async def _begin(self, threads: Threads, work: Work[T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        for pause_s in (*PAUSES_S, None):
            for able in (threads, self._reserve):
                try:
                    return loop.run_in_executor(able, work)
                except (RuntimeError, MemoryError) as error:
                    problem = error
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        raise SystemExhausted(
            f"the system has no thread for the daemon: {problem}",
            hint="end some processes, or raise the limit of them (ulimit -u, TasksMax), then ask again",
        ) from problem
