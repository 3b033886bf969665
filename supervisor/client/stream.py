"""What a daemon says after its answer: events, and the lines of a log that is followed."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .timeouts import FOREVER

Told = tuple[str, Mapping[str, Any]]
"""A notification: `event`, `log` or `resync`, and its params."""


class Stream:
    """An answer, and what follows it for as long as its connection lasts.

    `resync` is told as it comes: what the receiver knows is out of date. The end of the connection is an error, because
    what was on its way then is lost.
    """

    def __init__(
        self,
        answer: Any,
        kept: deque[Told],
        *,
        wait: Callable[[float], None],
        catch_up: Callable[[], object],
    ) -> None:
        """`wait` waits for one more message, at most until a monotonic time; `catch_up` for all that is on its way."""
        self.answer = answer
        """The result, as JSON."""
        self._kept = kept
        self._wait = wait
        self._catch_up = catch_up

    def listen(self, timeout_s: float | None = None) -> Iterator[Told]:
        """Every notification, waited for; None: for ever.

        Raises:
            ResponseTimeout: the time is up.
            DisconnectedAfterAccept: the connection has ended.
        """
        until = FOREVER if timeout_s is None else time.monotonic() + timeout_s
        while True:
            while not self._kept:
                self._wait(until)
            yield self._kept.popleft()

    def until_now(self) -> list[Told]:
        """What the daemon had told when it was asked. It answers in order, so nothing older is still on its way.

        Raises:
            AcceptTimeout, DisconnectedBeforeAccept: it did not answer.
        """
        self._catch_up()
        told = [*self._kept]
        self._kept.clear()
        return told
