"""An event loop that the driver runs one iteration at a time, on virtual time, without a system call."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

from tests.fakes import FakeClock


class DaemonKilledError(SystemExit):
    """The daemon was killed by SIGKILL. A `SystemExit`, because asyncio passes it on to the code that runs the loop."""


class SimulatedLoop(asyncio.AbstractEventLoop):
    """Callbacks run in the order in which they were scheduled, as asyncio promises.

    `thread_delay_s` says when the answer of a call in a thread arrives.
    """

    def __init__(self, clock: FakeClock, thread_delay_s: Callable[[], float]) -> None:
        self._clock = clock
        self._thread_delay_s = thread_delay_s
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = count()
        self.troubles: list[str] = []
        """Exceptions that no code has retrieved, which asyncio would have logged."""

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the code inside run as if a callback of this loop ran it."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def turn(self) -> None:
        """Run one iteration: the callbacks that are ready, and the timers that are due."""
        now = self._clock.now
        while self._timers and (self._timers[0][0] <= now or self._timers[0][2]._cancelled):
            handle = heapq.heappop(self._timers)[2]
            if not handle._cancelled:
                self._ready.append(handle)
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()

    @property
    def busy(self) -> bool:
        """Whether a callback is ready, so that the loop can run without time passing."""
        return bool(self._ready)

    def next_timer(self) -> float | None:
        """Return when the next timer is due; None if there is none."""
        while self._timers and self._timers[0][2]._cancelled:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def discard_tasks(self) -> None:
        """Drop all tasks of a killed daemon, so that none of their code has an effect on the world any more."""
        with self.running():
            tasks = sorted(asyncio.all_tasks(self), key=lambda task: task.get_name())
            self._ready.clear()
            self._timers.clear()
            for task in tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                try:
                    task.get_coro().close()  # type: ignore[union-attr]
                except (DaemonKilledError, RuntimeError):
                    continue
        self._ready.clear()
        self._timers.clear()

    def time(self) -> float:
        return self._clock.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, name=name, context=context)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self._clock.now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]  # noqa: ARG002
        future = self.create_future()
        delay_s = self._thread_delay_s()
        if delay_s > 0:
            self.call_later(delay_s, _compute, future, func, args)
        else:
            _compute(future, func, args)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.troubles.append(f"{context['message']}: {error!r}")


def _compute(future: asyncio.Future[Any], func: Any, args: Any) -> None:
    if future.done():
        return
    try:
        result = func(*args)
    except Exception as error:  # noqa: BLE001 (the caller gets it)
        future.set_exception(error)
    else:
        future.set_result(result)
