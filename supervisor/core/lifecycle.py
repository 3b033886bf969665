"""The states of a server and the moves between them, as a table. An illegal move is a defect of the daemon."""

from collections.abc import Mapping

from .model import ServerState

S = ServerState

TRANSITIONS: Mapping[ServerState, frozenset[ServerState]] = {
    S.STARTING: frozenset({S.READY, S.BACKOFF, S.FAILED, S.STOPPING}),
    S.READY: frozenset({S.UNHEALTHY, S.BACKOFF, S.STOPPED, S.STOPPING}),
    S.UNHEALTHY: frozenset({S.READY, S.BACKOFF, S.STOPPED, S.STOPPING}),
    S.BACKOFF: frozenset({S.STARTING, S.FAILED, S.STOPPED, S.STOPPING}),
    # READY: the daemon has aborted a stop that no user asked for. The reaper judges the server again.
    S.STOPPING: frozenset({S.STOPPED, S.FAILED, S.READY}),
    S.STOPPED: frozenset({S.STARTING}),
    # A server has also failed if its stop has: STOPPING tries again; READY drops a stop that no user asked for.
    S.FAILED: frozenset({S.STARTING, S.STOPPING, S.READY}),
}

RUNNING = frozenset({S.STARTING, S.READY, S.UNHEALTHY, S.STOPPING})
"""States in which a process of the server may be alive."""

SERVING = frozenset({S.READY, S.UNHEALTHY})
"""States in which the server has been ready."""


class IllegalMoveError(Exception):
    """The table has no such move."""


def move(state: ServerState, to: ServerState) -> ServerState:
    """Return the new state.

    Raises:
        IllegalMoveError: the table has no such move.
    """
    if to not in TRANSITIONS[state]:
        raise IllegalMoveError(f"a server cannot go from {state} to {to}")
    return to
