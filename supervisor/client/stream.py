"""Notifications that follow the answer to a call: events, and the lines of a log that is followed."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from ..wire.jsonrpc import Notification
from .timeouts import FOREVER

Notice = Notification
"""A notification whose method is `event`, `log` or `resync`."""


class Stream:
    """An answer, and the notifications that follow it until the connection ends.

    A `resync` is passed on like the others; it means that the receiver's knowledge is out of date. The end of the
    connection is an error, because notifications that were on their way are lost.
    """

    def __init__(
        self,
        answer: Any,
        kept: deque[Notice],
        *,
        wait: Callable[[float], None],
        catch_up: Callable[[], object],
    ) -> None:
        """Make a stream of one call.

        Args:
            answer: the result of the call.
            kept: where the connection puts the notifications for this stream.
            wait: waits for one more message, at most until a monotonic time.
            catch_up: waits for all messages that the daemon has sent so far.
        """
        self.answer = answer
        """The result, as JSON."""
        self._kept = kept
        self._wait = wait
        self._catch_up = catch_up

    def listen(self, timeout_s: float | None = None) -> Iterator[Notice]:
        """Wait for notifications, and yield each. With `timeout_s` None there is no limit.

        Raises:
            ResponseTimeout: the time is over.
            DisconnectedAfterAccept: the connection has ended.
        """
        until = FOREVER if timeout_s is None else time.monotonic() + timeout_s
        while True:
            while not self._kept:
                self._wait(until)
            yield self._kept.popleft()

    def until_now(self) -> list[Notice]:
        """Return the notifications that the daemon has sent so far.

        The daemon answers in order, so after its answer to a `ping` no earlier notification is still on its way.

        Raises:
            AcceptTimeout, DisconnectedBeforeAccept: the daemon did not answer.
        """
        self._catch_up()
        notices = [*self._kept]
        self._kept.clear()
        return notices
