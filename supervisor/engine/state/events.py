"""What happened, in order: to the daemon's log, to whoever subscribed, and kept for those who come back."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...native.api import Clock
from ...values import frozen

KEPT = 1000
"""How many events a subscriber may have missed without having to begin anew."""


class Log(Protocol):
    """A structured log, as the engine needs it."""

    def info(self, event: str, **fields: Any) -> Any:
        """Something happened."""
        ...

    def warning(self, event: str, **fields: Any) -> Any:
        """Something a user may want to know."""
        ...

    def error(self, event: str, **fields: Any) -> Any:
        """Something went wrong. `exc_info` adds the traceback."""
        ...


@frozen
class Event:
    """One thing that happened. `seq` rises by one within a life of the daemon; `at` is wall time, `mono` monotonic."""

    seq: int
    at: float
    mono: float
    level: str
    name: str
    details: Mapping[str, Any]


Listener = Callable[[Event], None]


class Events:
    """The one place where events come from."""

    def __init__(self, log: Log, clock: Clock, kept: int = KEPT) -> None:
        self._log = log
        self._clock = clock
        self._kept: deque[Event] = deque(maxlen=kept)
        self._listeners: dict[int, Listener] = {}
        self._subscriptions = 0
        self.last = 0
        """The number of the newest event; 0: nothing has happened yet."""

    def publish(self, event: str, **fields: Any) -> None:
        """Tell that something happened. Fields are JSON-ready and hold no secret."""
        told = self._note("info", event, fields)
        self._log.info(event, seq=told.seq, mono=told.mono, **fields)

    def warn(self, event: str, **fields: Any) -> None:
        """Tell that something is not as it should be."""
        told = self._note("warning", event, fields)
        self._log.warning(event, seq=told.seq, mono=told.mono, **fields)

    def failed(self, event: str, error: BaseException, **fields: Any) -> None:
        """Tell that an operation of the daemon's own failed. Its traceback goes to the log only."""
        told = self._note("error", event, {**fields, "error": f"{type(error).__name__}: {error}"})
        self._log.error(event, seq=told.seq, mono=told.mono, exc_info=error, **fields)

    def after(self, seq: int) -> list[Event] | None:
        """What happened after an event of this life; 0: all that is kept. None: some of it is not kept any more."""
        kept = list(self._kept)
        if seq == 0:
            return kept
        oldest = kept[0].seq if kept else self.last + 1
        if not oldest - 1 <= seq <= self.last:
            return None
        return kept[seq + 1 - oldest :]

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event from now on, until the answer is called. It must not raise or publish."""
        self._subscriptions += 1
        number = self._subscriptions
        self._listeners[number] = listener
        return lambda: self._forget(number)

    def _forget(self, number: int) -> None:
        self._listeners.pop(number, None)

    def _note(self, level: str, name: str, fields: Mapping[str, Any]) -> Event:
        self.last += 1
        clock = self._clock
        event = Event(self.last, round(clock.wall(), 3), round(clock.monotonic(), 4), level, name, fields)
        self._kept.append(event)
        # A listener that closes its connection takes others of that connection with it.
        for listener in list(self._listeners.values()):
            listener(event)
        return event
