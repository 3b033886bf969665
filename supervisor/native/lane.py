"""On whose behalf a thread works: what is slow in one lane delays none of the others."""

from collections.abc import Callable
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Lane(StrEnum):
    """Each has threads of its own (`native.lanes`)."""

    QUESTIONS = "questions"
    STARTING = "starting"
    ENDING = "ending"
    JUDGING = "judging"
    DISCOVERY = "discovery"
    FILES = "files"


class Lanes(Protocol):
    """Does what blocks, in threads, in the lane of the current task (`native.lane.take`) unless one is named."""

    async def look(self, read: Callable[..., T], *arguments: Any, lane: Lane | None = None) -> T:
        """Call what only reads. It may be called again: a process that hangs in the kernel is passed over then.

        Raises:
            SystemExhausted: the system has no thread.
            TimeoutError: it hangs, and not at a process that could be passed over.
        """
        ...

    async def do(self, work: Callable[..., T], *arguments: Any, lane: Lane | None = None) -> T:
        """Call what is to be done once.

        Raises:
            SystemExhausted: the system has no thread; it was not done.
        """
        ...

    async def prepare(self) -> None:
        """Make a thread that stays, for when the system has no other any more.

        Raises:
            SystemExhausted: the system has no thread.
        """
        ...

    async def close(self) -> None:
        """Let what is under way end, for a bounded time: it may be writing."""


_current: ContextVar[Lane] = ContextVar("lane", default=Lane.QUESTIONS)


def take(lane: Lane) -> None:
    """Have all that the current task asks from here on asked in this lane. Tasks that it begins inherit that."""
    _current.set(lane)


def current() -> Lane:
    """The lane of the current task."""
    return _current.get()
