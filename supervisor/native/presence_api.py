"""The contract of the daemon's presence: see `presence.py`."""

from collections.abc import Callable
from typing import Protocol

ANSWER_LIMIT = 64 * 1024
"""Bytes."""


class HeldError(Exception):
    """Another process of this user has the name."""


class Presence(Protocol):
    """The name, held."""

    def listen(self, answer: Callable[[], bytes]) -> None:
        """Answer those who ask, on the running event loop. Where the system carries no answer, `answer` is called."""
        ...

    def close(self) -> None:
        """Give the name up. Harmless when repeated."""
        ...
