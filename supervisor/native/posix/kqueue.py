"""Exit watches by kqueue, for macOS and the BSDs. `select` has kqueue only there, so tests hand in a substitute."""

import asyncio
from collections.abc import Callable
from typing import Any

from ...core.model import Liveness
from ..api import Probe
from ..shared.exit_events import EventExitWatcher
from ..shared.exit_watch import ArmedWatch, Collect

SETTLE_EVERY_S, SETTLE_CHECKS = 0.01, 100
"""NOTE_EXIT may arrive before the process is a zombie that can be waited for. Until it is one, the probe is asked
in this interval, at most so many times."""


class KqueueWatcher(EventExitWatcher):
    """Uses one kernel queue for all watched processes. Polling serves a process that the queue cannot watch."""

    def __init__(self, probe: Probe, collect: Collect, system: Any, is_pid: Callable[[int], bool]) -> None:
        """Use the module `select` as `system`. `is_pid` returns whether a process can have a number."""
        super().__init__(probe, collect)
        self._system = system
        self._is_pid = is_pid
        self._queue: Any = None
        self._watches: dict[int, list[ArmedWatch]] = {}

    def _take_over(self, watch: ArmedWatch) -> None:
        loop = asyncio.get_running_loop()
        gone = not self._register(watch.identity.pid, loop)
        watch.set_disarm(self._forget)
        self._watches.setdefault(watch.identity.pid, []).append(watch)
        if gone or self._probe.sample(watch.identity) is Liveness.DEAD:
            # ESRCH, like NOTE_EXIT, may arrive before the process can be waited for.
            loop.call_soon(self._settle, watch, loop, SETTLE_CHECKS)

    def _register(self, pid: int, loop: asyncio.AbstractEventLoop) -> bool:
        """Register for the exit of the process with this pid; return False if there is no such process."""
        if not self._is_pid(pid):
            return False
        if self._queue is None:
            queue = self._system.kqueue()
            try:
                loop.add_reader(queue.fileno(), self._read, loop)
            except OSError:
                # If the queue were kept, it would accept watches and report nothing.
                queue.close()
                raise
            self._queue = queue
        flags = self._system.KQ_EV_ADD | self._system.KQ_EV_ONESHOT
        event = self._system.kevent(
            pid, filter=self._system.KQ_FILTER_PROC, flags=flags, fflags=self._system.KQ_NOTE_EXIT
        )
        try:
            self._queue.control([event], 0, 0)
        except ProcessLookupError:
            return False
        return True

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        for event in self._queue.control(None, 64, 0):
            for watch in tuple(self._watches.get(event.ident, ())):
                self._settle(watch, loop, SETTLE_CHECKS)

    def _settle(self, watch: ArmedWatch, loop: asyncio.AbstractEventLoop, checks: int) -> None:
        if checks == 0 or self._probe.sample(watch.identity) is Liveness.DEAD:
            watch.fire()
        elif watch in self._watches.get(watch.identity.pid, ()):
            loop.call_later(SETTLE_EVERY_S, self._settle, watch, loop, checks - 1)

    def _forget(self, watch: ArmedWatch) -> None:
        # The kernel drops a registration with its process. The queue is closed with the last watch.
        watches = self._watches[watch.identity.pid]
        watches.remove(watch)
        if not watches:
            del self._watches[watch.identity.pid]
        if not self._watches:
            queue, self._queue = self._queue, None
            asyncio.get_running_loop().remove_reader(queue.fileno())
            queue.close()
