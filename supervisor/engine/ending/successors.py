"""Looks for editors that are starting in the place of those that have ended or left, before a server is reaped."""

from collections.abc import Collection, Iterator, Sequence

from ...core.model import ProcessIdentity, ServerRecord
from ...core.processes.successors import STARTING_S, LeftProject, Successor, YoungProcess, follows, may_be_starting
from ...core.reaping import OwnerFact
from ...errors import InvalidParams
from ..state.context import EngineContext
from ..state.names import canonical_project


class Successors:
    """Finds the successor of a server's owners.

    A look reads the process table, so callers look only when nothing else holds the server.
    """

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._until: dict[ProcessIdentity, float] = {}
        """How long each one counts, monotonic seconds. Its age alone would not do, because wall time may be set."""

    async def find(self, record: ServerRecord, owners: Sequence[OwnerFact]) -> Successor | None:
        """Return an editor that is starting on the project of an owner that is gone, None if there is none."""
        editors = self._context.records.editors
        gone = [editors[owner.editor] for owner in owners if not owner.holds and owner.editor in editors]
        left = [
            LeftProject(editor.project, editor.started_at)
            for editor in gone
            if editor.project is not None and editor.client is None
        ]
        if not left:
            return None
        platform = self._context.platform
        known = frozenset(editor.process for editor in editors.values())
        found = await platform.lanes.look(self._look, left, known)
        now = platform.clock.monotonic()
        # One that is forgotten too early would count anew, so it is kept for longer than it can be young.
        self._until = {process: until for process, until in self._until.items() if now < until + STARTING_S}
        for candidate in found:
            if candidate.process not in self._until:
                self._until[candidate.process] = now + STARTING_S - max(0.0, candidate.age_s or 0.0)
                self._publish(record, candidate)
        ends = {candidate.process: self._until[candidate.process] for candidate in found}
        latest = max(ends, key=lambda process: ends[process], default=None)
        return None if latest is None or ends[latest] <= now else Successor(latest, ends[latest])

    def _publish(self, record: ServerRecord, candidate: YoungProcess) -> None:
        self._context.events.publish(
            "server.awaits_editor", server=record.id, pid=candidate.process.pid, age_s=candidate.age_s
        )

    def _look(self, left: Sequence[LeftProject], known: Collection[ProcessIdentity]) -> tuple[YoungProcess, ...]:
        """Return the editors that are starting on one of these projects. `known`: those that have attached. Blocks."""
        return tuple(candidate for candidate in self._young(known) if follows(candidate, left, _canonical))

    def _young(self, known: Collection[ProcessIdentity]) -> Iterator[YoungProcess]:
        probe, wall = self._context.platform.probe, self._context.platform.clock.wall()
        for row in self._context.platform.processes.table():
            started = None if row.identity in known else probe.started_at(row.identity)
            age_s = None if started is None else wall - started
            if row.identity in known or not may_be_starting(age_s) or probe.same_user(row.identity) is False:
                continue
            seen = probe.describe(row.identity.pid)
            if seen.identity == row.identity:
                yield YoungProcess(row.identity, started, age_s, seen.command)


def _canonical(folder: str) -> str | None:
    try:
        return canonical_project(folder)
    except InvalidParams:
        return None
