"""Stops a server's tree: prove, ask, wait, ask the descendants, wait, kill the rest, verify that no process is left."""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum, auto

from ...core.deadlines import KILL_TIMEOUT_S
from ...core.model import Origin, ProcessIdentity
from ...core.processes.proof import SignalEvidence, TreeMember, TreeRole
from ...errors import NotOurs, StopFailed
from ...native.api import Platform
from ..state.events import Events
from ..state.records import Records
from ..state.standing import may_live
from .signals import SignalOutcome, Signals
from .tree import LOOK_TIMEOUT_S, ProcessTree, Target, TreeReader

HELPER_TIMEOUT_S = 2.0
"""How long a helper of the daemon gets to end by itself."""

DESCENDANTS_TIMEOUT_S = 2.0
"""How long descendants get to end by themselves after the server has ended, before they are asked."""

ASKING_S = 5.0
"""How long to retry the polite request while the system cannot identify the process. Must fit into `STOP_SLACK_S`."""

ASK_AGAIN_S = 0.5


class StopReason(Enum):
    """Why a server is to be stopped. The reason decides which processes are proven to be stoppable."""

    USER = auto()
    """A user asked for it."""
    ORPHAN = auto()
    """The reaper has judged the server an orphan twice."""
    DAEMON = auto()
    """The daemon ends processes that it started: a helper, leftovers, a launch that failed or that makes room."""


class Stopper:
    """Stops trees. Reads at every step which processes must not be touched."""

    def __init__(
        self, platform: Platform, records: Records, events: Events, me: ProcessIdentity, token_variable: str
    ) -> None:
        self._platform = platform
        self._tree_reader = TreeReader(platform, records, me, token_variable)
        self._events = events
        self._signals = Signals(platform.probe, platform.processes, events)

    async def read_members(self, target: Target) -> tuple[TreeMember, ...]:
        """Return the living processes of a tree, with the facts that prove them."""
        return (await self._tree_reader.read(target)).members

    async def stop(
        self,
        target: Target,
        reason: StopReason,
        timeout_s: float,
        begin: Callable[[Sequence[str]], None] = lambda command: None,  # noqa: ARG005 (the default ignores it)
    ) -> tuple[int, ...]:
        """End the tree. Return the pids of the processes left running on purpose; all others of the tree have ended.

        `begin` is called immediately before the first signal, with the command line that a foreign server has now; an
        exception from it aborts the stop. `timeout_s` is the time for the server, and then again for its descendants.

        Raises:
            NotOurs: there is no proof that the tree may be stopped; no process was signalled.
            StopFailed: a process of the tree survives.
        """
        look = await self._tree_reader.read(target)
        self._refuse_the_guarded(target, look)
        begin(look.command)
        if not look.members:
            return ()
        asked = await self._ask(target, reason, look)
        heads = [member for member in look.members if member.identity in target.heads]
        in_time = asked and await self._wait_for_ends([head.identity for head in heads], timeout_s)
        look = (await self._tree_reader.read(target, look)).after(look, target)
        if in_time or not heads:
            below = [member.identity for member in look.members if member.identity not in target.heads]
            await self._wait_for_ends(below, min(DESCENDANTS_TIMEOUT_S, timeout_s))
        else:
            heads = [member for member in look.members if member.identity in target.heads]
            self._kill_all(target, reason, look, [head for head in heads if self._lives(head.identity)])
        return await self._end_the_rest(target, reason, look, timeout_s)

    async def stop_child(self, child: ProcessIdentity) -> None:
        """End a helper process of the daemon, such as an installer, and its descendants."""
        target = Target("a helper of the daemon", None, Origin.SPAWNED, child, child)
        await self.stop(target, StopReason.DAEMON, HELPER_TIMEOUT_S)

    async def end_leftovers(self, target: Target, timeout_s: float) -> tuple[int, ...]:
        """End the processes that an ended server left behind. Return the pids of those left running on purpose.

        Raises:
            StopFailed: one of them survives.
        """
        # The server led its session, so an empty session proves that no process is left. A look takes milliseconds.
        if all(self._platform.processes.is_unused(pid) for pid in {target.root.pid, target.process.pid}):
            return ()
        return await self._end_the_rest(target, StopReason.DAEMON, await self._tree_reader.read(target), timeout_s)

    async def find_left_behind(self, target: Target) -> tuple[int, ...]:
        """Return the pids that carry the launch token of an ended tree.

        The token alone is no proof, so they are not touched. The result is empty if the look takes longer than
        `LOOK_TIMEOUT_S`.
        """
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                guard = (await self._tree_reader.read(target)).guard
                return await self._platform.lanes.look(self._tree_reader.find_token_carriers, target.token, guard)
        except TimeoutError:
            return ()

    def _refuse_the_guarded(self, target: Target, look: ProcessTree) -> None:
        """Refuse a server that is an editor or owner itself: its tree is empty, although it lives."""
        found = {member.identity for member in look.members}
        for identity in (target.process, target.root):
            if identity == target.root and not look.launched and identity not in look.guard:
                # The launcher now runs something else, so it does not belong to this tree.
                continue
            if identity not in found and self._lives(identity):
                raise NotOurs(
                    f"pid {identity.pid} is an editor or owner itself, or was started by one", hint="end it yourself"
                )

    async def _ask(self, target: Target, reason: StopReason, look: ProcessTree) -> bool:
        """Ask the server to end. Retry processes that the system could not identify."""
        loop = asyncio.get_running_loop()
        end = loop.time() + ASKING_S
        command, asked = look.command, set[ProcessIdentity]()
        while await self._ask_once(target, reason, look, asked) and loop.time() < end:
            await asyncio.sleep(ASK_AGAIN_S)
            look = await self._tree_reader.read(target, look)
            turned = look.command != command and self._lives(target.process)
            if turned and reason is StopReason.ORPHAN:
                raise NotOurs(
                    f"pid {target.process.pid} has become another program",
                    hint="if it is still the server, stop it by its id: godot-supervisor down ID",
                )
        return bool(asked)

    async def _ask_once(
        self, target: Target, reason: StopReason, look: ProcessTree, asked: set[ProcessIdentity]
    ) -> bool:
        """Ask the server itself once. Return whether a process has to be asked again."""
        heads = [member for member in look.members if member.identity in target.heads]
        outcomes = await self._ask_all(target, reason, look, [m for m in heads if m.identity not in asked])
        asked.update(identity for identity, outcome in outcomes.items() if outcome is SignalOutcome.SENT)
        living = [m for m in heads if self._lives(m.identity)]
        if living and SignalOutcome.HELD in outcomes.values() and not asked:
            raise NotOurs(
                f"pid {living[0].identity.pid} may not be stopped: a proof is missing",
                hint="the daemon's log names the missing proof: godot-supervisor logs --daemon",
            )
        return SignalOutcome.UNTOLD in outcomes.values()

    async def _ask_all(
        self, target: Target, reason: StopReason, look: ProcessTree, members: Iterable[TreeMember]
    ) -> dict[ProcessIdentity, SignalOutcome]:
        return {
            member.identity: await self._signals.ask(
                member, self._evidence(target, reason, member, look.guard), server=target.label
            )
            for member in members
        }

    async def _end_the_rest(
        self, target: Target, reason: StopReason, before: ProcessTree, timeout_s: float
    ) -> tuple[int, ...]:
        """Ask the server's descendants to end and give them the same time.

        Then kill them, except those made to outlive it.

        A descendant that leads its own session may be an editor that the daemon does not recognise.
        """
        look = (await self._tree_reader.read(target, before)).after(before, target)
        rest = [m for m in look.members if m.identity not in target.heads and self._lives(m.identity)]
        outcomes = await self._ask_all(target, reason, look, rest)
        asked = [identity for identity, outcome in outcomes.items() if outcome is SignalOutcome.SENT]
        await self._wait_for_ends(asked, timeout_s)
        left = await self._kill(target, reason, look)
        if left:
            self._events.warn("server.left_behind", server=target.label, pids=list(left))
        return left

    async def _kill(self, target: Target, reason: StopReason, before: ProcessTree) -> tuple[int, ...]:
        """Kill until a look finds no living process. Return the pids of those left running.

        A process that forks between two looks is found by the next one.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + KILL_TIMEOUT_S
        pause_s = 0.05
        while True:
            look = before = (await self._tree_reader.read(target, before)).after(before, target)
            living = [m for m in look.members if self._lives(m.identity)]
            spared = await self._spared(target, living)
            living = [m for m in living if m.identity not in spared]
            killed = self._kill_all(target, reason, look, living)
            if not killed and all(member.role is TreeRole.LEFT_OVER for member in living):
                # No process is left that is proven to be the server's; refused signals were reported as events.
                return tuple(sorted(each.pid for each in {*spared, *look.editors, *look.unread} if self._lives(each)))
            if loop.time() > end:
                pids = ", ".join(str(member.identity.pid) for member in living)
                raise StopFailed(
                    f"still alive after a kill: pid {pids}", data={"pids": [m.identity.pid for m in living]}
                )
            if not killed:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, ASK_AGAIN_S)
            await self._wait_for_ends(killed, max(0.05, end - loop.time()))

    async def _spared(self, target: Target, living: Collection[TreeMember]) -> frozenset[ProcessIdentity]:
        """Return the processes that are apart and hold no port that the server's next launch needs."""
        apart = frozenset(member.identity for member in living if member.apart)
        return apart - await self._tree_reader.find_listening(target, apart)

    def _kill_all(
        self, target: Target, reason: StopReason, look: ProcessTree, members: Iterable[TreeMember]
    ) -> list[ProcessIdentity]:
        """Kill these processes where that is proven right. Return those that got the signal."""
        return [
            member.identity
            for member in members
            if self._signals.kill(member, self._evidence(target, reason, member, look.guard), server=target.label)
            is SignalOutcome.SENT
        ]

    def _lives(self, identity: ProcessIdentity) -> bool:
        return may_live(self._platform.probe, identity)

    def _evidence(
        self, target: Target, reason: StopReason, member: TreeMember, guard: frozenset[ProcessIdentity]
    ) -> SignalEvidence:
        return SignalEvidence(
            process_now=self._signals.identify(member.identity.pid),
            token=target.token,
            origin=target.origin,
            stop_requested=reason is StopReason.USER,
            orphan=reason is StopReason.ORPHAN,
            guarded=guard,
        )

    async def _wait_for_ends(self, identities: Iterable[ProcessIdentity], timeout_s: float) -> bool:
        """Return whether all of them have ended in time."""
        try:
            async with asyncio.timeout(max(0.0, timeout_s)):
                for identity in identities:
                    await self.wait_for_end(identity)
        except TimeoutError:
            return False
        return True

    async def wait_for_end(self, identity: ProcessIdentity) -> None:
        """Wait until a process has ended."""
        ended = asyncio.Event()
        watch = self._platform.exits.watch(identity, ended.set)
        with contextlib.closing(watch):
            await ended.wait()
