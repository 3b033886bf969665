"""Stopping a server's tree: prove, ask, wait, kill what is left, verify that none lives."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from ..core.model import Liveness, Origin, ProcessIdentity, ServerRecord
from ..core.proof import Evidence, Link, Member, foreign_tree, guarded, tree
from ..errors import NotOurs, StopFailed
from ..native.api import Wing
from .events import Events
from .records import Records
from .signals import Outcome, Signal, Signals

KILL_PATIENCE_S = 5.0
"""How long the kernel may take to end a killed tree, in all."""

HELPER_PATIENCE_S = 2.0
"""How long a helper of the daemon gets to end by itself."""

ORPHANED_PATIENCE_S = 2.0
"""How long descendants get to end by themselves once the server itself has gone."""


@dataclass(frozen=True, slots=True)
class Right:
    """Why a stop may be tried. `named`: a user asked for it. `orphan`: judged twice, by the reaper."""

    named: bool = False
    orphan: bool = False


@dataclass(frozen=True, slots=True)
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
        found, _ = await self._look(target)
        return found

    async def stop(
        self, target: Target, right: Right, patience_s: float, begin: Callable[[], None] = lambda: None
    ) -> None:
        """End the tree. On return none of it lives.

        `begin` is called immediately before the first signal; what it raises stops the stop.

        Raises:
            NotOurs: there is no proof that it may be stopped; nothing was signalled.
            StopFailed: something of it survives.
        """
        members, guard = await self._look(target)
        self._refuse_the_guarded(target, members)
        begin()
        if not members:
            return
        asked = self._ask(target, right, members, guard)
        if asked:
            await self._leave_time(target, members, patience_s)
        await self._kill(target, right, members)

    async def stop_child(self, child: ProcessIdentity) -> None:
        """End a helper process of the daemon's own, such as an installer, with all that it runs."""
        target = Target("a helper of the daemon", None, Origin.SPAWNED, child, child)
        await self.stop(target, Right(), HELPER_PATIENCE_S)

    async def sweep(self, target: Target) -> None:
        """Kill what a server that has ended left behind."""
        # It led its session, so this says that nothing is left; a look at every process takes milliseconds.
        if self._wing.processes.vacant(target.root.pid) and self._wing.processes.vacant(target.process.pid):
            return
        await self._kill(target, Right(), ())

    async def left_behind(self, target: Target) -> tuple[int, ...]:
        """Who carries the launch token of a tree that has ended. That alone is no proof: nobody touches them."""
        _, guard = await self._look(target)

        def carriers() -> tuple[int, ...]:
            rows = [row for row in self._wing.processes.table() if row.identity not in guard]
            token = self._token_variable
            return tuple(
                r.identity.pid for r in rows if self._wing.processes.variable(r.identity, token) == target.token
            )

        return await asyncio.to_thread(carriers)

    def _refuse_the_guarded(self, target: Target, members: tuple[Member, ...]) -> None:
        """A server may be an editor or owner itself: then its tree is empty, and yet it lives."""
        found = {member.identity for member in members}
        for identity in (target.process, target.root):
            if identity not in found and self._wing.probe.sample(identity) is not Liveness.DEAD:
                raise NotOurs(f"pid {identity.pid} is an editor or owner itself, or run by one", hint="end it yourself")

    def _ask(
        self, target: Target, right: Right, members: tuple[Member, ...], guard: frozenset[ProcessIdentity]
    ) -> bool:
        """Ask the server itself; where it has gone, everybody that is left."""
        heads = [member for member in members if member.identity in (target.root, target.process)]
        outcomes = [
            self._signals.send(Signal.ASK, member, self._evidence(target, right, member, guard), server=target.label)
            for member in heads or members
        ]
        living = [m for m in heads if self._wing.probe.sample(m.identity) is not Liveness.DEAD]
        if living and Outcome.HELD in outcomes and Outcome.SENT not in outcomes:
            raise NotOurs(
                f"pid {living[0].identity.pid} may not be stopped: the proof is missing",
                hint="the daemon's log has the reason: godot-supervisor logs",
            )
        return Outcome.SENT in outcomes

    async def _leave_time(self, target: Target, members: tuple[Member, ...], patience_s: float) -> None:
        heads = [member.identity for member in members if member.identity in (target.root, target.process)]
        rest = [member.identity for member in members if member.identity not in heads]
        loop = asyncio.get_running_loop()
        end = loop.time() + patience_s
        if await self._gone(heads, patience_s) and rest:
            await self._gone(rest, min(ORPHANED_PATIENCE_S, end - loop.time()))

    async def _kill(self, target: Target, right: Right, known: tuple[Member, ...]) -> None:
        """Kill until a look finds nobody: what forks between two looks is found by the next."""
        loop = asyncio.get_running_loop()
        end = loop.time() + KILL_PATIENCE_S
        while True:
            found, guard = await self._look(target)
            provable = {member.identity: member for member in (*known, *found)}
            living = [m for m in provable.values() if self._wing.probe.sample(m.identity) is not Liveness.DEAD]
            if not living:
                return
            killed = [
                member.identity
                for member in living
                if self._signals.send(
                    Signal.KILL, member, self._evidence(target, right, member, guard), server=target.label
                )
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
                await asyncio.sleep(0.05)
            await self._gone(killed, max(0.05, end - loop.time()))

    async def _look(self, target: Target) -> tuple[tuple[Member, ...], frozenset[ProcessIdentity]]:
        table = await asyncio.to_thread(self._wing.processes.table)
        editors = {editor.process for editor in self._records.editors.values()}
        editors |= {owner.process for record in self._records.servers.values() for owner in record.owners}
        roots = {r for record in self._records.servers.values() for r in (record.root, record.process) if r}
        guard = guarded(table, editors, self._me, {*roots, target.root, target.process})
        if target.foreign:
            return foreign_tree(table, target.process, target.root, guard), guard
        members = {member.identity: member for member in tree(table, target.root, guard)}
        if target.process != target.root:
            below = tree(table, target.process, guard)
            members = {**{member.identity: member for member in below}, **members}
        found = tuple(members.values())
        if any(member.link is Link.LEFT_OVER for member in found):
            found = await asyncio.to_thread(self._with_tokens, found)
        return found, guard

    def _with_tokens(self, members: Iterable[Member]) -> tuple[Member, ...]:
        """Blocking: the memory of a process that hangs in the kernel cannot be read."""
        return tuple(
            replace(member, launch_token=self._wing.processes.variable(member.identity, self._token_variable))
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


def target_of(record: ServerRecord, token: str | None) -> Target | None:
    """The tree of a server; None: it never had a process."""
    root = record.root or record.process
    process = record.process or record.root
    if root is None or process is None:
        return None
    return Target(record.id, token, record.origin, root, process, record.foreign)
