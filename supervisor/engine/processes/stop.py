"""Stops a process tree: prove, ask, wait, ask the descendants, wait, kill the rest, verify that no process is left."""

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
"""How often the polite request is retried; also the longest pause between two attempts to kill."""


class StopReason(Enum):
    """Why a server is to be stopped. The reason decides which processes are proven to be stoppable."""

    USER = auto()
    """A user asked for it."""
    ORPHAN = auto()
    """The reaper has judged the server an orphan twice."""
    DAEMON = auto()
    """The daemon ends processes that it started: a helper, leftovers, a launch that failed or that makes room."""


class Stopper:
    """Stops process trees. Each step reads anew which processes must not be touched."""

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
        before_first_signal: Callable[[Sequence[str]], None] = lambda command: None,  # noqa: ARG005 (the default ignores it)
    ) -> tuple[int, ...]:
        """End the tree. Return the pids of the processes left running on purpose; all others of the tree have ended.

        `before_first_signal` gets the command line that a foreign server has now. An exception from it aborts the stop.
        `timeout_s` is the time for the server, and then again for its descendants.

        Raises:
            NotOurs: there is no proof that the tree may be stopped; no process was signalled.
            StopFailed: a process of the tree survives.
        """
        tree = await self._tree_reader.read(target)
        self._refuse_the_guarded(target, tree)
        before_first_signal(tree.command)
        if not tree.members:
            return ()
        asked = await self._ask_server(target, reason, tree)
        heads = [member for member in tree.members if member.identity in target.heads]
        in_time = asked and await self._wait_for_ends([head.identity for head in heads], timeout_s)
        tree = (await self._tree_reader.read(target, tree)).with_members_of(tree, target)
        if in_time or not heads:
            # The server itself has ended, now or before this stop.
            below = [member.identity for member in tree.members if member.identity not in target.heads]
            await self._wait_for_ends(below, min(DESCENDANTS_TIMEOUT_S, timeout_s))
        else:
            heads = [member for member in tree.members if member.identity in target.heads]
            killed = self._kill_members(target, reason, tree, [head for head in heads if self._lives(head.identity)])
            # A busy system takes a moment to end a killed process, which the next step would kill again.
            await self._wait_for_ends(killed, min(DESCENDANTS_TIMEOUT_S, timeout_s))
        return await self._end_the_rest(target, reason, tree, timeout_s)

    async def stop_child(self, child: ProcessIdentity) -> None:
        """End a helper process of the daemon, such as an installer, and its descendants."""
        target = Target("a helper of the daemon", None, Origin.SPAWNED, child, child)
        await self.stop(target, StopReason.DAEMON, HELPER_TIMEOUT_S)

    async def end_leftovers(self, target: Target, timeout_s: float) -> tuple[int, ...]:
        """End the processes that an ended server left behind. Return the pids of those left running on purpose.

        Raises:
            StopFailed: one of them survives.
        """
        # The server led its session, so an empty session proves that no process is left. Reading the tree takes
        # milliseconds, this question does not.
        if all(self._platform.processes.is_unused(pid) for pid in {target.root.pid, target.process.pid}):
            return ()
        return await self._end_the_rest(target, StopReason.DAEMON, await self._tree_reader.read(target), timeout_s)

    async def find_left_behind(self, target: Target) -> tuple[int, ...]:
        """Return the pids of the processes that carry the launch token of an ended tree.

        The token alone is no proof, so they are not touched. The result is empty if the tree has no token, or if the
        search takes longer than `LOOK_TIMEOUT_S`.
        """
        if target.token is None:
            return ()
        try:
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                guarded = (await self._tree_reader.read(target)).guarded
                return await self._platform.lanes.look(self._tree_reader.find_token_carriers, target.token, guarded)
        except TimeoutError:
            return ()

    def _refuse_the_guarded(self, target: Target, tree: ProcessTree) -> None:
        """Refuse to stop a server that is an editor or owner itself. Its tree is empty, although it lives.

        Raises:
            NotOurs: the server is an editor or owner, or was started by one.
        """
        found = {member.identity for member in tree.members}
        for identity in (target.process, target.root):
            if identity == target.root and not tree.root_only_runs_server and identity not in tree.guarded:
                # The launcher now runs something else, so it does not belong to this tree.
                continue
            if identity not in found and self._lives(identity):
                raise NotOurs(
                    f"pid {identity.pid} is an editor or owner itself, or was started by one", hint="end it yourself"
                )

    async def _ask_server(self, target: Target, reason: StopReason, tree: ProcessTree) -> bool:
        """Ask the server to end; retry processes that the system could not identify. Return whether one was asked.

        Raises:
            NotOurs: a proof is missing, or the process has become another program.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + ASKING_S
        command, asked = tree.command, set[ProcessIdentity]()
        while await self._ask_server_once(target, reason, tree, asked) and loop.time() < end:
            await asyncio.sleep(ASK_AGAIN_S)
            tree = await self._tree_reader.read(target, tree)
            is_other_program = tree.command != command and self._lives(target.process)
            if is_other_program and reason is StopReason.ORPHAN:
                raise NotOurs(
                    f"pid {target.process.pid} has become another program",
                    hint="if it is still the server, stop it by its id: godot-supervisor down ID",
                )
        return bool(asked)

    async def _ask_server_once(
        self, target: Target, reason: StopReason, tree: ProcessTree, asked: set[ProcessIdentity]
    ) -> bool:
        """Ask those processes of the server itself that are not in `asked`, and add those that got the request to it.

        Return whether a process has to be asked again.
        """
        heads = [member for member in tree.members if member.identity in target.heads]
        outcomes = await self._ask_members(target, reason, tree, [m for m in heads if m.identity not in asked])
        asked.update(identity for identity, outcome in outcomes.items() if outcome is SignalOutcome.SENT)
        living = [m for m in heads if self._lives(m.identity)]
        if living and SignalOutcome.HELD in outcomes.values() and not asked:
            raise NotOurs(
                f"pid {living[0].identity.pid} may not be stopped: a proof is missing",
                hint="the daemon's log names the missing proof: godot-supervisor logs --daemon",
            )
        return SignalOutcome.UNIDENTIFIED in outcomes.values()

    async def _ask_members(
        self, target: Target, reason: StopReason, tree: ProcessTree, members: Iterable[TreeMember]
    ) -> dict[ProcessIdentity, SignalOutcome]:
        return {
            member.identity: await self._signals.ask(
                member, self._evidence(target, reason, member, tree.guarded), server=target.label
            )
            for member in members
        }

    async def _end_the_rest(
        self, target: Target, reason: StopReason, earlier: ProcessTree, timeout_s: float
    ) -> tuple[int, ...]:
        """Ask the server's descendants to end, and kill those that do not end in time. Return the pids of those left.

        Descendants made to outlive the server are asked, and not killed. A descendant that leads its own session may be
        an editor that the daemon does not recognise.
        """
        tree = (await self._tree_reader.read(target, earlier)).with_members_of(earlier, target)
        rest = [m for m in tree.members if m.identity not in target.heads and self._lives(m.identity)]
        outcomes = await self._ask_members(target, reason, tree, rest)
        asked = [identity for identity, outcome in outcomes.items() if outcome is SignalOutcome.SENT]
        await self._wait_for_ends(asked, timeout_s)
        left = await self._kill_until_gone(target, reason, tree)
        if left:
            self._events.warn("server.left_behind", server=target.label, pids=list(left))
        return left

    async def _kill_until_gone(self, target: Target, reason: StopReason, earlier: ProcessTree) -> tuple[int, ...]:
        """Kill until a read finds no living process to kill. Return the pids of those left running.

        A process that forks between two reads is found by the next one.

        Raises:
            StopFailed: a process still lives after `KILL_TIMEOUT_S`.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + KILL_TIMEOUT_S
        pause_s = 0.05
        while True:
            tree = earlier = (await self._tree_reader.read(target, earlier)).with_members_of(earlier, target)
            living = [m for m in tree.members if self._lives(m.identity)]
            spared = await self._find_spared(target, living)
            living = [m for m in living if m.identity not in spared]
            killed = self._kill_members(target, reason, tree, living)
            if not killed and all(member.role is TreeRole.OF_ENDED_ROOT for member in living):
                # No process is left that is proven to be the server's; refused signals were reported as events.
                return tuple(
                    sorted(each.pid for each in {*spared, *tree.editors, *tree.unreadable} if self._lives(each))
                )
            if loop.time() > end:
                pids = ", ".join(str(member.identity.pid) for member in living)
                raise StopFailed(
                    f"still alive after a kill: pid {pids}", data={"pids": [m.identity.pid for m in living]}
                )
            if not killed:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, ASK_AGAIN_S)
            await self._wait_for_ends(killed, max(0.05, end - loop.time()))

    async def _find_spared(self, target: Target, living: Collection[TreeMember]) -> frozenset[ProcessIdentity]:
        """Return the processes that were made to outlive the server (`apart`), and hold no port of its launch."""
        apart = frozenset(member.identity for member in living if member.apart)
        return apart - await self._tree_reader.find_listening(target, apart)

    def _kill_members(
        self, target: Target, reason: StopReason, tree: ProcessTree, members: Iterable[TreeMember]
    ) -> list[ProcessIdentity]:
        """Kill these processes where that is proven right. Return those that got the signal."""
        return [
            member.identity
            for member in members
            if self._signals.kill(member, self._evidence(target, reason, member, tree.guarded), server=target.label)
            is SignalOutcome.SENT
        ]

    def _lives(self, identity: ProcessIdentity) -> bool:
        return may_live(self._platform.probe, identity)

    def _evidence(
        self, target: Target, reason: StopReason, member: TreeMember, guarded: frozenset[ProcessIdentity]
    ) -> SignalEvidence:
        return SignalEvidence(
            process_now=self._signals.identify(member.identity.pid),
            token=target.token,
            origin=target.origin,
            stop_requested=reason is StopReason.USER,
            orphan=reason is StopReason.ORPHAN,
            guarded=guarded,
        )

    async def _wait_for_ends(self, identities: Iterable[ProcessIdentity], timeout_s: float) -> bool:
        """Wait until all of them have ended, at most `timeout_s`. Return whether they have."""
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
