"""Finds the processes that a launch left running after its started process has ended, by their launch token."""

import asyncio
import contextlib
from collections.abc import Collection

from ...core.model import ProcessIdentity, ProcessRow
from ...core.processes.godot import is_editor
from ...core.processes.leftovers import LeftoverProcess, common_ancestor, judge_leftover
from ...core.processes.proof import Recognised, Unrecognised
from ...core.processes.trees import guarded_processes
from ...kinds.kind import Kind
from ...kinds.programs import is_command_of
from ...native.api import variable_if_told
from ...values import frozen
from ..state.context import TOKEN_VARIABLE, EngineContext
from ..state.standing import may_live
from .tree import LOOK_TIMEOUT_S

READ_AGAIN_S = 0.1
"""After how long a command line that could not be read is read again, within `LOOK_TIMEOUT_S`."""

READS = 3
"""How often to read before the launch counts as ended: a program forks twice to put itself into the background."""


@frozen
class Leftovers:
    """The process table, and the processes in it that carry the launch token.

    `guarded`: the editors, the daemon, and their descendants. `unreadable`: carriers that may be editors, because their
    command lines could not be read. `maybe_guarded`: `guarded`, the unreadable ones, and their descendants. None of
    these is proven to be the server.
    """

    table: tuple[ProcessRow, ...] = ()
    carriers: tuple[ProcessIdentity, ...] = ()
    guarded: frozenset[ProcessIdentity] = frozenset()
    unreadable: frozenset[ProcessIdentity] = frozenset()
    maybe_guarded: frozenset[ProcessIdentity] = frozenset()

    @property
    def unguarded(self) -> tuple[ProcessIdentity, ...]:
        """The carriers that may belong to the server."""
        return tuple(carrier for carrier in self.carriers if carrier not in self.guarded)


class LeftoverFinder:
    """Finds the leftovers of one launch. A process that is older, or carries another token, is read only once."""

    def __init__(self, context: EngineContext, token: str, root: ProcessIdentity) -> None:
        self._context = context
        self._platform = context.platform
        self._token = token
        self._root = root
        self._born = context.platform.probe.creation_order(root)
        self._not_of_launch: set[ProcessIdentity] = set()

    async def find(self) -> Leftovers:
        """Return the living processes of the launch; empty `Leftovers` if that takes longer than `LOOK_TIMEOUT_S`."""
        left = Leftovers()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(LOOK_TIMEOUT_S):
                left = await self._platform.lanes.look(self._find_blocking)
                while left.unreadable:
                    await asyncio.sleep(READ_AGAIN_S)
                    left = await self._platform.lanes.look(self._find_blocking)
        return left

    def _find_blocking(self) -> Leftovers:
        """Read until a carrier is found, at most `READS` times. Blocks.

        A process may fork and end after the table is read and before its environment is, so finding no carrier once
        proves nothing.
        """
        left = Leftovers()
        for _ in range(READS):
            left = self._read_once()
            if left.carriers:
                break
        return left

    def _read_once(self) -> Leftovers:
        table = self._platform.processes.table()
        records = self._context.records
        editors = records.owner_processes()
        carriers = tuple(row.identity for row in table if self._carries(row.identity))
        # An editor that the server launched inherits the token, and so do the editor's own children.
        commands = {carrier: self._command(carrier) for carrier in carriers}
        editors |= {carrier for carrier, command in commands.items() if is_editor(command)}
        unreadable = frozenset(
            each for each, command in commands.items() if not command and may_live(self._platform.probe, each)
        )
        keep = records.server_processes() | {self._root}
        guarded = guarded_processes(table, editors, self._context.me, keep)
        maybe_guarded = (
            guarded_processes(table, editors | unreadable, self._context.me, keep) if unreadable else guarded
        )
        return Leftovers(table, carriers, guarded, unreadable, maybe_guarded)

    def _command(self, process: ProcessIdentity) -> tuple[str, ...]:
        """Return the command line of a process, () if it cannot be read."""
        seen = self._platform.probe.describe(process.pid)
        return seen.command if seen.identity == process else ()

    def _carries(self, process: ProcessIdentity) -> bool:
        """Return whether a process carries the launch token, as far as the system tells."""
        if process in self._not_of_launch or process == self._context.me:
            return False
        born = self._platform.probe.creation_order(process) if self._born is not None else None
        older = self._born is not None and born is not None and born < self._born
        token = None if older else variable_if_told(self._platform.processes, process, TOKEN_VARIABLE)
        # None is not final: an environment reads empty while a process executes another program (execve).
        if older or token not in (None, self._token):
            self._not_of_launch.add(process)
        return token == self._token

    async def find_server(
        self,
        left: Leftovers,
        kind: Kind,
        listening: Collection[ProcessIdentity],
        seen_below: Collection[ProcessIdentity],
    ) -> ProcessIdentity | Unrecognised:
        """Return the process that is the server, or why none is proven to be.

        `listening` are the processes that listen on its ports. `seen_below` were descendants of the first process while
        that lived.
        """
        fits = await self._platform.lanes.look(self._of_the_kind, kind, left.unguarded)
        for process in listening:
            proof = judge_leftover(
                LeftoverProcess(
                    process,
                    self._platform.probe.same_user(process),
                    seen_below=process in seen_below,
                    in_session=self._is_in_session(process, left),
                    command_fits=fits.get(process, False),
                    guarded=process in left.maybe_guarded,
                )
            )
            if not isinstance(proof, Recognised):
                return proof
        found = common_ancestor(left.table, listening, fits)
        return found or Unrecognised("its ports are held by several processes without a common parent among them")

    def _of_the_kind(self, kind: Kind, processes: Collection[ProcessIdentity]) -> dict[ProcessIdentity, bool]:
        """Return for each process whether it runs the kind's program. Blocks."""
        described = {process: self._platform.probe.describe(process.pid) for process in processes}
        return {
            process: seen.identity == process and is_command_of(kind, seen.command)
            for process, seen in described.items()
        }

    def _is_in_session(self, process: ProcessIdentity, left: Leftovers) -> bool:
        """Return whether a process is in the session of the first process of the launch."""
        return any(row.identity == process and row.session == self._root.pid for row in left.table)
