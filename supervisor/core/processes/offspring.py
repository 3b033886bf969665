"""Whether a process that a launch left behind is the server that was started. Pure.

Programs that put themselves into the background, and launchers that end once their server is up, leave the server
without the process that we started. The launch token alone proves nothing: everything that a server starts inherits it.
"""

from collections.abc import Collection, Mapping, Sequence

from ...values import frozen
from ..model import ProcessIdentity, ProcessRow
from .proof import Recognised, Unrecognised, family, parents


@frozen
class Offspring:
    """What is known of a process that carries the token of a launch whose first process has ended.

    `seen_below`: it was a descendant of that process, or in its session, while that lived. `left_over`: it still is in
    that session. `command_fits`: its command line is of the kind. `same_user`: None where the system does not tell.
    `guarded`: an editor or the daemon runs it, or what may be an editor.
    """

    identity: ProcessIdentity
    same_user: bool | None
    seen_below: bool
    left_over: bool
    command_fits: bool
    guarded: bool


def ours(seen: Offspring) -> Recognised | Unrecognised:
    """Whether a process that listens on the ports of this very launch is its server."""
    pid = seen.identity.pid
    if seen.same_user is not True:
        return Unrecognised(f"pid {pid} belongs to another user, or the system does not tell whose it is")
    if seen.guarded:
        return Unrecognised(f"pid {pid} is, or is run by, an editor, the daemon, or what may be an editor")
    if seen.seen_below:
        return Recognised("it came from the process that was started, and listens on this launch's ports")
    if seen.left_over:
        return Recognised("it is in the session of the process that was started, and listens on this launch's ports")
    if seen.command_fits:
        return Recognised("it carries this launch's token, runs the kind's program, and listens on this launch's ports")
    return Unrecognised(f"pid {pid} carries this launch's token, but its command line is not that of the kind")


def head(
    table: Sequence[ProcessRow],
    listening: Collection[ProcessIdentity],
    heads: Mapping[ProcessIdentity, bool],
) -> ProcessIdentity | None:
    """The one process that all that listen come from; None: there is none.

    `heads`: the processes that may be it without listening themselves, because they run the kind's program.
    """
    for candidate in sorted(listening, key=lambda identity: identity.pid):
        if set(listening) <= set(family(table, [candidate])):
            top = candidate
            for above in parents(table, candidate):
                if not heads.get(above):
                    break
                top = above
            return top
    return None
