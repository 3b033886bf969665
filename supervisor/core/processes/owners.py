"""Whom a server that we did not start belongs to: the process that its environment names, under strict rules."""

from dataclasses import field

from ...values import frozen
from ..model import ProcessIdentity


@frozen
class NoOwner:
    """Its environment names none."""


@frozen
class LivingOwner:
    """The process that it was started for. `name` is what it runs, for people."""

    process: ProcessIdentity
    name: str | None = field(default=None, compare=False)


@frozen
class DeadOwner:
    """Proven: nobody has that pid, or somebody who is younger than the server."""

    pid: int


@frozen
class UnknownOwner:
    """It may have one that lives. `reason` is for people."""

    reason: str


OwnerSeen = NoOwner | LivingOwner | DeadOwner | UnknownOwner


@frozen
class Named:
    """What is known of the process behind the pid that a server's environment names.

    Times are those of `Probe.born`: wall time may be set between one answer and the next. `same_namespace`: whether
    server and daemon mean the same process by a pid; None: cannot tell. `observed` is who has the pid now, None:
    nobody. `readable`: whether the system told.
    """

    text: str
    same_namespace: bool | None
    observed: ProcessIdentity | None
    readable: bool
    born: float | None
    server_born: float | None


PID_DIGITS = 10


def is_pid(text: str) -> bool:
    """Whether this can be a pid as servers are handed it."""
    # The length first: Python refuses to read very long numbers.
    return text.isascii() and text.isdecimal() and len(text) <= PID_DIGITS and 0 < int(text) < 2**32


def judge_owner(named: Named | None) -> OwnerSeen:  # noqa: PLR0911 (one for each case)
    """The owner. Only what is proven counts as dead; every doubt is an owner that may live."""
    if named is None:
        return NoOwner()
    if not is_pid(named.text):
        return UnknownOwner("its environment names an owner that is no pid")
    pid = int(named.text)
    if named.same_namespace is not True:
        return UnknownOwner(f"its owner {pid} may be a pid of another namespace")
    if not named.readable:
        return UnknownOwner(f"the system does not tell about its owner, pid {pid}")
    if named.observed is None:
        return DeadOwner(pid)
    if named.born is None or named.server_born is None:
        return UnknownOwner(f"the system does not tell how old its owner, pid {pid}, is")
    if named.born > named.server_born:
        return DeadOwner(pid)
    return LivingOwner(named.observed)
