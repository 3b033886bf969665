"""What a launch left running once the process that was started has ended, found by its launch token."""

import asyncio
import contextlib
from collections.abc import Collection

from ...core.model import Liveness, ProcessIdentity, ProcessRow
from ...core.processes.godot import is_editor
from ...core.processes.offspring import Offspring, head, ours
from ...core.processes.proof import Recognised, Unrecognised, guarded
from ...kinds.kind import Kind
from ...kinds.programs import is_of
from ...native.api import variable_if_told
from ...values import frozen
from ..state.context import TOKEN_VARIABLE, EngineContext

TOLD_WITHIN_S = 2.0
"""How long a look may take: a process that hangs in the kernel cannot be read."""

UNREAD_AGAIN_S = 0.1
"""After how long a command line that cannot be read is asked for again, within that time."""

LOOKS = 3
"""As many as a program forks to put itself into the background, and one more."""


@frozen
class Left:
    """The process table, and the processes that carry the token. `free` are those that no editor or daemon runs.

    `unread`: those that may be editors, because their command lines could not be read. `held`: they too, and what they
    run: none of it is proven to be the server.
    """

    table: tuple[ProcessRow, ...] = ()
    carriers: tuple[ProcessIdentity, ...] = ()
    guard: frozenset[ProcessIdentity] = frozenset()
    unread: frozenset[ProcessIdentity] = frozenset()
    held: frozenset[ProcessIdentity] = frozenset()

    @property
    def free(self) -> tuple[ProcessIdentity, ...]:
        """The carriers that may be the server's."""
        return tuple(carrier for carrier in self.carriers if carrier not in self.guard)


class Leftovers:
    """The looks for one launch. What is older, or carries another token, is not read again."""

    def __init__(self, context: EngineContext, token: str, root: ProcessIdentity) -> None:
        self._context = context
        self._platform = context.platform
        self._token = token
        self._root = root
        self._born = context.platform.probe.born(root)
        self._others: set[ProcessIdentity] = set()

    async def look(self) -> Left:
        """What lives of the launch. Nothing where that cannot be told in `TOLD_WITHIN_S`."""
        left = Left()
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(TOLD_WITHIN_S):
                left = await self._platform.lanes.look(self._look)
                while left.unread:
                    await asyncio.sleep(UNREAD_AGAIN_S)
                    left = await self._platform.lanes.look(self._look)
        return left

    def _look(self) -> Left:
        """Blocking. A process may fork and end between the table and its environment: one empty look proves nothing."""
        left = Left()
        for _ in range(LOOKS):
            left = self._look_once()
            if left.carriers:
                break
        return left

    def _look_once(self) -> Left:
        table = self._platform.processes.table()
        records = self._context.records
        owners = {owner.process for record in records.servers.values() for owner in record.owners}
        editors = {editor.process for editor in records.editors.values()} | owners
        roots = {r for record in records.servers.values() for r in (record.root, record.process) if r}
        carriers = tuple(row.identity for row in table if self._carries(row.identity))
        # An editor that the server launched inherits the token, and what it starts does, too.
        commands = {carrier: self._command(carrier) for carrier in carriers}
        editors |= {carrier for carrier, command in commands.items() if is_editor(command)}
        unread = frozenset(each for each, command in commands.items() if not command and self._lives(each))
        keep = roots | {self._root}
        guard = guarded(table, editors, self._context.me, keep)
        held = guarded(table, editors | unread, self._context.me, keep) if unread else guard
        return Left(table, carriers, guard, unread, held)

    def _command(self, process: ProcessIdentity) -> tuple[str, ...]:
        """What it runs; nothing where that cannot be read."""
        seen = self._platform.probe.describe(process.pid)
        return seen.command if seen.identity == process else ()

    def _lives(self, process: ProcessIdentity) -> bool:
        return self._platform.probe.sample(process) is not Liveness.DEAD

    def _carries(self, process: ProcessIdentity) -> bool:
        if process in self._others or process == self._context.me:
            return False
        born = self._platform.probe.born(process) if self._born is not None else None
        older = self._born is not None and born is not None and born < self._born
        token = None if older else variable_if_told(self._platform.processes, process, TOKEN_VARIABLE)
        # None is no answer for good: an environment reads empty while a program is being exchanged for another.
        if older or token not in (None, self._token):
            self._others.add(process)
        return token == self._token

    async def server(
        self, left: Left, kind: Kind, listening: Collection[ProcessIdentity], seen_below: Collection[ProcessIdentity]
    ) -> ProcessIdentity | Unrecognised:
        """The process of those that listen on the launch's ports which is the server; or why none is proven to be."""
        fits = await self._platform.lanes.look(self._of_the_kind, kind, left.free)
        for process in listening:
            proof = ours(
                Offspring(
                    process,
                    self._platform.probe.same_user(process),
                    seen_below=process in seen_below,
                    left_over=self._left_over(process, left),
                    command_fits=fits.get(process, False),
                    guarded=process in left.held,
                )
            )
            if not isinstance(proof, Recognised):
                return proof
        found = head(left.table, listening, fits)
        return found or Unrecognised("its ports are held by processes of which none has started the others")

    def _of_the_kind(self, kind: Kind, processes: Collection[ProcessIdentity]) -> dict[ProcessIdentity, bool]:
        """Whether each runs the kind's program. Blocking."""
        described = {process: self._platform.probe.describe(process.pid) for process in processes}
        return {process: seen.identity == process and is_of(kind, seen.command) for process, seen in described.items()}

    def _left_over(self, process: ProcessIdentity, left: Left) -> bool:
        return any(row.identity == process and row.session == self._root.pid for row in left.table)
