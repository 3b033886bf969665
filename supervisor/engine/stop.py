"""Stopping a server's tree: prove, ask, wait, kill what is left, verify that none lives."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from ..core.model import Liveness, Origin, ProcessIdentity, ProcessRow, ServerRecord
from ..core.proof import (
    Evidence,
    Link,
    Member,
    foreign_tree,
    guarded,
    launchers,
    parents,
    still_launches,
    tree,
)
from ..errors import NotOurs, StopFailed
from ..frozen import frozen
from ..native.api import Wing, variable_if_told
from .events import Events
from .records import Records
from .signals import Outcome, Signals

KILL_PATIENCE_S = 5.0
"""How long the kernel may take to end a killed tree, in all."""

HELPER_PATIENCE_S = 2.0
"""How long a helper of the daemon gets to end by itself."""

ORPHANED_PATIENCE_S = 2.0
"""How long descendants get to end by themselves once the server itself has gone."""

ASKING_S = 5.0
"""For how long somebody is asked again to end of whom the system told nothing. It has to fit into `STOP_SLACK_S`."""

ASK_AGAIN_S = 0.5

TOLD_WITHIN_S = 2.0
"""How long a look may take whose only purpose is to tell people something."""


@frozen
class Right:
    """Why a stop may be tried. `named`: a user asked for it. `orphan`: judged twice, by the reaper."""

    named: bool = False
    orphan: bool = False


@frozen
class Target:
    """A tree to stop. `token` is the launch token that its processes carry; None: they carry none.

    `foreign`: somebody else started it, so its session is not its own.
    """

    label: str
    token: str | None
    origin: Origin
    root: ProcessIdentity
    process: ProcessIdentity
    foreign: bool = False


@frozen
class Look:
    """A tree as it was a moment ago, and who must not be in it.

    Of a tree that somebody else started: `command` is what its listener runs, `proven` what was the server's at this or
    an earlier look of the same stop, launchers included, and `launched` whether `root` does nothing but run it.
    """

    members: tuple[Member, ...]
    guard: frozenset[ProcessIdentity]
    command: tuple[str, ...] = ()
    proven: frozenset[ProcessIdentity] = frozenset()
    launched: bool = True


class Stopper:
    """Stops trees. What it may not touch is asked for at every look."""

    def __init__(self, wing: Wing, records: Records, events: Events, me: ProcessIdentity, token_variable: str) -> None:
        self._wing = wing
        self._records = records
        self._events = events
        self._me = me
        self._token_variable = token_variable
        self._signals = Signals(wing.probe, wing.processes, events)

    async def members(self, target: Target) -> tuple[Member, ...]:
        """The living processes of a tree, with what is needed to prove them."""
        return (await self._look(target)).members

    async def stop(
        self,
        target: Target,
        right: Right,
        patience_s: float,
        begin: Callable[[Sequence[str]], None] = lambda command: None,  # noqa: ARG005 (nobody looks)
    ) -> None:
        """End the tree. On return none of it lives.

        `begin` is called immediately before the first signal, with the command line that a server of somebody else's
        has now; what it raises stops the stop.

        Raises:
            NotOurs: there is no proof that it may be stopped; nothing was signalled.
            StopFailed: something of it survives.
        """
        look = await self._look(target)
        self._refuse_the_guarded(target, look)
        begin(look.command)
        if not look.members:
            return
        if await self._ask(target, right, look):
            await self._leave_time(target, look.members, patience_s)
        await self._kill(target, right, look)

    async def stop_child(self, child: ProcessIdentity) -> None:
        """End a helper process of the daemon's own, such as an installer, with all that it runs."""
        target = Target("a helper of the daemon", None, Origin.SPAWNED, child, child)
        await self.stop(target, Right(), HELPER_PATIENCE_S)

    async def sweep(self, target: Target) -> None:
        """Kill what a server that has ended left behind."""
        # It led its session, so this says that nothing is left; a look at every process takes milliseconds.
        if all(self._wing.processes.vacant(pid) for pid in {target.root.pid, target.process.pid}):
            return
        await self._kill(target, Right(), Look((), frozenset()))

    async def left_behind(self, target: Target) -> tuple[int, ...]:
        """Who carries the launch token of a tree that has ended. That alone is no proof: nobody touches them.

        Empty also where that cannot be told in `TOLD_WITHIN_S`: a process that hangs in the kernel cannot be read.
        """
        try:
            async with asyncio.timeout(TOLD_WITHIN_S):
                guard = (await self._look(target)).guard
                return await asyncio.to_thread(self._carriers, target.token, guard)
        except TimeoutError:
            return ()

    def _carriers(self, token: str | None, guard: frozenset[ProcessIdentity]) -> tuple[int, ...]:
        others = [row.identity for row in self._wing.processes.table() if row.identity not in guard]
        name = self._token_variable
        return tuple(other.pid for other in others if variable_if_told(self._wing.processes, other, name) == token)

    def _refuse_the_guarded(self, target: Target, look: Look) -> None:
        """A server may be an editor or owner itself: then its tree is empty, and yet it lives."""
        found = {member.identity for member in look.members}
        for identity in (target.process, target.root):
            if identity == target.root and not look.launched and identity not in look.guard:
                # It does something else by now, and is none of this tree.
                continue
            if identity not in found and self._wing.probe.sample(identity) is not Liveness.DEAD:
                raise NotOurs(f"pid {identity.pid} is an editor or owner itself, or run by one", hint="end it yourself")

    async def _ask(self, target: Target, right: Right, look: Look) -> bool:
        """Ask the server to end. Of whom the system tells nothing now, it may in a moment."""
        loop = asyncio.get_running_loop()
        end = loop.time() + ASKING_S
        command, asked = look.command, set[ProcessIdentity]()
        while await self._ask_once(target, right, look, asked) and loop.time() < end:
            await asyncio.sleep(ASK_AGAIN_S)
            look = await self._look(target, look.proven)
            turned = look.command != command and self._wing.probe.sample(target.process) is not Liveness.DEAD
            if turned and right.orphan:
                raise NotOurs(
                    f"pid {target.process.pid} has become another program", hint="if you know it, name it: down"
                )
        return bool(asked)

    async def _ask_once(self, target: Target, right: Right, look: Look, asked: set[ProcessIdentity]) -> bool:
        """Ask the server itself; where it has gone, everybody that is left. Whether somebody is to be asked again."""
        heads = [member for member in look.members if member.identity in (target.root, target.process)]
        outcomes = {
            member.identity: await self._signals.ask(
                member, self._evidence(target, right, member, look.guard), server=target.label
            )
            for member in heads or look.members
            if member.identity not in asked
        }
        asked.update(identity for identity, outcome in outcomes.items() if outcome is Outcome.SENT)
        living = [m for m in heads if self._wing.probe.sample(m.identity) is not Liveness.DEAD]
        if living and Outcome.HELD in outcomes.values() and not asked:
            raise NotOurs(
                f"pid {living[0].identity.pid} may not be stopped: the proof is missing",
                hint="the daemon's log has the reason: godot-supervisor logs",
            )
        return Outcome.UNTOLD in outcomes.values()

    async def _leave_time(self, target: Target, members: tuple[Member, ...], patience_s: float) -> None:
        heads = [member.identity for member in members if member.identity in (target.root, target.process)]
        rest = [member.identity for member in members if member.identity not in heads]
        loop = asyncio.get_running_loop()
        end = loop.time() + patience_s
        if await self._gone(heads, patience_s) and rest:
            await self._gone(rest, min(ORPHANED_PATIENCE_S, end - loop.time()))

    async def _kill(self, target: Target, right: Right, before: Look) -> None:
        """Kill until a look finds nobody: what forks between two looks is found by the next."""
        loop = asyncio.get_running_loop()
        end = loop.time() + KILL_PATIENCE_S
        pause_s = 0.05
        while True:
            look = await self._look(target, before.proven)
            living = [m for m in _provable(target, before, look) if self._lives(m)]
            if not living:
                return
            killed = [
                member.identity
                for member in living
                if self._signals.kill(member, self._evidence(target, right, member, look.guard), server=target.label)
                is Outcome.SENT
            ]
            left_over = all(member.link is Link.LEFT_OVER for member in living)
            if not killed and left_over:
                # Not provably ours: held, and told by the refused signals.
                return
            if loop.time() > end:
                pids = ", ".join(str(member.identity.pid) for member in living)
                raise StopFailed(
                    f"still alive after a kill: pid {pids}", data={"pids": [m.identity.pid for m in living]}
                )
            if not killed:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, ASK_AGAIN_S)
            await self._gone(killed, max(0.05, end - loop.time()))

    def _lives(self, member: Member) -> bool:
        return self._wing.probe.sample(member.identity) is not Liveness.DEAD

    async def _look(self, target: Target, proven: frozenset[ProcessIdentity] = frozenset()) -> Look:
        table, commands = await asyncio.to_thread(self._read, target)
        editors = {editor.process for editor in self._records.editors.values()}
        editors |= {owner.process for record in self._records.servers.values() for owner in record.owners}
        roots = {r for record in self._records.servers.values() for r in (record.root, record.process) if r}
        guard = guarded(table, editors, self._me, {*roots, target.root, target.process})
        if target.foreign:
            return _foreign_look(table, target, commands, guard, proven)
        members = {member.identity: member for member in tree(table, target.root, guard)}
        if target.process != target.root:
            below = tree(table, target.process, guard)
            members = {**{member.identity: member for member in below}, **members}
        found = tuple(members.values())
        if any(member.link is Link.LEFT_OVER for member in found):
            found = await asyncio.to_thread(self._with_tokens, found)
        return Look(found, guard)

    def _read(self, target: Target) -> tuple[Sequence[ProcessRow], Mapping[ProcessIdentity, tuple[str, ...]]]:
        """The process table, and the command lines that tell what is somebody else's. Blocking."""
        table = self._wing.processes.table()
        if not target.foreign:
            return table, {}
        wanted = {target.process, target.root, *parents(table, target.process)}
        described = [(identity, self._wing.probe.describe(identity.pid)) for identity in wanted]
        return table, {identity: seen.command for identity, seen in described if seen.identity == identity}

    def _with_tokens(self, members: Iterable[Member]) -> tuple[Member, ...]:
        """Blocking: the memory of a process that hangs in the kernel cannot be read."""
        return tuple(
            replace(member, launch_token=variable_if_told(self._wing.processes, member.identity, self._token_variable))
            if member.link is Link.LEFT_OVER
            else member
            for member in members
        )

    def _evidence(self, target: Target, right: Right, member: Member, guard: frozenset[ProcessIdentity]) -> Evidence:
        return Evidence(
            observed=self._signals.observe(member.identity.pid),
            token=target.token,
            origin=target.origin,
            named=right.named,
            orphan=right.orphan,
            guarded=guard,
        )

    async def _gone(self, identities: Iterable[ProcessIdentity], patience_s: float) -> bool:
        """Whether all of them have ended in time."""
        try:
            async with asyncio.timeout(max(0.0, patience_s)):
                for identity in identities:
                    await self.end_of(identity)
        except TimeoutError:
            return False
        return True

    async def end_of(self, identity: ProcessIdentity) -> None:
        """Wait until a process has ended."""
        ended = asyncio.Event()
        watch = self._wing.exits.watch(identity, ended.set)
        with contextlib.closing(watch):
            await ended.wait()


def _foreign_look(
    table: Sequence[ProcessRow],
    target: Target,
    commands: Mapping[ProcessIdentity, tuple[str, ...]],
    guard: frozenset[ProcessIdentity],
    proven: frozenset[ProcessIdentity],
) -> Look:
    """A launcher may have turned to something else since it was found: then it is none of this tree."""
    above = launchers(table, target.process, commands, guard)
    if any(row.identity == target.process for row in table):
        launched = target.root in (target.process, *above)
    else:
        launched = still_launches(table, target.root, commands, guard, proven)
    members = foreign_tree(table, target.process, target.root if launched else target.process, guard)
    found = {member.identity for member in members}
    proven = proven | found | (set(above) if launched else set())
    return Look(members, guard, commands.get(target.process, ()), proven, launched)


def _provable(target: Target, before: Look, now: Look) -> list[Member]:
    """What is found now, and what was found when the stop began: its parents may have ended since."""
    members = {member.identity: member for member in (*before.members, *now.members)}
    if not now.launched and target.root != target.process:
        members.pop(target.root, None)
    return list(members.values())


def target_of(record: ServerRecord, token: str | None) -> Target | None:
    """The tree of a server; None: it never had a process."""
    root = record.root or record.process
    process = record.process or record.root
    if root is None or process is None:
        return None
    return Target(record.id, token, record.origin, root, process, record.foreign)
