"""Decides when to restart a server that ended by itself, and when to give up. Pure."""

from ..values import frozen

STABLE_S = 60.0
"""A server that was ready for this long counts as stable: its earlier exits are forgotten."""

EXITS_TO_GIVE_UP = 5
"""The number of exits in a row at which a server is given up."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0
"""The pause before the start that follows the second exit. Each further exit doubles it, up to the longest."""

JITTER = 0.2
"""The part of a pause that chance may add, so that servers that ended together do not start together."""


@frozen
class RestartAfter:
    """Restart the server after this pause, seconds."""

    pause_s: float


@frozen
class GiveUp:
    """The server keeps failing, so do not restart it. `reason` is for people."""

    reason: str


def exits_in_a_row(before: int, ready_for_s: float) -> int:
    """Return the number of exits without a stable time between them, including this one."""
    return 1 if ready_for_s >= STABLE_S else before + 1


def next_start(exits: int, chance: float) -> RestartAfter | GiveUp:
    """Return how to react to an unrequested exit. `chance` is random, from 0 to 1: it spreads the pauses."""
    if exits >= EXITS_TO_GIVE_UP:
        return GiveUp(f"it ended {exits} times without being ready for {STABLE_S:g} s in between")
    if exits <= 1:
        return RestartAfter(0.0)
    pause = min(FIRST_PAUSE_S * 2.0 ** (exits - 2), LONGEST_PAUSE_S)
    return RestartAfter(pause * (1 + JITTER * chance))
