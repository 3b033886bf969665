"""The engine's records as the protocol shows them. Looks at what is known; asks nobody.

Clients look often, and little changes between two looks: what is shown is kept for as long as it is the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from ..core.model import (
    Bridge,
    Editor,
    Ended,
    Lease,
    Liveness,
    Occupant,
    Occupied,
    Ownership,
    ProcessIdentity,
    ServerRecord,
)
from ..core.reaping import Keep, Reap, Suspect, Verdict
from ..engine.ending.reap import Reaper
from ..engine.housekeeping import Kept, Leftover
from ..engine.logs.excerpt import bounded_tail
from ..engine.starting.advice import advice
from ..engine.starting.port_report import PortFinding
from ..engine.starting.recipe_drift import older
from ..engine.state.context import EngineContext
from ..engine.state.exit_watches import ExitWatches
from ..wire import text
from ..wire.messages.common import (
    BridgeInfo,
    EditorInfo,
    FailureInfo,
    LeaseInfo,
    OccupantInfo,
    Owner,
    ProcessInfo,
    ReapVerdict,
    RecipeChange,
    RelocatedPort,
    Server,
)
from ..wire.messages.daemon import ExplainedPort
from ..wire.messages.environments import EnvironmentInfo, EnvironmentLeftover
from ..wire.messages.servers import EndedServer

T = TypeVar("T")

SERVERS_BYTES, EDITORS_BYTES = 640 * 1024, 256 * 1024
"""What lists of them may take of a frame, whatever their number; the rest of it is for what stands beside them."""

TAILS_BYTES = 64 * 1024
"""What the ends of failed servers' logs may take of a list. `server.get` has each of them."""

NOT_JUDGED = ReapVerdict("keep", ("not judged in this state",), None)


class Views:
    """Turns records into results. `watcher` tells of processes whose end would have been noticed."""

    def __init__(self, context: EngineContext, reaper: Reaper, exit_watches: ExitWatches) -> None:
        self._context = context
        self._records = context.records
        self._probe = context.platform.probe
        self._clock = context.platform.clock
        self._reaper = reaper
        self._exit_watches = exit_watches
        self._all_servers: tuple[object, tuple[Server, ...]] = (None, ())
        self._all_editors: tuple[object, tuple[EditorInfo, ...]] = (None, ())
        self._servers: dict[str, tuple[tuple[object, ...], Server]] = {}
        self._tailless: dict[str, tuple[Server, Server]] = {}
        self._editors: dict[str, tuple[tuple[object, ...], EditorInfo]] = {}

    def server(self, record: ServerRecord) -> Server:
        """One server."""
        verdict, sessions = self._reaper.verdict(record.id), self._reaper.sessions(record.id)
        liveness = tuple(self._liveness(owner.process) for owner in record.owners)
        if record.leases or isinstance(verdict, Suspect):
            # Something in it counts down.
            return self._server(record, verdict, sessions, liveness)
        # All are frozen and replaced as a whole; holding them in the key keeps their ids from being used again.
        kinds = self._context.catalog.kinds
        key = (id(record), id(verdict), id(kinds), sessions, liveness, record, verdict, kinds)
        shown = self._servers.get(record.id)
        if shown is None or shown[0][:5] != key[:5]:
            shown = self._servers[record.id] = (key, self._server(record, verdict, sessions, liveness))
        return shown[1]

    def servers(self) -> tuple[Server, ...]:
        """All of them, or as many as fit into a frame, and no more ends of logs than `TAILS_BYTES`."""
        kinds = self._context.catalog.kinds
        now = (self._records.revision, self._reaper.revision, self._exit_watches.revision, id(kinds), kinds)
        if self._all_servers[0] != now:
            rests = all(self._rests(record) for record in self._records.servers.values())
            self._all_servers = (now if rests else None, self._look_at_servers())
        return self._all_servers[1]

    def _rests(self, record: ServerRecord) -> bool:
        """Whether it stays as it is shown until something happens: nothing counts down, no owner can end unnoticed."""
        counts_down = record.leases or isinstance(self._reaper.verdict(record.id), Suspect)
        return not counts_down and all(self._exit_watches.lives(owner.process) for owner in record.owners)

    def _look_at_servers(self) -> tuple[Server, ...]:
        records = self._records.servers
        if len(self._servers) > len(records):
            self._servers = {name: shown for name, shown in self._servers.items() if name in records}
            self._tailless = {name: shown for name, shown in self._tailless.items() if name in records}
        rows = [self.server(record) for record in records.values()]
        room = TAILS_BYTES
        for number, row in enumerate(rows):
            if row.failure is not None and row.failure.log_tail:
                room -= sum(len(line.encode()) + 3 for line in row.failure.log_tail)
                if room < 0:
                    rows[number] = self._without_tail(row)
        shown = fitting(rows, SERVERS_BYTES)
        return shown if len(shown) == len(rows) else fitting([_compact(row) for row in rows], SERVERS_BYTES)

    def _without_tail(self, row: Server) -> Server:
        known = self._tailless.get(row.id)
        if known is None or known[0] is not row:
            assert row.failure is not None  # noqa: S101 (only what failed has one)
            known = self._tailless[row.id] = (row, replace(row, failure=replace(row.failure, log_tail=())))
        return known[1]

    def editor(self, editor: Editor) -> EditorInfo:
        """One editor."""
        return self._editor(editor, tuple(record.id for record in self._records.owned_by(editor.id)))

    def editors(self) -> tuple[EditorInfo, ...]:
        """All of them, or as many as fit into a frame."""
        now = (self._records.revision, self._exit_watches.revision)
        if self._all_editors[0] != now:
            editors = self._records.editors.values()
            rests = all(each.occupation is None and self._exit_watches.lives(each.process) for each in editors)
            self._all_editors = (now if rests else None, self._look_at_editors())
        return self._all_editors[1]

    def _look_at_editors(self) -> tuple[EditorInfo, ...]:
        editors = self._records.editors
        if len(self._editors) > len(editors):
            self._editors = {name: shown for name, shown in self._editors.items() if name in editors}
        owned: dict[str, list[str]] = {}
        for record in self._records.servers.values():
            for owner in record.owners:
                owned.setdefault(owner.editor, []).append(record.id)
        rows = [self._editor(editor, tuple(owned.get(editor.id, ()))) for editor in editors.values()]
        return fitting(rows, EDITORS_BYTES)

    def left_out(self, servers: Sequence[Server], editors: Sequence[EditorInfo] | None = None) -> int:
        """How many rows these lists do not have."""
        beside = 0 if editors is None else len(self._records.editors) - len(editors)
        return len(self._records.servers) - len(servers) + beside

    def verdict(self, verdict: Verdict | None) -> ReapVerdict:
        """What the reaper thinks, and when it looks again."""
        match verdict:
            case Keep(reasons):
                return ReapVerdict("keep", reasons, None)
            case Suspect(suspicion, reasons):
                due_in = max(0.0, suspicion.due - self._clock.monotonic())
                return ReapVerdict("suspect", reasons, round(due_in, 3))
            case Reap(_, reasons):
                return ReapVerdict("reap", reasons, 0.0)
        return NOT_JUDGED

    def lease(self, server: str, lease: Lease) -> LeaseInfo:
        """A claim, and how long it still holds."""
        left = max(0.0, lease.expires - self._clock.monotonic())
        return LeaseInfo(lease.id, server, lease.holder, lease.ttl_s, round(left, 3))

    def _server(
        self, record: ServerRecord, verdict: Verdict | None, sessions: int | None, liveness: tuple[Liveness, ...]
    ) -> Server:
        now = self._clock.monotonic()
        return Server(
            id=record.id,
            kind=record.kind,
            version=record.version,
            project=record.project,
            state=record.state.value,
            origin=record.origin.value,
            process=self._process(record.process),
            root_pid=record.root.pid if record.root else None,
            ports=record.ports,
            url=record.url,
            connect=record.connect,
            owners=tuple(_owner(owner, known) for owner, known in zip(record.owners, liveness, strict=True)),
            sessions=sessions,
            leases=tuple(self.lease(record.id, lease) for lease in record.leases if lease.expires > now),
            restarts=record.restarts,
            since=record.since,
            relocated=tuple(relocated(row) for row in record.relocated),
            relocated_more=record.relocated_more,
            failure=_failure(record),
            reap=self.verdict(verdict),
            log=record.log,
            until_stopped=record.until_stopped,
            version_source=_source(record),
            version_why=record.chosen.why if record.chosen is not None and not record.foreign else None,
            notes=advice(self._context, record),
            by_client=record.by_client,
            bridges=tuple(map(bridge, record.bridges)),
            recipe_changes=tuple(RecipeChange(change.part, change.detail) for change in older(self._context, record)),
        )

    def _editor(self, editor: Editor, servers: tuple[str, ...]) -> EditorInfo:
        occupation = editor.busy(self._clock.monotonic())
        liveness = self._liveness(editor.process)
        key = (id(editor), occupation is None, liveness, servers, editor)
        shown = self._editors.get(editor.id)
        if shown is None or shown[0][:4] != key[:4]:
            info = EditorInfo(
                id=editor.id,
                pid=editor.process.pid,
                started_at=editor.started_at,
                project=editor.project,
                engine=editor.engine,
                engine_version=editor.engine_version,
                name=editor.name,
                liveness=liveness.value,
                state="busy" if occupation else "ready",
                busy=occupation.reason if occupation else None,
                servers=servers,
            )
            shown = self._editors[editor.id] = (key, info)
        return shown[1]

    def _liveness(self, identity: ProcessIdentity) -> Liveness:
        return Liveness.ALIVE if self._exit_watches.lives(identity) else self._probe.sample(identity)

    def _process(self, identity: ProcessIdentity | None) -> ProcessInfo | None:
        return None if identity is None else ProcessInfo(identity.pid, self._probe.started_at(identity))


def fitting(rows: Sequence[T], room: int) -> tuple[T, ...]:
    """As many of the first rows as take no more than so many bytes of JSON."""
    for number, row in enumerate(rows):
        room -= _size_of(text.json_of(row)) + 1
        if room < 0:
            return tuple(rows[:number])
    return tuple(rows)


def _compact(row: Server) -> Server:
    """The row without what is only for people who look at one server: `server.get` has that."""
    passed_over = row.relocated_more + len(row.relocated)
    reap = replace(row.reap, reasons=row.reap.reasons[:1])
    failure = replace(row.failure, log_tail=()) if row.failure else None
    return replace(row, relocated=(), relocated_more=passed_over, reap=reap, failure=failure)


def _size_of(json: str) -> int:
    return len(json) if json.isascii() else len(json.encode(errors="replace"))


def _failure(record: ServerRecord) -> FailureInfo | None:
    failure = record.failure
    if failure is None:
        return None
    # A registry that an earlier release wrote has longer ones.
    return FailureInfo(failure.code, failure.message, failure.exit, bounded_tail(failure.log_tail))


def _source(record: ServerRecord) -> str | None:
    """Return what has chosen the version of a server; None: others started it."""
    return None if record.chosen is None or record.foreign else record.chosen.source.value


def relocated(row: Occupied) -> RelocatedPort:
    """A port that was passed over."""
    return RelocatedPort(row.port, _occupant(row.occupant), row.reason)


def ended(row: Ended) -> EndedServer:
    """How a server has ended."""
    return EndedServer(
        row.id,
        row.kind,
        row.version,
        row.project,
        row.launch,
        row.ports,
        row.url,
        row.log,
        row.since,
        row.ended,
        row.how,
        row.exit,
        row.by,
        row.detail,
    )


def bridge(seen: Bridge) -> BridgeInfo:
    """A bridge of an AI client."""
    return BridgeInfo(seen.pid, seen.client, seen.client_pid)


def environment(kept: Kept) -> EnvironmentInfo:
    """A private environment, and what uses it."""
    found = kept.environment
    used_by = (*kept.named_by, *kept.used_by)
    return EnvironmentInfo(
        found.package, found.version, str(found.path), kept.size, used_by, found.key, found.installed, not found.usable
    )


def leftover(left: Leftover) -> EnvironmentLeftover:
    """A folder beside the private environments."""
    return EnvironmentLeftover(str(left.path), left.size, left.what, left.removable)


def explained(row: PortFinding) -> ExplainedPort:
    """A port, explained."""
    return ExplainedPort(row.port, _occupant(row.occupant), row.decision, row.reason)


def _owner(owner: Ownership, liveness: Liveness) -> Owner:
    return Owner(owner.editor, owner.process.pid, liveness.value, owner.leaving)


def _occupant(occupant: Occupant | None) -> OccupantInfo | None:
    if occupant is None:
        return None
    return OccupantInfo(occupant.pid, occupant.brief, occupant.user, occupant.since)
