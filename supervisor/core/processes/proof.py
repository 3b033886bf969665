"""Why we may act on a process, or may not. Every signal is preceded by `stoppable`; in doubt the answer is Held.

Two strengths of proof: `recognised` is enough to reuse, adopt and watch a server; only `stoppable` is enough to end it.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import StrEnum

from ...values import frozen
from ..model import Origin, ProcessIdentity, ProcessRow
from .runners import is_runner


class Link(StrEnum):
    """How a process belongs to a server's tree.

    BELOW: a descendant of the root, or in its session while the root leads it. LEFT_OVER: in the session that the root
    led before it ended; the pid may have been recycled since, so this alone proves nothing.
    """

    ROOT = "root"
    BELOW = "below"
    LEFT_OVER = "left over"


@frozen
class Recognised:
    """It is a server of that kind. The proof, in words."""

    reason: str


@frozen
class Unrecognised:
    """It is not proven to be one. What is missing, in words."""

    reason: str


@frozen
class Appearance:
    """What is known of a process that listens on a port of a kind.

    `command_fits`: its command line is of the kind. `strong`: the kind can be told by its answer at all
    (`identify.match`). `matches`: it answered as that kind; None: no answer in time. `complete`: it listens on a port
    for each of the kind's names. `same_user`: None where the system does not tell.
    """

    kind: str
    same_user: bool | None
    command_fits: bool
    strong: bool
    matches: bool | None
    complete: bool
    detail: str = ""


def recognised(seen: Appearance) -> Recognised | Unrecognised:
    """Whether a process that listens is a server of a kind."""
    proofs = (
        (seen.same_user is not False, "it belongs to another user"),
        (seen.same_user is True, "the system does not tell which user it belongs to"),
        (seen.command_fits, f"its command line is not that of {seen.kind}"),
        (seen.strong, f"{seen.kind} has no identify.match: an answer proves nothing"),
        (seen.matches is not None, f"it listens as {seen.kind} but does not answer"),
        (seen.matches is True, f"it does not answer as {seen.kind}: {seen.detail}"),
        (seen.complete, f"it answers as {seen.kind} but does not listen on all its ports"),
    )
    missing = next((reason for holds, reason in proofs if not holds), None)
    if missing is not None:
        return Unrecognised(missing)
    return Recognised(f"its command line and its answer are those of {seen.kind}")


@frozen
class Member:
    """A process of a tree. For LEFT_OVER, `launch_token` is what its environment says.

    `apart`: it is outside the server's own session, or job, or runs below something that is. It was made to outlive
    whatever has started it.
    """

    identity: ProcessIdentity
    link: Link
    launch_token: str | None = None
    apart: bool = False


@frozen
class Evidence:
    """What is known at the moment of the signal.

    `observed`: who is behind the member's pid now. `token`: the launch token that we gave this launch. `named`: a user
    asked for this very server to be stopped. `orphan`: it is recognised, and every owner it ever had is proven dead.
    """

    observed: ProcessIdentity | None
    token: str | None
    origin: Origin
    named: bool = False
    orphan: bool = False
    guarded: frozenset[ProcessIdentity] = frozenset()


@frozen
class Stoppable:
    """The proof, in words."""

    reason: str


@frozen
class Held:
    """What is missing, in words."""

    reason: str


def stoppable(member: Member, evidence: Evidence) -> Stoppable | Held:
    """Whether this process may be signalled."""
    pid = member.identity.pid
    if evidence.observed != member.identity:
        return Held(f"pid {pid} is not the process that was recorded")
    if member.identity in evidence.guarded:
        return Held(f"pid {pid} is an editor, the daemon, or run by one of them")
    if member.link is Link.LEFT_OVER and (evidence.token is None or member.launch_token != evidence.token):
        return Held(f"pid {pid} is in a session of that number but does not carry the launch token")
    return _right(evidence)


def _right(evidence: Evidence) -> Stoppable | Held:
    if evidence.origin is Origin.SPAWNED:
        return Stoppable("this daemon's home spawned it")
    if evidence.named:
        return Stoppable("a user named it")
    if evidence.orphan:
        return Stoppable("it is recognised, and every owner it ever had is dead")
    return Held("nobody named it, and it may have an owner")


def guarded(
    table: Sequence[ProcessRow],
    editors: Iterable[ProcessIdentity],
    daemon: ProcessIdentity,
    roots: Collection[ProcessIdentity],
) -> frozenset[ProcessIdentity]:
    """The processes that no tree may contain: the daemon, the editors, and what these run.

    A server that is a child of ours, or of an editor, is not guarded by that: subtrees of `roots` are left out.
    """
    children = _children(table)
    living = {row.identity for row in table}
    keep = frozenset(roots)
    found: set[ProcessIdentity] = set()
    queue = [identity for identity in (daemon, *editors) if identity in living]
    while queue:
        identity = queue.pop()
        if identity in found:
            continue
        found.add(identity)
        queue.extend(child for child in children.get(identity.pid, ()) if child not in keep)
    return frozenset(found)


def tree(
    table: Sequence[ProcessRow], root: ProcessIdentity, forbidden: frozenset[ProcessIdentity]
) -> tuple[Member, ...]:
    """The processes of a server that we spawned: the root, its descendants, and the rest of its session.

    Guarded processes are left out together with what they run. LEFT_OVER members still want their launch token read.
    Where another process has the root's number by now, the session of that number is that process's.
    """
    children = _children(table)
    sessions = {row.identity: row.session for row in table}
    own = sessions.get(root, root.pid)
    in_session = Link.BELOW if own == root.pid and root in sessions else Link.LEFT_OVER
    queue = [(row.identity, Link.ROOT, False) for row in table if row.identity == root]
    if not any(row.identity.pid == root.pid and row.identity != root for row in table):
        rest = [row.identity for row in table if row.session == root.pid and row.identity != root]
        queue += [(identity, in_session, False) for identity in rest]
    members: dict[ProcessIdentity, Member] = {}
    while queue:
        identity, link, apart = queue.pop(0)
        if identity in members or identity in forbidden:
            continue
        members[identity] = Member(identity, link, apart=apart)
        # What hangs below a left-over process is no better proven than that process.
        below = Link.LEFT_OVER if link is Link.LEFT_OVER else Link.BELOW
        found = children.get(identity.pid, ())
        queue[:0] = [(child, below, apart or sessions[child] != own) for child in found]
    return tuple(members.values())


def foreign_tree(
    table: Sequence[ProcessRow], process: ProcessIdentity, root: ProcessIdentity, forbidden: frozenset[ProcessIdentity]
) -> tuple[Member, ...]:
    """The processes of a server that somebody else started: the listener, its descendants, and its launcher `root`.

    Its session is not its own: shells and editors share theirs with what they run.
    """
    children = _children(table)
    sessions = {row.identity: row.session for row in table}
    own = {sessions[head] for head in (root, process) if head in sessions}
    members = {root: Member(root, Link.ROOT)} if root in sessions and root not in forbidden else {}
    queue = [(process, False)] if process in sessions else []
    while queue:
        identity, apart = queue.pop(0)
        if identity in forbidden or (identity in members and identity != root):
            continue
        head = identity in (root, process)
        members[identity] = Member(identity, Link.ROOT if head else Link.BELOW, apart=apart and not head)
        found = [child for child in children.get(identity.pid, ()) if child not in members]
        queue += [(child, apart or sessions[child] not in own) for child in found]
    return tuple(members.values())


def launcher(
    table: Sequence[ProcessRow],
    process: ProcessIdentity,
    commands: Mapping[ProcessIdentity, Sequence[str]],
    forbidden: Collection[ProcessIdentity],
) -> ProcessIdentity:
    """The topmost process that only runs this server; else itself."""
    return (process, *launchers(table, process, commands, forbidden))[-1]


def launchers(
    table: Sequence[ProcessRow],
    process: ProcessIdentity,
    commands: Mapping[ProcessIdentity, Sequence[str]],
    forbidden: Collection[ProcessIdentity],
) -> tuple[ProcessIdentity, ...]:
    """The processes that only run this one: known runners above it with no other child, nearest first.

    One that leads its session on a terminal is never among them: the terminal was opened for it, and closes with it.
    """
    children = _children(table)
    terminals = _terminals(table)
    found: list[ProcessIdentity] = []
    below = process
    for above in parents(table, process):
        alone = above not in forbidden and above not in terminals and children.get(above.pid) == [below]
        if not (alone and is_runner(commands.get(above, ()))):
            break
        found.append(above)
        below = above
    return tuple(found)


def still_launches(
    table: Sequence[ProcessRow],
    root: ProcessIdentity,
    commands: Mapping[ProcessIdentity, Sequence[str]],
    forbidden: Collection[ProcessIdentity],
    proven: Collection[ProcessIdentity],
) -> bool:
    """Whether a launcher whose server has ended has turned to nothing else.

    `proven`: the server's tree and its launchers, as they were before its end.
    """
    rest = _children(table).get(root.pid, [])
    if root not in proven or root in forbidden or root in _terminals(table):
        return False
    return set(proven).issuperset(rest) and is_runner(commands.get(root, ()))


def parents(table: Sequence[ProcessRow], process: ProcessIdentity) -> tuple[ProcessIdentity, ...]:
    """The processes above this one, nearest first."""
    rows = {row.identity.pid: row for row in table}
    found: list[ProcessIdentity] = []
    row = rows.get(process.pid)
    while row is not None and (above := rows.get(row.parent)) is not None and above.identity not in found:
        found.append(above.identity)
        row = above
    return tuple(found)


def family(table: Sequence[ProcessRow], processes: Iterable[ProcessIdentity]) -> tuple[ProcessIdentity, ...]:
    """Those of these processes that live, and their descendants."""
    children = _children(table)
    living = {row.identity for row in table}
    found: dict[ProcessIdentity, None] = {}
    queue = [identity for identity in processes if identity in living]
    while queue:
        identity = queue.pop()
        if identity not in found:
            found[identity] = None
            queue += children.get(identity.pid, ())
    return tuple(found)


def _children(table: Sequence[ProcessRow]) -> Mapping[int, list[ProcessIdentity]]:
    children: dict[int, list[ProcessIdentity]] = {}
    for row in table:
        children.setdefault(row.parent, []).append(row.identity)
    return children


def _terminals(table: Sequence[ProcessRow]) -> frozenset[ProcessIdentity]:
    """The processes that lead their session on a controlling terminal."""
    return frozenset(row.identity for row in table if row.on_terminal and row.session == row.identity.pid)
