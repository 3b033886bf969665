"""Events about tool calls, limited so that they do not push out the events that matter more."""

from typing import Any

from ....native.api import Clock
from ...state.events import Events
from .tracked import TrackedCall

LONG_S = 10.0
"""From this duration on, the end of a call is always an event."""

TOLD_MAX = 20
TOLD_EVERY_S = 60.0
"""At most `TOLD_MAX` calls in so many seconds have events about their begin or refusal."""


class CallEvents:
    """Publishes events about tool calls. `untold` in an event is the number of those that were left out before it."""

    def __init__(self, events: Events, clock: Clock) -> None:
        self._events = events
        self._clock = clock
        self._since = float("-inf")
        self._told = 0
        self._untold = 0

    def began(self, call: TrackedCall) -> bool:
        """Tell that a call that has passed a gate runs, unless too much was told. Returns whether it was told."""
        waited_s = round(self._clock.monotonic() - call.began, 3)
        return self._tell("call.began", call, waited_s=waited_s)

    def refused(self, call: TrackedCall, why: str) -> None:
        """Tell that a call was refused, unless too much was told."""
        self._tell("call.refused", call, why=why)

    def ended(self, call: TrackedCall, how: str) -> None:
        """Tell the end of a call whose begin was told, or that has run for long."""
        ran_s = round(self._clock.monotonic() - call.began, 3)
        if call.told or ran_s >= LONG_S:
            self._publish("call.ended", call, ran_s=ran_s, how=how)

    def _tell(self, event: str, call: TrackedCall, **fields: Any) -> bool:
        now = self._clock.monotonic()
        if now - self._since >= TOLD_EVERY_S:
            self._since, self._told = now, 0
        if self._told >= TOLD_MAX:
            self._untold += 1
            return False
        self._told += 1
        self._publish(event, call, **fields)
        return True

    def _publish(self, event: str, call: TrackedCall, **fields: Any) -> None:
        untold = {"untold": self._untold} if self._untold else {}
        self._untold = 0
        self._events.publish(
            event, server=call.server, client=call.maker.id_or_name, tool=call.tool, **fields, **untold
        )
