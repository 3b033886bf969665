"""Lanes for blocking calls. Each lane has threads of its own, so slow calls in one lane delay no other lane."""

from collections.abc import Callable
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Lane(StrEnum):
    """The purpose of a blocking call. `native.shared.lanes` has the threads of each lane."""

    QUESTIONS = "questions"
    STARTING = "starting"
    ENDING = "ending"
    JUDGING = "judging"
    DISCOVERY = "discovery"
    FILES = "files"


class Lanes(Protocol):
    """Makes blocking calls in threads: in the lane of the current task (`take`), unless a lane is given."""

    async def look(self, read: Callable[..., T], *arguments: Any, lane: Lane | None = None) -> T:
        """Call a function that only reads, and return its result.

        If the call hangs at a process, another thread repeats the call without that process.

        Raises:
            SystemExhausted: the system has no thread.
            TimeoutError: the call hangs, but at no process that could be left out.
        """

    async def do(self, work: Callable[..., T], *arguments: Any, lane: Lane | None = None) -> T:
        """Call a function that must run once only, and return its result.

        Raises:
            SystemExhausted: the system has no thread; the function was not called.
        """

    async def prepare(self) -> None:
        """Make a reserve thread that does not end. It works for all lanes while the system has no further thread.

        Raises:
            SystemExhausted: the system has no thread.
        """

    async def close(self) -> None:
        """Wait some seconds for running calls to end, because they may be writing."""


_current: ContextVar[Lane] = ContextVar("lane", default=Lane.QUESTIONS)


def take(lane: Lane) -> None:
    """Use this lane for all further blocking calls of the current task, and of the tasks that it starts."""
    _current.set(lane)


def current() -> Lane:
    """Return the lane of the current task."""
    return _current.get()
