"""Judges whether a process that a launch left behind is the server that was started. Pure.

A program that puts itself into the background, or a launcher that ends once its server is up, leaves the server without
the process that the daemon started. The launch token alone proves nothing, because everything that a server starts
inherits it.
"""

from collections.abc import Collection, Mapping, Sequence

from ...values import frozen
from ..model import ProcessIdentity, ProcessRow
from .proof import Recognised, Unrecognised
from .trees import ancestors, family


@frozen
class LeftoverProcess:
    """The facts about a process that carries the token of a launch whose first process has ended.

    `seen_below`: it was a descendant of that process, or in its session, while that process lived. `in_session`: it is
    still in that session. `command_fits`: its command line is that of the kind. `same_user` is None where the system
    does not tell. `guarded`: it is, or runs below, the daemon, an editor, or a process that may be an editor.
    """

    identity: ProcessIdentity
    same_user: bool | None
    seen_below: bool
    in_session: bool
    command_fits: bool
    guarded: bool


def judge_leftover(seen: LeftoverProcess) -> Recognised | Unrecognised:
    """Return whether a process that listens on the ports of this launch is its server."""
    pid = seen.identity.pid
    if seen.same_user is not True:
        return Unrecognised(f"pid {pid} belongs to another user, or the system does not tell whose it is")
    if seen.guarded:
        return Unrecognised(f"pid {pid} is, or is run by, the daemon, an editor, or a process that may be an editor")
    if seen.seen_below:
        return Recognised("it came from the process that was started, and listens on this launch's ports")
    if seen.in_session:
        return Recognised("it is in the session of the process that was started, and listens on this launch's ports")
    if seen.command_fits:
        return Recognised("it carries this launch's token, runs the kind's program, and listens on this launch's ports")
    return Unrecognised(f"pid {pid} carries this launch's token, but its command line is not that of the kind")


def common_ancestor(
    table: Sequence[ProcessRow],
    listening: Collection[ProcessIdentity],
    runs_kind: Mapping[ProcessIdentity, bool],
) -> ProcessIdentity | None:
    """Return the listening process from which all others descend, or the topmost one above it; None if there is none.

    `runs_kind` tells of each process whether it runs the kind's program. An ancestor that does is returned even if it
    does not listen itself.
    """
    for candidate in sorted(listening, key=lambda identity: identity.pid):
        if set(listening) <= set(family(table, [candidate])):
            top = candidate
            for above in ancestors(table, candidate):
                if not runs_kind.get(above):
                    break
                top = above
            return top
    return None
