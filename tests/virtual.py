"""An event loop on virtual time: nothing waits, and what would run in a thread runs at once, in order."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.fakes import FakeClock

T = TypeVar("T")


class NothingWillHappenError(Exception):
    """Everybody waits, and no timer is set."""


class LoopSpinsError(Exception):
    """Somebody does the same thing over and over."""


TURNS_ALLOWED = 50_000
"""How often the loop may turn in one second of virtual time."""


class VirtualSelector(selectors.DefaultSelector):
    """Never sleeps: it moves the clock instead."""

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
    """Its time is the fake clock's."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(VirtualSelector(clock))
        self._fake_clock = clock

    def time(self) -> float:
        return self._fake_clock.monotonic()

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # noqa: ARG002
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 (it is the caller's)
            future.set_exception(error)
        return future


def run(clock: FakeClock, main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in no time."""
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(main)
