"""An event loop on virtual time: waits take no real time, and calls for threads run at once, in order."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.fakes import FakeClock

T = TypeVar("T")


class NothingWillHappenError(Exception):
    """All tasks wait, and no timer is set."""


class LoopSpinsError(Exception):
    """A task repeats itself without end."""


TURNS_ALLOWED = 50_000
"""The number of loop iterations that one second of virtual time may have."""


class VirtualSelector(selectors.DefaultSelector):
    """A selector that moves the clock instead of sleeping."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self._turns = 0
        self._since = clock.now

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise NothingWillHappenError
        if not ready and timeout:
            self._clock.advance(timeout)
        self._count()
        return ready

    def _count(self) -> None:
        self._turns += 1
        if self._clock.now - self._since >= 1 or self._turns > TURNS_ALLOWED:
            spins = self._turns > TURNS_ALLOWED
            self._turns, self._since = 0, self._clock.now
            if spins:
                raise LoopSpinsError


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with the time of the fake clock."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(VirtualSelector(clock))
        self._fake_clock = clock

    def time(self) -> float:
        return self._fake_clock.monotonic()

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # noqa: ARG002
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 (the caller gets it)
            future.set_exception(error)
        return future


def run(clock: FakeClock, main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time, and return its result."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)
