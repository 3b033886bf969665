"""A server's tree as it is at one moment, and the processes that must not be in it. Nothing is signalled here."""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ...core.model import Liveness, Origin, ProcessIdentity, ProcessRow, ServerRecord
from ...core.processes.godot import is_editor
from ...core.processes.proof import Link, Member, foreign_tree, guarded, launchers, parents, still_launches, tree
from ...native.api import Platform, variable_if_told
from ...values import frozen
from ..operations.shared_answers import SharedAnswers
from ..state.records import Records

SETTLE_S, SETTLE_EVERY_S = 2.0, 0.1
"""For how long, and how often, a command line that cannot be read is asked for again."""


@frozen
class Target:
    """A tree to stop. `token` is the launch token that its processes carry; None: they carry none.

    `foreign`: somebody else started it, so its session is not its own. `ports`: those of this launch.
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
        """The server itself: what listens, and what was started."""
        return (self.root, self.process)


@frozen
class ProcessTree:
    """A tree as it was a moment ago, and who must not be in it. `editors`: those that were found in it.

    `unread`: processes that may be editors, because their command lines could not be read.

    Of a tree that somebody else started: `command` is what its listener runs, `proven` what was the server's at this or
    an earlier look of the same stop, launchers included, and `launched` whether `root` does nothing but run it.
    """

    members: tuple[Member, ...]
    guard: frozenset[ProcessIdentity]
    editors: frozenset[ProcessIdentity] = frozenset()
    unread: frozenset[ProcessIdentity] = frozenset()
    command: tuple[str, ...] = ()
    proven: frozenset[ProcessIdentity] = frozenset()
    launched: bool = True

    def after(self, before: "ProcessTree", target: Target) -> "ProcessTree":
        """This look, with what an earlier one of the same stop has found: parents may have ended since."""
        members = {member.identity: member for member in (*before.members, *self.members)}
        if not self.launched and target.root != target.process:
            members.pop(target.root, None)
        living = tuple(member for identity, member in members.items() if identity not in self.guard)
        return replace(self, members=living, editors=before.editors | self.editors)


class TreeReader:
    """Looks at trees. What may not be touched is asked for at every look."""

    def __init__(self, platform: Platform, records: Records, me: ProcessIdentity, token_variable: str) -> None:
        self._platform = platform
        self._records = records
        self._me = me
        self._token_variable = token_variable
        self._under_way = 0
        self._tables: SharedAnswers[tuple[ProcessRow, ...]] = SharedAnswers()

    async def look(self, target: Target, before: ProcessTree | None = None) -> ProcessTree:
        """The tree now; what an earlier look of the same stop has found is looked at again.

        A Godot editor is never part of a tree, attached or not: what it holds may not be saved. A process whose command
        line cannot be read may be one, and is waited for, for `SETTLE_S`.
        """
        end = asyncio.get_running_loop().time() + SETTLE_S
        while True:
            found = await self._look_once(target, before)
            if not found.unread or asyncio.get_running_loop().time() >= end:
                return found
            await asyncio.sleep(SETTLE_EVERY_S)

    async def _look_once(self, target: Target, before: ProcessTree | None) -> ProcessTree:
        """Looks that come together share one reading of the process table, begun after all of them were asked."""
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
        editors = {editor.process for editor in self._records.editors.values()}
        editors |= {owner.process for record in self._records.servers.values() for owner in record.owners}
        roots = {r for record in self._records.servers.values() for r in (record.root, record.process) if r}
        return await self._platform.lanes.look(self._look, target, before, frozenset(editors), frozenset(roots), table)

    def _look(
        self,
        target: Target,
        before: ProcessTree | None,
        known: frozenset[ProcessIdentity],
        roots: frozenset[ProcessIdentity],
        table: Sequence[ProcessRow] | None,
    ) -> ProcessTree:
        """Blocking: it reads the process table, command lines and environments."""
        proven = before.proven if before else frozenset[ProcessIdentity]()
        table = self._platform.processes.table() if table is None else table
        commands = self._commands({*target.heads, *parents(table, target.process)} if target.foreign else ())
        roots |= {*target.heads}
        guard = guarded(table, known, self._me, roots)
        found = _tree(table, target, commands, guard, proven)
        living = {row.identity for row in table}
        members = (*found.members, *(before.members if before else ()))
        below = {member.identity for member in members if member.identity in living} - {*target.heads}
        seen = self._commands(below)
        editors = frozenset(each for each, command in seen.items() if is_editor(command))
        unread = frozenset(each for each in below if not seen.get(each) and self._lives(each))
        if editors or unread:
            guard = guarded(table, known | editors | unread, self._me, roots)
            found = _tree(table, target, commands, guard, proven)
        return replace(found, members=self._with_tokens(found.members), editors=editors, unread=unread)

    def _lives(self, identity: ProcessIdentity) -> bool:
        return self._platform.probe.sample(identity) is not Liveness.DEAD

    def _commands(self, processes: Iterable[ProcessIdentity]) -> Mapping[ProcessIdentity, tuple[str, ...]]:
        described = [(identity, self._platform.probe.describe(identity.pid)) for identity in processes]
        return {identity: seen.command for identity, seen in described if seen.identity == identity}

    def _with_tokens(self, members: Iterable[Member]) -> tuple[Member, ...]:
        return tuple(
            replace(
                member, launch_token=variable_if_told(self._platform.processes, member.identity, self._token_variable)
            )
            if member.link is Link.LEFT_OVER
            else member
            for member in members
        )

    async def listening(self, target: Target, among: Collection[ProcessIdentity]) -> frozenset[ProcessIdentity]:
        """Which of these processes hold a port of this launch."""
        if not among or not target.ports:
            return frozenset()
        found = await self._platform.lanes.look(self._platform.ports.listeners, target.ports, tuple(among))
        return frozenset(found.values())

    def carriers(self, token: str | None, guard: Collection[ProcessIdentity]) -> tuple[int, ...]:
        """Who carries a launch token. It is inherited, so it proves nothing; this is for people. Blocking."""
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
    members = {member.identity: member for member in tree(table, target.root, guard)}
    if target.process != target.root:
        # A server may have begun a session of its own: what is in it is no more apart than what is in the root's.
        for member in tree(table, target.process, guard):
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
    """A launcher may have turned to something else since it was found: then it is none of this tree."""
    above = launchers(table, target.process, commands, guard)
    if any(row.identity == target.process for row in table):
        launched = target.root in (target.process, *above)
    else:
        launched = still_launches(table, target.root, commands, guard, proven)
    members = foreign_tree(table, target.process, target.root if launched else target.process, guard)
    found = {member.identity for member in members}
    proven = proven | found | (set(above) if launched else set())
    return ProcessTree(members, guard, command=commands.get(target.process, ()), proven=proven, launched=launched)


def target_of(record: ServerRecord, token: str | None) -> Target | None:
    """The tree of a server; None: it never had a process."""
    root = record.root or record.process
    process = record.process or record.root
    if root is None or process is None:
        return None
    return Target(record.id, token, record.origin, root, process, record.foreign, tuple(record.ports.values()))
