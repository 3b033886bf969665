"""Why the daemon may act on a process, or may not. Pure.

Every signal is preceded by `judge_signal`; in doubt the answer is Held. There are two strengths of proof: Recognised is
enough to reuse, adopt and watch a server, but only Stoppable is enough to end one.
"""

from enum import StrEnum

from ...values import frozen
from ..model import Origin, ProcessIdentity


class TreeRole(StrEnum):
    """How a process belongs to a server's tree.

    BELOW: a descendant of the root, or in its session while the root leads it. OF_ENDED_ROOT: in the session that the
    root led before it ended. The pid may have been reused since, so this alone proves nothing.
    """

    ROOT = "root"
    BELOW = "below"
    OF_ENDED_ROOT = "left over"


@frozen
class Recognised:
    """The process is a server of that kind. `reason` is the proof."""

    reason: str


@frozen
class Unrecognised:
    """The process is not proven to be a server of that kind. `reason` says what is missing."""

    reason: str


@frozen
class ListenerFacts:
    """The facts about a process that listens on a port of a kind.

    `command_fits`: its command line is that of the kind. `can_prove`: an answer can prove the kind (the kind has
    `identify.match`). `matches`: it answered as that kind; None if it did not answer in time. `complete`: it listens on
    every port of the kind. `same_user` is None where the system does not tell.
    """

    kind: str
    same_user: bool | None
    command_fits: bool
    can_prove: bool
    matches: bool | None
    complete: bool
    detail: str = ""


def judge_listener(seen: ListenerFacts) -> Recognised | Unrecognised:
    """Return whether a listening process is a server of a kind."""
    proofs = (
        (seen.same_user is not False, "it belongs to another user"),
        (seen.same_user is True, "the system does not tell which user it belongs to"),
        (seen.command_fits, f"its command line is not that of {seen.kind}"),
        (seen.can_prove, f"{seen.kind} has no identify.match: an answer proves nothing"),
        (seen.matches is not None, f"it listens as {seen.kind} but does not answer"),
        (seen.matches is True, f"it does not answer as {seen.kind}: {seen.detail}"),
        (seen.complete, f"it answers as {seen.kind} but does not listen on all its ports"),
    )
    missing = next((reason for holds, reason in proofs if not holds), None)
    if missing is not None:
        return Unrecognised(missing)
    return Recognised(f"its command line and its answer are those of {seen.kind}")


@frozen
class TreeMember:
    """A process of a tree. For OF_ENDED_ROOT, `launch_token` is the token in its environment.

    `apart`: it is outside the server's own session or job, or runs below a process that is. Such a process was made to
    outlive the process that started it.
    """

    identity: ProcessIdentity
    role: TreeRole
    launch_token: str | None = None
    apart: bool = False


@frozen
class SignalEvidence:
    """The facts at the moment of a signal.

    `process_now` is the process that has the member's pid now, None if no process has it or the system does not tell.
    `token` is the launch token that the daemon gave this launch. `stop_requested`: a user asked to stop this very
    server. `orphan`: the server is recognised, and every owner it ever had is proven dead. `guarded` are the daemon,
    the editors, and the processes that they run.
    """

    process_now: ProcessIdentity | None
    token: str | None
    origin: Origin
    stop_requested: bool = False
    orphan: bool = False
    guarded: frozenset[ProcessIdentity] = frozenset()


@frozen
class Stoppable:
    """The process may be signalled. `reason` is the proof."""

    reason: str


@frozen
class Held:
    """The process must not be signalled. `reason` says which proof is missing."""

    reason: str


def judge_signal(member: TreeMember, evidence: SignalEvidence) -> Stoppable | Held:
    """Return whether this process may be signalled."""
    pid = member.identity.pid
    if evidence.process_now != member.identity:
        return Held(f"pid {pid} is not the process that was recorded")
    if member.identity in evidence.guarded:
        return Held(f"pid {pid} is an editor, the daemon, or run by one of them")
    if member.role is TreeRole.OF_ENDED_ROOT and (evidence.token is None or member.launch_token != evidence.token):
        return Held(f"pid {pid} is in a session of the root's number but does not carry the launch token")
    return _reason_to_signal(evidence)


def _reason_to_signal(evidence: SignalEvidence) -> Stoppable | Held:
    """Return whether there is a reason to end the server at all."""
    if evidence.origin is Origin.SPAWNED:
        return Stoppable("this daemon's home spawned it")
    if evidence.stop_requested:
        return Stoppable("a user asked to stop it")
    if evidence.orphan:
        return Stoppable("it is recognised, and every owner it ever had is dead")
    return Held("no user asked to stop it, and it may have an owner")
