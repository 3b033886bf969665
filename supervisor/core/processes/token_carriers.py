"""Finds the server among the processes that carry a launch token. A token is inherited, so it proves nothing. Pure."""

from collections.abc import Callable, Collection, Sequence

from ...values import frozen
from ..model import ProcessIdentity, ProcessRow
from .godot import is_editor

Fits = Callable[[Sequence[str]], bool]
"""Returns whether a command line is that of the server."""


@frozen
class TokenCarrier:
    """A living process with a launch token of this home in its environment, and its command line."""

    row: ProcessRow
    token: str
    command: tuple[str, ...] = ()

    @property
    def identity(self) -> ProcessIdentity:
        """The identity of the process."""
        return self.row.identity


def launched_process(carriers: Collection[TokenCarrier], fits: Fits) -> ProcessIdentity | None:
    """Return the process that a daemon spawned for this launch; None if there is none, or more than one candidate.

    The daemon's own process leads a session, has the server's command line, and no other carrier has started it. An
    editor that a server has launched passes the token on, too, but to processes below that editor.
    """
    pids = {carrier.identity.pid for carrier in carriers}
    found = [
        carrier.identity
        for carrier in carriers
        if carrier.row.session == carrier.identity.pid and carrier.row.parent not in pids and fits(carrier.command)
    ]
    return found[0] if len(found) == 1 else None


def with_descendants(carriers: Collection[TokenCarrier], root: ProcessIdentity) -> tuple[ProcessIdentity, ...]:
    """Return a process and the processes that it has started, nearest first, as far as they carry the token.

    A Godot editor and its descendants are left out. So are processes whose command line cannot be read, because they
    may be editors.
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
    """Return whether a command line ends with these words. It may begin with an interpreter."""
    return bool(words) and tuple(command[-len(words) :]) == tuple(words)
