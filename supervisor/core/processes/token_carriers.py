"""Which of the processes that carry a launch token is the server: a token is inherited, and proves nothing. Pure."""

from collections.abc import Callable, Collection, Sequence

from ...values import frozen
from ..model import ProcessIdentity, ProcessRow
from .godot import is_editor

Fits = Callable[[Sequence[str]], bool]
"""Whether a command line is that of the server."""


@frozen
class Carrier:
    """A living process with a launch token of this home in its environment, and its command line."""

    row: ProcessRow
    token: str
    command: tuple[str, ...] = ()

    @property
    def identity(self) -> ProcessIdentity:
        """The process."""
        return self.row.identity


def first_of(carriers: Collection[Carrier], fits: Fits) -> ProcessIdentity | None:
    """Return the process that a daemon has spawned for this launch. None: there is none, or more than one may be it.

    The daemon's own process leads a session, has the server's command line, and no other carrier has started it. What
    an editor starts that a server has launched carries the token, too, but below that editor.
    """
    pids = {carrier.identity.pid for carrier in carriers}
    found = [
        carrier.identity
        for carrier in carriers
        if carrier.row.session == carrier.identity.pid and carrier.row.parent not in pids and fits(carrier.command)
    ]
    return found[0] if len(found) == 1 else None


def below(carriers: Collection[Carrier], root: ProcessIdentity) -> tuple[ProcessIdentity, ...]:
    """Return a process and those that it has started, nearest first, as far as they carry the token.

    A Godot editor, and what that runs, is left out. So is what cannot be read: it may be an editor.
    """
    programs = [carrier for carrier in carriers if carrier.command and not is_editor(carrier.command)]
    found: list[ProcessIdentity] = []
    fresh = [root]
    while fresh:
        found += fresh
        pids = {identity.pid for identity in fresh}
        fresh = [each.identity for each in programs if each.row.parent in pids and each.identity not in found]
    return tuple(found)


def ends_with(command: Sequence[str], words: Sequence[str]) -> bool:
    """Return whether a command line ends with these words. Its beginning may be an interpreter's."""
    return bool(words) and tuple(command[-len(words) :]) == tuple(words)
