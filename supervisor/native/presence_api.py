"""The contract of the daemon's presence; `presence.py` describes it."""

from collections.abc import Callable
from typing import Protocol

ANSWER_LIMIT = 64 * 1024
"""Bytes."""


class HeldError(Exception):
    """Another process of this user holds the name."""


class Presence(Protocol):
    """A held name."""

    def listen(self, answer: Callable[[], bytes]) -> None:
        """Answer questions, on the running event loop. Where the system carries no answer, only `answer` is called."""

    def close(self) -> None:
        """Release the name. Repeated calls are harmless."""
