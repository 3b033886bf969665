"""The contract of the daemon's presence; `presence.py` describes it."""

from collections.abc import Callable
from typing import Protocol

ANSWER_LIMIT = 64 * 1024
"""The longest answer that a client reads, in bytes."""


class HeldError(Exception):
    """Another process of this user holds the name."""


class Presence(Protocol):
    """The name of a home, held by this process until `close` or until the process ends."""

    def listen(self, answer: Callable[[], bytes]) -> None:
        """Answer the questions of clients, on the running event loop, with what `answer` returns.

        On Windows a question calls `answer` too, because the call checks the daemon's files, but no answer can be sent.
        """

    def close(self) -> None:
        """Release the name. Repeated calls are harmless."""
