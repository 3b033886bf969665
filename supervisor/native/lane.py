"""Lanes of blocking work. Each lane has threads of its own, so slow work in one lane delays no other lane."""

from collections.abc import Callable
from contextvars import ContextVar
from enum import StrEnum
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Lane(StrEnum):
    """The purpose of a piece of work. `native.shared.lanes` gives each its own threads."""

    QUESTIONS = "questions"
    STARTING = "starting"
    ENDING = "ending"
    JUDGING = "judging"
    DISCOVERY = "discovery"
    FILES = "files"


class Lanes(Protocol):
    """Runs blocking work in threads: in the lane of the current task (`native.lane.take`), unless a lane is given."""

    async def look(self, read: Callable[..., T], *arguments: Any, lane: Lane | None = None) -> T:
        """Call a function that only reads. The call is repeated without a process that hangs in the kernel.

        Raises:
            SystemExhausted: the system has no thread.
            TimeoutError: the call hangs, but at no process that could be left out.
        """

    async def do(self, work: Callable[..., T], *arguments: Any, lane: Lane | None = None) -> T:
        """Call a function that must run once only.

        Raises:
            SystemExhausted: the system has no thread; the function was not called.
        """

    async def prepare(self) -> None:
        """Make a thread that stays, for the time when the system has no other.

        Raises:
            SystemExhausted: the system has no thread.
        """

    async def close(self) -> None:
        """Wait for a bounded time for running work, because it may be writing."""


_current: ContextVar[Lane] = ContextVar("lane", default=Lane.QUESTIONS)


def take(lane: Lane) -> None:
    """Use this lane for all further blocking work of the current task, and of the tasks that it starts."""
    _current.set(lane)


def current() -> Lane:
    """Return the lane of the current task."""
    return _current.get()
