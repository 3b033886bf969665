"""Stopping a server's tree: prove, ask, wait, ask what it ran, wait, kill what is left, verify that none lives."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum, auto

from ...core.deadlines import KILL_PATIENCE_S
from ...core.model import Liveness, Origin, ProcessIdentity
from ...core.processes.proof import Evidence, Link, Member
from ...errors import NotOurs, StopFailed
from ...native.api import Platform
from ..state.events import Events
from ..state.records import Records
from .signals import Outcome, Signals
from .tree import ProcessTree, Target, TreeReader

HELPER_PATIENCE_S = 2.0
"""How long a helper of the daemon gets to end by itself."""

ORPHANED_PATIENCE_S = 2.0
"""How long descendants get to end by themselves once the server itself has gone, before they are asked."""

ASKING_S = 5.0
"""For how long somebody is asked again to end of whom the system told nothing. It has to fit into `STOP_SLACK_S`."""

ASK_AGAIN_S = 0.5

TOLD_WITHIN_S = 2.0
"""How long a look may take whose only purpose is to tell people something."""


class StopReason(Enum):
    """Why a stop may be tried. It decides which processes are proven to be stoppable."""

    USER = auto()
    """A user asked for it."""
    ORPHAN = auto()
    """The reaper has judged the server an orphan twice."""
    DAEMON = auto()
    """The daemon ends what it started itself: a helper, what a server left behind, a launch that makes room."""


class Stopper:
    """Stops trees. What it may not touch is asked for at every look."""

    def __init__(
        self, platform: Platform, records: Records, events: Events, me: ProcessIdentity, token_variable: str
    ) -> None:
        self._platform = platform
        self._tree_reader = TreeReader(platform, records, me, token_variable)
        self._events = events
        self._signals = Signals(platform.probe, platform.processes, events)

    async def members(self, target: Target) -> tuple[Member, ...]:
        """The living processes of a tree, with what is needed to prove them."""
        return (await self._tree_reader.look(target)).members

    async def stop(
        self,
        target: Target,
        reason: StopReason,
        patience_s: float,
        begin: Callable[[Sequence[str]], None] = lambda command: None,  # noqa: ARG005 (nobody looks)
    ) -> tuple[int, ...]:
        """End the tree. On return none of it lives, but for what was left to itself, which is told and returned.

        `begin` is called immediately before the first signal, with the command line that a server of somebody else's
        has now; what it raises stops the stop. `patience_s`: for the server, and then for what it ran.

        Raises:
            NotOurs: there is no proof that it may be stopped; nothing was signalled.
            StopFailed: something of it survives.
        """
        look = await self._tree_reader.look(target)
        self._refuse_the_guarded(target, look)
        begin(look.command)
        if not look.members:
            return ()
        asked = await self._ask(target, reason, look)
        heads = [member for member in look.members if member.identity in target.heads]
        in_time = asked and await self._gone([head.identity for head in heads], patience_s)
        look = (await self._tree_reader.look(target, look)).after(look, target)
        if in_time or not heads:
            below = [member.identity for member in look.members if member.identity not in target.heads]
            await self._gone(below, min(ORPHANED_PATIENCE_S, patience_s))
        else:
            heads = [member for member in look.members if member.identity in target.heads]
            self._kill_all(target, reason, look, [head for head in heads if self._lives(head)])
        return await self._end_the_rest(target, reason, look, patience_s)

    async def stop_child(self, child: ProcessIdentity) -> None:
        """End a helper process of the daemon's own, such as an installer, with all that it runs."""
        target = Target("a helper of the daemon", None, Origin.SPAWNED, child, child)
        await self.stop(target, StopReason.DAEMON, HELPER_PATIENCE_S)

    async def sweep(self, target: Target, patience_s: float) -> tuple[int, ...]:
        """End what a server that has ended left behind. What was left to itself is told and returned.

        Raises:
            StopFailed: something of it survives.
        """
        # It led its session, so this says that nothing is left; a look at every process takes milliseconds.
        if all(self._platform.processes.vacant(pid) for pid in {target.root.pid, target.process.pid}):
            return ()
        return await self._end_the_rest(target, StopReason.DAEMON, await self._tree_reader.look(target), patience_s)

    async def left_behind(self, target: Target) -> tuple[int, ...]:
        """Who carries the launch token of a tree that has ended. That alone is no proof: nobody touches them.

        Empty also where that cannot be told in `TOLD_WITHIN_S`: a process that hangs in the kernel cannot be read.
        """
        try:
            async with asyncio.timeout(TOLD_WITHIN_S):
                guard = (await self._tree_reader.look(target)).guard
                return await self._platform.lanes.look(self._tree_reader.carriers, target.token, guard)
        except TimeoutError:
            return ()

    def _refuse_the_guarded(self, target: Target, look: ProcessTree) -> None:
        """A server may be an editor or owner itself: then its tree is empty, and yet it lives."""
        found = {member.identity for member in look.members}
        for identity in (target.process, target.root):
            if identity == target.root and not look.launched and identity not in look.guard:
                # It does something else by now, and is none of this tree.
                continue
            if identity not in found and self._platform.probe.sample(identity) is not Liveness.DEAD:
                raise NotOurs(f"pid {identity.pid} is an editor or owner itself, or run by one", hint="end it yourself")

    async def _ask(self, target: Target, reason: StopReason, look: ProcessTree) -> bool:
        """Ask the server to end. Of whom the system tells nothing now, it may in a moment."""
        loop = asyncio.get_running_loop()
        end = loop.time() + ASKING_S
        command, asked = look.command, set[ProcessIdentity]()
        while await self._ask_once(target, reason, look, asked) and loop.time() < end:
            await asyncio.sleep(ASK_AGAIN_S)
            look = await self._tree_reader.look(target, look)
            turned = look.command != command and self._platform.probe.sample(target.process) is not Liveness.DEAD
            if turned and reason is StopReason.ORPHAN:
                raise NotOurs(
                    f"pid {target.process.pid} has become another program", hint="if you know it, name it: down"
                )
        return bool(asked)

    async def _ask_once(
        self, target: Target, reason: StopReason, look: ProcessTree, asked: set[ProcessIdentity]
    ) -> bool:
        """Ask the server itself. Whether somebody is to be asked again."""
        heads = [member for member in look.members if member.identity in target.heads]
        outcomes = await self._ask_all(target, reason, look, [m for m in heads if m.identity not in asked])
        asked.update(identity for identity, outcome in outcomes.items() if outcome is Outcome.SENT)
        living = [m for m in heads if self._lives(m)]
        if living and Outcome.HELD in outcomes.values() and not asked:
            raise NotOurs(
                f"pid {living[0].identity.pid} may not be stopped: the proof is missing",
                hint="the daemon's log has the reason: godot-supervisor logs",
            )
        return Outcome.UNTOLD in outcomes.values()

    async def _ask_all(
        self, target: Target, reason: StopReason, look: ProcessTree, members: Iterable[Member]
    ) -> dict[ProcessIdentity, Outcome]:
        return {
            member.identity: await self._signals.ask(
                member, self._evidence(target, reason, member, look.guard), server=target.label
            )
            for member in members
        }

    async def _end_the_rest(
        self, target: Target, reason: StopReason, before: ProcessTree, patience_s: float
    ) -> tuple[int, ...]:
        """What the server ran is asked, too, and has as much time. Then it is killed, unless it was made to outlive it.

        An editor that a server has started may lead a session of its own, or be of a kind that nobody recognises here.
        """
        look = (await self._tree_reader.look(target, before)).after(before, target)
        rest = [m for m in look.members if m.identity not in target.heads and self._lives(m)]
        outcomes = await self._ask_all(target, reason, look, rest)
        asked = [identity for identity, outcome in outcomes.items() if outcome is Outcome.SENT]
        await self._gone(asked, patience_s)
        left = await self._kill(target, reason, look)
        if left:
            self._events.warn("server.left_behind", server=target.label, pids=list(left))
        return left

    async def _kill(self, target: Target, reason: StopReason, before: ProcessTree) -> tuple[int, ...]:
        """Kill until a look finds nobody: what forks between two is found by the next. Those left are returned."""
        loop = asyncio.get_running_loop()
        end = loop.time() + KILL_PATIENCE_S
        pause_s = 0.05
        while True:
            look = before = (await self._tree_reader.look(target, before)).after(before, target)
            living = [m for m in look.members if self._lives(m)]
            spared = await self._spared(target, living)
            living = [m for m in living if m.identity not in spared]
            killed = self._kill_all(target, reason, look, living)
            if not killed and all(member.link is Link.LEFT_OVER for member in living):
                # Nobody is left, or nobody who is provably ours: those are held, and told by the refused signals.
                return tuple(sorted(each.pid for each in {*spared, *look.editors, *look.unread} if self._runs(each)))
            if loop.time() > end:
                pids = ", ".join(str(member.identity.pid) for member in living)
                raise StopFailed(
                    f"still alive after a kill: pid {pids}", data={"pids": [m.identity.pid for m in living]}
                )
            if not killed:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, ASK_AGAIN_S)
            await self._gone(killed, max(0.05, end - loop.time()))

    async def _spared(self, target: Target, living: Collection[Member]) -> frozenset[ProcessIdentity]:
        """What leads a life of its own, and keeps no port of the server's from its next launch."""
        apart = frozenset(member.identity for member in living if member.apart)
        return apart - await self._tree_reader.listening(target, apart)

    def _kill_all(
        self, target: Target, reason: StopReason, look: ProcessTree, members: Iterable[Member]
    ) -> list[ProcessIdentity]:
        """Kill these, where that is proven right. Those that the signal was sent to."""
        return [
            member.identity
            for member in members
            if self._signals.kill(member, self._evidence(target, reason, member, look.guard), server=target.label)
            is Outcome.SENT
        ]

    def _lives(self, member: Member) -> bool:
        return self._runs(member.identity)

    def _runs(self, identity: ProcessIdentity) -> bool:
        return self._platform.probe.sample(identity) is not Liveness.DEAD

    def _evidence(
        self, target: Target, reason: StopReason, member: Member, guard: frozenset[ProcessIdentity]
    ) -> Evidence:
        return Evidence(
            observed=self._signals.observe(member.identity.pid),
            token=target.token,
            origin=target.origin,
            named=reason is StopReason.USER,
            orphan=reason is StopReason.ORPHAN,
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
        watch = self._platform.exits.watch(identity, ended.set)
        with contextlib.closing(watch):
            await ended.wait()
