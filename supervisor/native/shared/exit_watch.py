"""The exit watcher that polls, which needs only a probe, and the watches that all exit watchers arm."""

import asyncio
from collections.abc import Callable

from ...core.model import Liveness, ProcessIdentity
from ..api import Probe, Watch

Collect = Callable[[ProcessIdentity], None]
"""Notes the exit status of a process that has ended, if the process is a child of the daemon."""

TakeOver = Callable[["ArmedWatch"], None]
"""Lets the system serve a watch in place of polling. Raises ProcessLookupError if the system has no process with this
pid, another OSError if the system still refuses."""

POLL_INTERVAL_S = 1.0
TRY_AGAIN_EVERY_S = 30.0
"""The interval in which polled watches are offered to the system again after a refusal."""


class ArmedWatch:
    """A watch on one process. It fires once, or never if it was closed before.

    The exit status is collected before the callback.
    """

    def __init__(
        self,
        identity: ProcessIdentity,
        on_exit: Callable[[], None],
        *,
        collect: Collect,
        disarm: Callable[["ArmedWatch"], None],
    ) -> None:
        self.identity = identity
        self._on_exit = on_exit
        self._collect = collect
        self._disarm = disarm
        self._armed = True

    def set_disarm(self, disarm: Callable[["ArmedWatch"], None]) -> None:
        """Replace the function that `close` calls, because another source serves the watch from here on."""
        self._disarm = disarm

    def fire(self) -> None:
        """Collect the exit status and call back, because the process has ended. Do nothing for a closed watch."""
        if self._armed:
            self.close()
            self._collect(self.identity)
            self._on_exit()

    def close(self) -> None:
        """Disarm. Repeated calls are harmless."""
        if self._armed:
            self._armed = False
            self._disarm(self)


class PollingExitWatcher:
    """Asks the probe about all watched processes in an interval; without watches it does not wake.

    `take_over` is for a watcher that polls because the system has refused: it is called for every watch from time to
    time, and a watch that it accepts is no longer polled.
    """

    def __init__(
        self, probe: Probe, collect: Collect, interval_s: float = POLL_INTERVAL_S, *, take_over: TakeOver | None = None
    ) -> None:
        self._take_over = take_over
        self._since_tried_s = 0.0
        self._probe = probe
        self._collect = collect
        self._interval_s = interval_s
        self._watches: set[ArmedWatch] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def polled(self) -> int:
        """The number of polled processes."""
        return len(self._watches)

    def watch(self, identity: ProcessIdentity, on_exit: Callable[[], None]) -> Watch:
        """Arm a watch. A process that has already ended is reported in the next loop iteration."""
        loop = asyncio.get_running_loop()
        watch = ArmedWatch(identity, on_exit, collect=self._collect, disarm=self._forget)
        self._watches.add(watch)
        if self._probe.sample(identity) is Liveness.DEAD:
            loop.call_soon(watch.fire)
        elif self._timer is None:
            self._timer = loop.call_later(self._interval_s, self._tick, loop)
        return watch

    def note(self) -> str | None:
        """Return that processes are polled; None if there is no watch."""
        return f"process exits are noticed by polling, every {self._interval_s:g} s" if self._watches else None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._interval_s, self._tick, loop)
        for watch in self._watches:
            if self._probe.sample(watch.identity) is Liveness.DEAD:
                loop.call_soon(watch.fire)
        self._since_tried_s += self._interval_s
        if self._take_over is not None and self._since_tried_s >= TRY_AGAIN_EVERY_S:
            self._since_tried_s = 0.0
            self._offer_all(self._take_over)

    def _offer_all(self, take_over: TakeOver) -> None:
        """Offer every watch to the system, until it refuses one."""
        for watch in tuple(self._watches):
            try:
                take_over(watch)
            except ProcessLookupError:
                continue
            except OSError:
                break
            self._forget(watch)

    def _forget(self, watch: ArmedWatch) -> None:
        self._watches.discard(watch)
        if not self._watches and self._timer is not None:
            self._timer.cancel()
            self._timer = None
