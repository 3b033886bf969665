"""The common parts of exit watchers, and the watcher that needs only a probe."""

import asyncio
from collections.abc import Callable

from ...core.model import Liveness, ProcessIdentity
from ..api import Probe, Watch

Collect = Callable[[ProcessIdentity], None]
"""Waits for a process that has ended, if it is a child of ours. Otherwise does nothing."""

Better = Callable[["ArmedWatch"], None]
"""Lets a better source serve a watch. Raises OSError if there still is none."""

POLL_INTERVAL_S = 1.0
TRY_AGAIN_EVERY_S = 30.0
"""The interval in which the better source is tried again after a refusal."""


class ArmedWatch:
    """Fires once, or never if it was closed before. The exit status is collected before the callback."""

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

    def disarmed_by(self, disarm: Callable[["ArmedWatch"], None]) -> None:
        """Let another source serve the watch from here on."""
        self._disarm = disarm

    def fire(self) -> None:
        """Report that the process has ended."""
        if self._armed:
            self.close()
            self._collect(self.identity)
            self._on_exit()

    def close(self) -> None:
        """Disarm."""
        if self._armed:
            self._armed = False
            self._disarm(self)


class PollingExitWatcher:
    """Asks the probe about all watched processes in an interval; without watches it does not wake.

    `better` is the source that polling replaces. It gets the watches back when it accepts them.
    """

    def __init__(
        self, probe: Probe, collect: Collect, interval_s: float = POLL_INTERVAL_S, *, better: Better | None = None
    ) -> None:
        self._better = better
        self._since_tried_s = 0.0
        self._probe = probe
        self._collect = collect
        self._interval_s = interval_s
        self._watches: set[ArmedWatch] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def watching(self) -> int:
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
        """Return what a user should know."""
        return f"process exits are noticed by polling, every {self._interval_s:g} s" if self._watches else None

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._interval_s, self._tick, loop)
        for watch in self._watches:
            if self._probe.sample(watch.identity) is Liveness.DEAD:
                loop.call_soon(watch.fire)
        self._since_tried_s += self._interval_s
        if self._better is not None and self._since_tried_s >= TRY_AGAIN_EVERY_S:
            self._since_tried_s = 0.0
            self._give_back(self._better)

    def _give_back(self, better: Better) -> None:
        """Let the better source serve the watches that it accepts again."""
        for watch in tuple(self._watches):
            try:
                better(watch)
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
