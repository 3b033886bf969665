"""When a server that ended by itself is started again, and when that is given up."""

from ..values import frozen

STABLE_S = 60.0
"""A server that was ready for this long has proven itself: its earlier exits are forgotten."""

EXITS_ALLOWED = 5
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
JITTER = 0.2


@frozen
class At:
    """Start it again after this pause, seconds."""

    pause_s: float


@frozen
class GiveUp:
    """It flaps. `reason` is for people."""

    reason: str


def exits_in_a_row(before: int, ready_for_s: float) -> int:
    """How many exits there have been without a stable time between them, this one included."""
    return 1 if ready_for_s >= STABLE_S else before + 1


def next_start(exits: int, chance: float) -> At | GiveUp:
    """What follows on an exit that nobody asked for. `chance` is random, from 0 to 1: it spreads the pauses."""
    if exits >= EXITS_ALLOWED:
        return GiveUp(f"it ended {exits} times without being ready for {STABLE_S:g} s in between")
    if exits <= 1:
        return At(0.0)
    pause = min(FIRST_PAUSE_S * 2.0 ** (exits - 2), LONGEST_PAUSE_S)
    return At(pause * (1 + JITTER * chance))
