"""Reads a server's tree at one moment, and the processes that it must not contain. Signals no process."""

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
    spawned_tree,
    still_launches,
)
from ...native.api import Platform, variable_if_told
from ...values import frozen
from ..operations.shared_answers import SharedAnswers
from ..state.records import Records
from ..state.standing import may_live

LOOK_TIMEOUT_S = 2.0
"""The limit for looks on which no signal depends, because a process that hangs in the kernel cannot be read."""

SETTLE_S, SETTLE_EVERY_S = 2.0, 0.1
"""For how long, and how often, a command line that cannot be read is read again."""


@frozen
class Target:
    """A tree to stop. `token` is the launch token that its processes carry, None if they carry none.

    `foreign`: another program started it, so its session is not its own. `ports` are those of this launch.
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
        """The server itself: the listening process and the started process."""
        return (self.root, self.process)


@frozen
class ProcessTree:
    """A tree as it was when it was read. `guard`: the processes that it must not contain. `editors`: those found in it.

    `unread`: processes that may be editors, because their command lines could not be read.

    For a foreign tree: `command` is what its listener runs, `proven` are the server's processes and launchers at this
    or an earlier look of the same stop, and `launched` says whether `root` does nothing but run the server.
    """

    members: tuple[TreeMember, ...]
    guard: frozenset[ProcessIdentity]
    editors: frozenset[ProcessIdentity] = frozenset()
    unread: frozenset[ProcessIdentity] = frozenset()
    command: tuple[str, ...] = ()
    proven: frozenset[ProcessIdentity] = frozenset()
    launched: bool = True

    def after(self, before: "ProcessTree", target: Target) -> "ProcessTree":
        """Return this look with the members of an earlier look of the same stop: their parents may have ended."""
        members = {member.identity: member for member in (*before.members, *self.members)}
        if not self.launched and target.root != target.process:
            members.pop(target.root, None)
        living = tuple(member for identity, member in members.items() if identity not in self.guard)
        return replace(self, members=living, editors=before.editors | self.editors)


class TreeReader:
    """Reads trees. Every look reads anew which processes must not be touched."""

    def __init__(self, platform: Platform, records: Records, me: ProcessIdentity, token_variable: str) -> None:
        self._platform = platform
        self._records = records
        self._me = me
        self._token_variable = token_variable
        self._under_way = 0
        self._tables: SharedAnswers[tuple[ProcessRow, ...]] = SharedAnswers()

    async def read(self, target: Target, before: ProcessTree | None = None) -> ProcessTree:
        """Return the tree now. The findings of an earlier look of the same stop are examined again.

        A Godot editor is never part of a tree, attached or not, because it may hold unsaved work. A process whose
        command line cannot be read may be an editor; it is waited for, up to `SETTLE_S`.
        """
        end = asyncio.get_running_loop().time() + SETTLE_S
        while True:
            found = await self._read_once(target, before)
            if not found.unread or asyncio.get_running_loop().time() >= end:
                return found
            await asyncio.sleep(SETTLE_EVERY_S)

    async def _read_once(self, target: Target, before: ProcessTree | None) -> ProcessTree:
        """Look once.

        Concurrent looks share one reading of the process table, begun after all of them were requested.
        """
        self._under_way += 1
        try:
            shared = None
            if self._under_way > 1:
                shared = await self._tables.ask(
                    "table", partial(self._platform.lanes.look, self._platform.processes.table)
                )
            return await self._look_now(target, before, shared)
        finally:
            self._under_way -= 1

    async def _look_now(
        self, target: Target, before: ProcessTree | None, table: Sequence[ProcessRow] | None
    ) -> ProcessTree:
        owners = frozenset(self._records.owner_processes())
        servers = frozenset(self._records.server_processes())
        return await self._platform.lanes.look(self._look, target, before, owners, servers, table)

    def _look(
        self,
        target: Target,
        before: ProcessTree | None,
        owners: frozenset[ProcessIdentity],
        servers: frozenset[ProcessIdentity],
        table: Sequence[ProcessRow] | None,
    ) -> ProcessTree:
        """Read the process table, command lines and environments. Blocking."""
        proven = before.proven if before else frozenset[ProcessIdentity]()
        table = self._platform.processes.table() if table is None else table
        commands = self._commands({*target.heads, *ancestors(table, target.process)} if target.foreign else ())
        roots = servers | {*target.heads}
        guard = guarded_processes(table, owners, self._me, roots)
        found = _tree(table, target, commands, guard, proven)
        living = {row.identity for row in table}
        members = (*found.members, *(before.members if before else ()))
        below = {member.identity for member in members if member.identity in living} - {*target.heads}
        seen = self._commands(below)
        editors = frozenset(each for each, command in seen.items() if is_editor(command))
        unread = frozenset(each for each in below if not seen.get(each) and may_live(self._platform.probe, each))
        if editors or unread:
            guard = guarded_processes(table, owners | editors | unread, self._me, roots)
            found = _tree(table, target, commands, guard, proven)
        return replace(found, members=self._with_tokens(found.members), editors=editors, unread=unread)

    def _commands(self, processes: Iterable[ProcessIdentity]) -> Mapping[ProcessIdentity, tuple[str, ...]]:
        described = [(identity, self._platform.probe.describe(identity.pid)) for identity in processes]
        return {identity: seen.command for identity, seen in described if seen.identity == identity}

    def _with_tokens(self, members: Iterable[TreeMember]) -> tuple[TreeMember, ...]:
        return tuple(
            replace(
                member, launch_token=variable_if_told(self._platform.processes, member.identity, self._token_variable)
            )
            if member.role is TreeRole.LEFT_OVER
            else member
            for member in members
        )

    async def find_listening(self, target: Target, among: Collection[ProcessIdentity]) -> frozenset[ProcessIdentity]:
        """Return which of these processes hold a port of this launch."""
        if not among or not target.ports:
            return frozenset()
        found = await self._platform.lanes.look(self._platform.ports.match_listeners, target.ports, tuple(among))
        return frozenset(found.values())

    def find_token_carriers(self, token: str | None, guard: Collection[ProcessIdentity]) -> tuple[int, ...]:
        """Return the pids that carry a launch token, for people: a token is inherited, so it proves nothing.

        Blocking.
        """
        others = [row.identity for row in self._platform.processes.table() if row.identity not in guard]
        name = self._token_variable
        return tuple(other.pid for other in others if variable_if_told(self._platform.processes, other, name) == token)


def _tree(
    table: Sequence[ProcessRow],
    target: Target,
    commands: Mapping[ProcessIdentity, tuple[str, ...]],
    guard: frozenset[ProcessIdentity],
    proven: frozenset[ProcessIdentity],
) -> ProcessTree:
    if target.foreign:
        return _foreign_look(table, target, commands, guard, proven)
    members = {member.identity: member for member in spawned_tree(table, target.root, guard)}
    if target.process != target.root:
        # A server may have begun a session of its own: processes in it are no more apart than those in the root's.
        for member in spawned_tree(table, target.process, guard):
            other = members.get(member.identity)
            members[member.identity] = replace(other, apart=other.apart and member.apart) if other else member
    return ProcessTree(tuple(members.values()), guard)


def _foreign_look(
    table: Sequence[ProcessRow],
    target: Target,
    commands: Mapping[ProcessIdentity, tuple[str, ...]],
    guard: frozenset[ProcessIdentity],
    proven: frozenset[ProcessIdentity],
) -> ProcessTree:
    """Read a foreign tree. Leave out a launcher that has turned to another task since it was found."""
    above = launchers_above(table, target.process, commands, guard)
    if any(row.identity == target.process for row in table):
        launched = target.root in (target.process, *above)
    else:
        launched = still_launches(table, target.root, commands, guard, proven)
    members = foreign_tree(table, target.process, target.root if launched else target.process, guard)
    found = {member.identity for member in members}
    proven = proven | found | (set(above) if launched else set())
    return ProcessTree(members, guard, command=commands.get(target.process, ()), proven=proven, launched=launched)


def target_of(record: ServerRecord, token: str | None) -> Target | None:
    """Return the tree of a server, None if the server never had a process."""
    root = record.root or record.process
    process = record.process or record.root
    if root is None or process is None:
        return None
    return Target(record.id, token, record.origin, root, process, record.foreign, tuple(record.ports.values()))
