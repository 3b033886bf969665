"""Reads a server's process tree at one moment, and the processes that it must not contain. Sends no signal."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ...core.model import Origin, ProcessIdentity, ProcessRow, ServerRecord
from ...core.processes.godot import is_editor
from ...core.processes.proof import TreeMember, TreeRole
from ...core.processes.trees import (
    ancestors,
    foreign_tree,
    guarded_processes,
    launchers_above,
    runs_nothing_else,
    spawned_tree,
)
from ...native.api import Platform, variable_if_told
from ...values import frozen
from ..operations.shared_answers import SharedAnswers
from ..state.records import Records
from ..state.standing import may_live

LOOK_TIMEOUT_S = 2.0
"""The limit for looks on which no signal depends, because a process that hangs in the kernel cannot be read."""

SETTLE_S, SETTLE_EVERY_S = 2.0, 0.1
"""For how long, and at which interval, a command line that cannot be read is read again."""


@frozen
class Target:
    """The server whose process tree is to be read or stopped.

    `label` names it in events. `token` is the launch token that its processes carry, None if they carry none. `root` is
    the process that was started, `process` the one that listens; they may be the same. `foreign`: another program
    started it, so its session is not its own. `ports` are those of this launch.
    """

    label: str
    token: str | None
    origin: Origin
    root: ProcessIdentity
    process: ProcessIdentity
    foreign: bool = False
    ports: tuple[int, ...] = ()

    @property
    def heads(self) -> tuple[ProcessIdentity, ...]:
        """The server itself: the process that was started and the process that listens."""
        return (self.root, self.process)


@frozen
class ProcessTree:
    """A tree as it was when it was read.

    `guarded`: the processes that it must not contain. `editors`: the editors that would be in it otherwise.
    `unreadable`: processes that may be editors, because their command lines could not be read.

    For a foreign tree: `command` is the command line of the process that listens. `proven` are the server's processes
    and launchers, found now or by an earlier read of the same stop. `root_only_runs_server`: `root` has no other task.
    """

    members: tuple[TreeMember, ...]
    guarded: frozenset[ProcessIdentity]
    editors: frozenset[ProcessIdentity] = frozenset()
    unreadable: frozenset[ProcessIdentity] = frozenset()
    command: tuple[str, ...] = ()
    proven: frozenset[ProcessIdentity] = frozenset()
    root_only_runs_server: bool = True

    def with_members_of(self, earlier: "ProcessTree", target: Target) -> "ProcessTree":
        """Return this tree with the members of an earlier read too, because their parents may have ended since then."""
        members = {member.identity: member for member in (*earlier.members, *self.members)}
        if not self.root_only_runs_server and target.root != target.process:
            # The root has turned to another task since the earlier read.
            members.pop(target.root, None)
        living = tuple(member for identity, member in members.items() if identity not in self.guarded)
        return replace(self, members=living, editors=earlier.editors | self.editors)


class TreeReader:
    """Reads trees. Each read finds out anew which processes must not be touched."""

    def __init__(self, platform: Platform, records: Records, me: ProcessIdentity, token_variable: str) -> None:
        self._platform = platform
        self._records = records
        self._me = me
        self._token_variable = token_variable
        self._under_way = 0
        self._tables: SharedAnswers[tuple[ProcessRow, ...]] = SharedAnswers()

    async def read(self, target: Target, earlier: ProcessTree | None = None) -> ProcessTree:
        """Return the tree now. The members of an `earlier` read of the same stop are examined again.

        A Godot editor is never part of a tree, attached or not, because it may hold unsaved work. A process whose
        command line cannot be read may be an editor, so the tree is read again, for up to `SETTLE_S`.
        """
        end = asyncio.get_running_loop().time() + SETTLE_S
        while True:
            found = await self._read_once(target, earlier)
            if not found.unreadable or asyncio.get_running_loop().time() >= end:
                return found
            await asyncio.sleep(SETTLE_EVERY_S)

    async def _read_once(self, target: Target, earlier: ProcessTree | None) -> ProcessTree:
        """Read once. Reads at the same time share one process table, which is read after all of them were requested."""
        self._under_way += 1
        try:
            shared = None
            if self._under_way > 1:
                shared = await self._tables.ask(
                    "table", partial(self._platform.lanes.look, self._platform.processes.table)
                )
            owners = frozenset(self._records.owner_processes())
            servers = frozenset(self._records.server_processes())
            return await self._platform.lanes.look(self._read_blocking, target, earlier, owners, servers, shared)
        finally:
            self._under_way -= 1

    def _read_blocking(
        self,
        target: Target,
        earlier: ProcessTree | None,
        owners: frozenset[ProcessIdentity],
        servers: frozenset[ProcessIdentity],
        table: Sequence[ProcessRow] | None,
    ) -> ProcessTree:
        """Read the process table, if `table` is None, and the command lines and environments. Blocks."""
        proven = earlier.proven if earlier else frozenset[ProcessIdentity]()
        table = self._platform.processes.table() if table is None else table
        commands = self._commands({*target.heads, *ancestors(table, target.process)} if target.foreign else ())
        roots = servers | {*target.heads}
        guarded = guarded_processes(table, owners, self._me, roots)
        found = _build_tree(table, target, commands, guarded, proven)
        living = {row.identity for row in table}
        members = (*found.members, *(earlier.members if earlier else ()))
        below = {member.identity for member in members if member.identity in living} - {*target.heads}
        seen = self._commands(below)
        editors = frozenset(each for each, command in seen.items() if is_editor(command))
        unreadable = frozenset(each for each in below if not seen.get(each) and may_live(self._platform.probe, each))
        if editors or unreadable:
            guarded = guarded_processes(table, owners | editors | unreadable, self._me, roots)
            found = _build_tree(table, target, commands, guarded, proven)
        return replace(found, members=self._with_tokens(found.members), editors=editors, unreadable=unreadable)

    def _commands(self, processes: Iterable[ProcessIdentity]) -> Mapping[ProcessIdentity, tuple[str, ...]]:
        """Return the command lines of those processes that still have their pids; () for one that cannot be read."""
        described = [(identity, self._platform.probe.describe(identity.pid)) for identity in processes]
        return {identity: seen.command for identity, seen in described if seen.identity == identity}

    def _with_tokens(self, members: Iterable[TreeMember]) -> tuple[TreeMember, ...]:
        """Return the members, those that are left over with the launch tokens that they carry."""
        return tuple(
            replace(
                member, launch_token=variable_if_told(self._platform.processes, member.identity, self._token_variable)
            )
            if member.role is TreeRole.OF_ENDED_ROOT
            else member
            for member in members
        )

    async def find_listening(self, target: Target, among: Collection[ProcessIdentity]) -> frozenset[ProcessIdentity]:
        """Return which of these processes listen on a port of this launch."""
        if not among or not target.ports:
            return frozenset()
        found = await self._platform.lanes.look(self._platform.ports.match_listeners, target.ports, tuple(among))
        return frozenset(found.values())

    def find_token_carriers(self, token: str, guarded: Collection[ProcessIdentity]) -> tuple[int, ...]:
        """Return the pids of the processes that carry a launch token, except `guarded` ones. Blocks.

        They are for people: a token is inherited, so it proves nothing.
        """
        others = [row.identity for row in self._platform.processes.table() if row.identity not in guarded]
        name = self._token_variable
        return tuple(other.pid for other in others if variable_if_told(self._platform.processes, other, name) == token)


def _build_tree(
    table: Sequence[ProcessRow],
    target: Target,
    commands: Mapping[ProcessIdentity, tuple[str, ...]],
    guarded: frozenset[ProcessIdentity],
    proven: frozenset[ProcessIdentity],
) -> ProcessTree:
    if target.foreign:
        return _build_foreign_tree(table, target, commands, guarded, proven)
    members = {member.identity: member for member in spawned_tree(table, target.root, guarded)}
    if target.process != target.root:
        # A server may have begun a session of its own: processes in it are no more apart than those in the root's.
        for member in spawned_tree(table, target.process, guarded):
            other = members.get(member.identity)
            members[member.identity] = replace(other, apart=other.apart and member.apart) if other else member
    return ProcessTree(tuple(members.values()), guarded)


def _build_foreign_tree(
    table: Sequence[ProcessRow],
    target: Target,
    commands: Mapping[ProcessIdentity, tuple[str, ...]],
    guarded: frozenset[ProcessIdentity],
    proven: frozenset[ProcessIdentity],
) -> ProcessTree:
    """Return a foreign tree, without a root that has turned to another task since it was found to be a launcher."""
    above = launchers_above(table, target.process, commands, guarded)
    if any(row.identity == target.process for row in table):
        root_only_runs_server = target.root in (target.process, *above)
    else:
        root_only_runs_server = runs_nothing_else(table, target.root, commands, guarded, proven)
    members = foreign_tree(table, target.process, target.root if root_only_runs_server else target.process, guarded)
    found = {member.identity for member in members}
    proven = proven | found | (set(above) if root_only_runs_server else set())
    return ProcessTree(
        members,
        guarded,
        command=commands.get(target.process, ()),
        proven=proven,
        root_only_runs_server=root_only_runs_server,
    )


def target_of(record: ServerRecord, token: str | None) -> Target | None:
    """Return what is to be read or stopped of a server, None if the server never had a process."""
    root = record.root or record.process
    process = record.process or record.root
    if root is None or process is None:
        return None
    return Target(record.id, token, record.origin, root, process, record.foreign, tuple(record.ports.values()))
