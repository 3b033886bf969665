"""Finds the processes that belong to a server in the system's process table: trees, launchers, families. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from ..model import ProcessIdentity, ProcessRow
from .proof import TreeMember, TreeRole
from .runners import is_runner


def guarded_processes(
    table: Sequence[ProcessRow],
    editors: Iterable[ProcessIdentity],
    daemon: ProcessIdentity,
    roots: Collection[ProcessIdentity],
) -> frozenset[ProcessIdentity]:
    """Return the processes that no tree may contain: the daemon, the editors, and their descendants.

    A server may be a child of the daemon or of an editor, so the servers' `roots` and all below them are left out.
    """
    children = _children(table)
    living = {row.identity for row in table}
    unguarded = frozenset(roots)
    found: set[ProcessIdentity] = set()
    queue = [identity for identity in (daemon, *editors) if identity in living]
    while queue:
        identity = queue.pop()
        if identity in found:
            continue
        found.add(identity)
        queue.extend(child for child in children.get(identity.pid, ()) if child not in unguarded)
    return frozenset(found)


def spawned_tree(
    table: Sequence[ProcessRow], root: ProcessIdentity, guarded: frozenset[ProcessIdentity]
) -> tuple[TreeMember, ...]:
    """Return the processes of a server that the daemon spawned: the root, its descendants, and the rest of its session.

    Guarded processes are left out with their descendants. The caller still has to read the launch tokens of
    OF_ENDED_ROOT members. If another process has the pid of the root now, the session of that number is not the
    root's.
    """
    children = _children(table)
    sessions = {row.identity: row.session for row in table}
    own_session = sessions.get(root, root.pid)
    root_leads = root in sessions and own_session == root.pid
    # Each entry: a process, its role, and whether it is apart. The descendants of a process come directly after it, so
    # that a process which is both a descendant and in the session counts as a descendant.
    queue = [(row.identity, TreeRole.ROOT, False) for row in table if row.identity == root]
    if not any(row.identity.pid == root.pid and row.identity != root for row in table):
        rest = [row.identity for row in table if row.session == root.pid and row.identity != root]
        queue += [(identity, TreeRole.BELOW if root_leads else TreeRole.OF_ENDED_ROOT, False) for identity in rest]
    members: dict[ProcessIdentity, TreeMember] = {}
    while queue:
        identity, role, apart = queue.pop(0)
        if identity in members or identity in guarded:
            continue
        members[identity] = TreeMember(identity, role, apart=apart)
        # A descendant of a left-over process is no better proven than that process.
        below = TreeRole.OF_ENDED_ROOT if role is TreeRole.OF_ENDED_ROOT else TreeRole.BELOW
        found = children.get(identity.pid, ())
        queue[:0] = [(child, below, apart or sessions[child] != own_session) for child in found]
    return tuple(members.values())


def foreign_tree(
    table: Sequence[ProcessRow], process: ProcessIdentity, root: ProcessIdentity, guarded: frozenset[ProcessIdentity]
) -> tuple[TreeMember, ...]:
    """Return the processes of a foreign server: the listener, its descendants, and its launcher `root`.

    Its session is not included, because shells and editors share their session with the programs that they run.
    """
    children = _children(table)
    sessions = {row.identity: row.session for row in table}
    own_sessions = {sessions[head] for head in (root, process) if head in sessions}
    members = {root: TreeMember(root, TreeRole.ROOT)} if root in sessions and root not in guarded else {}
    queue = [(process, False)] if process in sessions else []
    while queue:
        identity, apart = queue.pop(0)
        if identity in guarded or (identity in members and identity != root):
            continue
        head = identity in (root, process)
        members[identity] = TreeMember(identity, TreeRole.ROOT if head else TreeRole.BELOW, apart=apart and not head)
        found = [child for child in children.get(identity.pid, ()) if child not in members]
        queue += [(child, apart or sessions[child] not in own_sessions) for child in found]
    return tuple(members.values())


def topmost_launcher(
    table: Sequence[ProcessRow],
    process: ProcessIdentity,
    commands: Mapping[ProcessIdentity, Sequence[str]],
    guarded: Collection[ProcessIdentity],
) -> ProcessIdentity:
    """Return the topmost launcher of a server, or the server itself if it has none."""
    return (process, *launchers_above(table, process, commands, guarded))[-1]


def launchers_above(
    table: Sequence[ProcessRow],
    process: ProcessIdentity,
    commands: Mapping[ProcessIdentity, Sequence[str]],
    guarded: Collection[ProcessIdentity],
) -> tuple[ProcessIdentity, ...]:
    """Return the launchers of a process, nearest first: the runners above it that have no other child.

    A process that leads its session on a terminal is never included: the terminal was opened for it and closes with it.
    """
    children = _children(table)
    terminals = _terminals(table)
    found: list[ProcessIdentity] = []
    below = process
    for above in ancestors(table, process):
        alone = above not in guarded and above not in terminals and children.get(above.pid) == [below]
        if not (alone and is_runner(commands.get(above, ()))):
            break
        found.append(above)
        below = above
    return tuple(found)


def runs_nothing_else(
    table: Sequence[ProcessRow],
    root: ProcessIdentity,
    commands: Mapping[ProcessIdentity, Sequence[str]],
    guarded: Collection[ProcessIdentity],
    proven: Collection[ProcessIdentity],
) -> bool:
    """Return whether a launcher, `root`, runs nothing else after its server has ended.

    `proven` are the server's tree and its launchers, as they were before its end.
    """
    rest = _children(table).get(root.pid, [])
    if root not in proven or root in guarded or root in _terminals(table):
        return False
    return set(proven).issuperset(rest) and is_runner(commands.get(root, ()))


def ancestors(table: Sequence[ProcessRow], process: ProcessIdentity) -> tuple[ProcessIdentity, ...]:
    """Return the processes above this one, nearest first."""
    rows = {row.identity.pid: row for row in table}
    found: list[ProcessIdentity] = []
    row = rows.get(process.pid)
    while row is not None and (above := rows.get(row.parent)) is not None and above.identity not in found:
        found.append(above.identity)
        row = above
    return tuple(found)


def family(table: Sequence[ProcessRow], processes: Iterable[ProcessIdentity]) -> tuple[ProcessIdentity, ...]:
    """Return those of these processes that live, and their descendants."""
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
    """Return the processes that lead their session on a controlling terminal."""
    return frozenset(row.identity for row in table if row.on_terminal and row.session == row.identity.pid)
