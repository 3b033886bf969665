"""Judges the owner of a foreign server: the process that the server's environment names. Pure."""

from dataclasses import field

from ...values import frozen
from ..model import ProcessIdentity


@frozen
class NoOwner:
    """The server's environment names no owner."""


@frozen
class LivingOwner:
    """The process for which the server was started. `name` is its program, for people."""

    process: ProcessIdentity
    name: str | None = field(default=None, compare=False)


@frozen
class DeadOwner:
    """The owner is proven dead: no process has its pid, or one that is younger than the server."""

    pid: int


@frozen
class UnknownOwner:
    """The server may have a living owner. `reason` is for people."""

    reason: str


ForeignOwner = NoOwner | LivingOwner | DeadOwner | UnknownOwner
"""What is known of the owner of a foreign server."""


@frozen
class OwnerCandidate:
    """The facts about the pid that a server's environment names.

    `text` is the pid as the environment has it. `same_namespace`: whether server and daemon mean the same process by a
    pid; None if unknown. `process_now` is the process that has the pid now, None if no process has it. `readable`:
    whether the system answered. `born` and `server_born` are answers of `Probe.creation_order`, because wall time may
    be set between two answers; None if unknown.
    """

    text: str
    same_namespace: bool | None
    process_now: ProcessIdentity | None
    readable: bool
    born: float | None
    server_born: float | None


PID_DIGITS = 10


def is_pid(text: str) -> bool:
    """Return whether a text can be a pid as servers receive it."""
    # Check the length first, because Python refuses to read very long numbers.
    return text.isascii() and text.isdecimal() and len(text) <= PID_DIGITS and 0 < int(text) < 2**32


def judge_owner(named: OwnerCandidate | None) -> ForeignOwner:  # noqa: PLR0911 (one for each case)
    """Return the owner. It counts as dead only if its death is proven; in doubt it may live.

    `named` is the owner that the server's environment names, None if it names none.
    """
    if named is None:
        return NoOwner()
    if not is_pid(named.text):
        return UnknownOwner("its environment names an owner that is not a pid")
    pid = int(named.text)
    if named.same_namespace is not True:
        return UnknownOwner(f"its owner {pid} may be a pid of another namespace")
    if not named.readable:
        return UnknownOwner(f"the system does not tell about its owner, pid {pid}")
    if named.process_now is None:
        return DeadOwner(pid)
    if named.born is None or named.server_born is None:
        return UnknownOwner(f"the system does not tell how old its owner, pid {pid}, is")
    if named.born > named.server_born:
        return DeadOwner(pid)
    return LivingOwner(named.process_now)
