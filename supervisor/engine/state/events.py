"""Records events in order: in the daemon's log, for subscribers, and for subscribers that come back."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from ...native.api import Clock
from ...values import frozen

KEPT = 1000
"""How many events a subscriber may miss without having to start over."""


class Log(Protocol):
    """A structured log, as the engine needs it."""

    def info(self, event: str, **fields: Any) -> Any:
        """Log an event."""
        ...

    def warning(self, event: str, **fields: Any) -> Any:
        """Log an event that a user may want to know."""
        ...

    def error(self, event: str, **fields: Any) -> Any:
        """Log a failure. `exc_info` adds the traceback."""
        ...


@frozen
class Event:
    """One event.

    `seq` rises by one during the life of the daemon; `at` is wall time, `mono` monotonic time, seconds.
    """

    seq: int
    at: float
    mono: float
    level: str
    name: str
    details: Mapping[str, Any]


Subscriber = Callable[[Event], None]


class Events:
    """The only source of events."""

    def __init__(self, log: Log, clock: Clock, kept: int = KEPT) -> None:
        self._log = log
        self._clock = clock
        self._kept: deque[Event] = deque(maxlen=kept)
        self._subscribers: dict[int, Subscriber] = {}
        self._subscriptions = 0
        self.last = 0
        """The number of the newest event; 0 if there was none yet."""

    def publish(self, event: str, **fields: Any) -> None:
        """Publish an event. Fields are JSON-ready and hold no secret."""
        published = self._record("info", event, fields)
        self._log.info(event, seq=published.seq, mono=published.mono, **fields)

    def warn(self, event: str, **fields: Any) -> None:
        """Publish an event that is a warning."""
        published = self._record("warning", event, fields)
        self._log.warning(event, seq=published.seq, mono=published.mono, **fields)

    def report_failure(self, event: str, error: BaseException, **fields: Any) -> None:
        """Publish the failure of an operation of the daemon. Its traceback goes to the log only."""
        published = self._record("error", event, {**fields, "error": f"{type(error).__name__}: {error}"})
        self._log.error(event, seq=published.seq, mono=published.mono, exc_info=error, **fields)

    def after(self, seq: int) -> list[Event] | None:
        """Return the events after the one of this number. 0 stands for all that are kept.

        Returns None if the number is unknown, or if an event after it is no longer kept.
        """
        kept = list(self._kept)
        if seq == 0:
            return kept
        oldest = kept[0].seq if kept else self.last + 1
        if not oldest - 1 <= seq <= self.last:
            return None
        return kept[seq + 1 - oldest :]

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` with every further event until the returned function is called.

        It must not raise or publish.
        """
        self._subscriptions += 1
        number = self._subscriptions
        self._subscribers[number] = subscriber
        return lambda: self._unsubscribe(number)

    def _unsubscribe(self, number: int) -> None:
        self._subscribers.pop(number, None)

    def _record(self, level: str, name: str, fields: Mapping[str, Any]) -> Event:
        self.last += 1
        clock = self._clock
        event = Event(self.last, round(clock.wall(), 3), round(clock.monotonic(), 4), level, name, fields)
        self._kept.append(event)
        # Iterate over a copy: a subscriber that closes its connection removes other subscribers of that connection.
        for subscriber in list(self._subscribers.values()):
            subscriber(event)
        return event
