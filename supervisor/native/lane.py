"""On whose behalf a thread works: what is slow in one lane delays none of the others."""

from contextvars import ContextVar
from enum import StrEnum


class Lane(StrEnum):
    """Each has threads of its own (`native.lanes`)."""

    QUESTIONS = "questions"
    STARTING = "starting"
    ENDING = "ending"
    JUDGING = "judging"
    DISCOVERY = "discovery"
    FILES = "files"


_current: ContextVar[Lane] = ContextVar("lane", default=Lane.QUESTIONS)


def take(lane: Lane) -> None:
    """Have all that the current task asks from here on asked in this lane. Tasks that it begins inherit that."""
    _current.set(lane)


def current() -> Lane:
    """The lane of the current task."""
    return _current.get()
