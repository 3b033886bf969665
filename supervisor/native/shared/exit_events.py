"""Exit watchers that the system notifies. Polling serves each watch that the system refuses."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from ...core.model import Liveness, ProcessIdentity
from ..api import Probe, Watch
from .exit_watch import ArmedWatch, Collect, PollingExitWatcher


class EventExitWatcher(ABC):
    """The common part of these watchers; a platform adds how the system serves a watch."""

    def __init__(self, probe: Probe, collect: Collect) -> None:
        self._probe = probe
        self._collect = collect
        self._polling = PollingExitWatcher(probe, collect, take_over=self._take_over)
        self._refusal: OSError | None = None

    @abstractmethod
    def _take_over(self, watch: ArmedWatch) -> None:
        """Let the system serve a watch.

        Raises:
            ProcessLookupError: the system has no process with this pid.
            OSError: the system refused.
        """

    def watch(self, identity: ProcessIdentity, on_exit: Callable[[], None]) -> Watch:
        """Arm a watch, by polling if the system refuses."""
        watch = ArmedWatch(identity, on_exit, collect=self._collect, disarm=_disarm_nothing)
        try:
            self._take_over(watch)
        except OSError as refusal:
            if not isinstance(refusal, ProcessLookupError):
                self._refusal = refusal
            return self._polling.watch(identity, on_exit)
        return watch

    def note(self) -> str | None:
        """Return that processes are polled, and the system's last refusal; None if there is no such process."""
        polling = self._polling.note()
        return f"{polling}: {self._refusal}" if polling and self._refusal else None


class ExitEvent(ABC):
    """The system's notification of one process's end. It serves all watches of the process."""

    def __init__(self) -> None:
        self.watches: list[ArmedWatch] = []

    def fire(self) -> None:
        """Report the end to every watch."""
        for watch in tuple(self.watches):
            watch.fire()

    @abstractmethod
    def close(self) -> None:
        """Free what the system holds for the notification."""


class PerProcessExitWatcher(EventExitWatcher):
    """A watcher that opens one `ExitEvent` for each watched process, and closes it with the last watch."""

    def __init__(self, probe: Probe, collect: Collect) -> None:
        super().__init__(probe, collect)
        self._events: dict[ProcessIdentity, ExitEvent] = {}

    @abstractmethod
    def _open(self, identity: ProcessIdentity, loop: asyncio.AbstractEventLoop) -> ExitEvent:
        """Open the notification for a process. Its `fire` runs on the loop at the end of the process.

        Raises:
            ProcessLookupError: the system has no process with this pid.
            OSError: the system refused.
        """

    def _take_over(self, watch: ArmedWatch) -> None:
        loop = asyncio.get_running_loop()
        identity = watch.identity
        event = self._events.get(identity)
        if event is None:
            event = self._events[identity] = self._open(identity, loop)

        def disarm(watch: ArmedWatch) -> None:
            event.watches.remove(watch)
            if not event.watches:
                del self._events[identity]
                event.close()

        watch.set_disarm(disarm)
        event.watches.append(watch)
        # The process may have ended, and its pid been given to another one, before the event was opened. Only a later
        # end is reported by the system.
        if self._probe.sample(identity) is Liveness.DEAD:
            loop.call_soon(watch.fire)


def _disarm_nothing(watch: ArmedWatch) -> None:
    """Do nothing, because nothing serves the watch yet."""
