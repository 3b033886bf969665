"""The engine's records as the protocol shows them, from what is known: no server is asked for it.

Clients ask often and little changes between two answers, so an answer is kept for as long as it stays the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from ..core.model import Editor, Lease, Liveness, ProcessIdentity, ServerRecord
from ..core.reaping import Keep, Reap, Suspect, Verdict
from ..engine.ending.reap import Reaper
from ..engine.starting.versions.advice import advice
from ..engine.starting.versions.recipe_drift import older
from ..engine.state.context import EngineContext
from ..engine.state.exit_watches import ExitWatches
from ..wire import text
from ..wire.messages.common import EditorInfo, LeaseInfo, ProcessInfo, ReapVerdict, RecipeChange, Server
from .conversions import bridge, failure, owner, relocated, version_source

T = TypeVar("T")

SERVERS_BYTES, EDITORS_BYTES = 640 * 1024, 256 * 1024
"""Bytes of a frame that the lists may take, however long they are. The rest is for what stands beside them."""

TAILS_BYTES = 64 * 1024
"""Bytes of a list for the log excerpts of failed servers. `server.get` returns each excerpt."""

NOT_CHECKED = ReapVerdict("keep", ("not checked",), None)


class Views:
    """Turns records into results. `exit_watches` knows the processes whose end the daemon would notice."""

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
        """Return one server."""
        verdict, sessions = self._reaper.last_verdict(record.id), self._reaper.sampler.last_session_count(record.id)
        liveness = tuple(self._liveness(owner.process) for owner in record.owners)
        if record.leases or isinstance(verdict, Suspect):
            # The remaining time of a lease or suspicion changes with every look.
            return self._server(record, verdict, sessions, liveness)
        # Compared by id, because all of them are frozen and replaced as a whole. The key holds the objects themselves
        # so that their ids are not used again.
        kinds = self._context.catalog.kinds
        key = (id(record), id(verdict), id(kinds), sessions, liveness, record, verdict, kinds)
        shown = self._servers.get(record.id)
        if shown is None or shown[0][:5] != key[:5]:
            shown = self._servers[record.id] = (key, self._server(record, verdict, sessions, liveness))
        return shown[1]

    def servers(self) -> tuple[Server, ...]:
        """Return all servers, or as many as fit into a frame, with at most `TAILS_BYTES` of log excerpts."""
        kinds = self._context.catalog.kinds
        now = (self._records.revision, self._reaper.revision, self._exit_watches.revision, id(kinds), kinds)
        if self._all_servers[0] != now:
            rests = all(self._rests(record) for record in self._records.servers.values())
            self._all_servers = (now if rests else None, self._look_at_servers())
        return self._all_servers[1]

    def _rests(self, record: ServerRecord) -> bool:
        """Return whether a server's row stays valid until an event: no countdown, no owner that can end unnoticed."""
        counts_down = record.leases or isinstance(self._reaper.last_verdict(record.id), Suspect)
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
        """Return one editor."""
        return self._editor(editor, tuple(record.id for record in self._records.owned_by(editor.id)))

    def editors(self) -> tuple[EditorInfo, ...]:
        """Return all editors, or as many as fit into a frame."""
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
            for ownership in record.owners:
                owned.setdefault(ownership.editor, []).append(record.id)
        rows = [self._editor(editor, tuple(owned.get(editor.id, ()))) for editor in editors.values()]
        return fitting(rows, EDITORS_BYTES)

    def left_out(self, servers: Sequence[Server], editors: Sequence[EditorInfo] | None = None) -> int:
        """Return how many servers and editors are missing from these lists."""
        beside = 0 if editors is None else len(self._records.editors) - len(editors)
        return len(self._records.servers) - len(servers) + beside

    def verdict(self, verdict: Verdict | None) -> ReapVerdict:
        """Return the reaper's verdict, and in how many seconds it judges again."""
        match verdict:
            case Keep(reasons):
                return ReapVerdict("keep", reasons, None)
            case Suspect(suspicion, reasons):
                due_in = max(0.0, suspicion.due - self._clock.monotonic())
                return ReapVerdict("suspect", reasons, round(due_in, 3))
            case Reap(_, reasons):
                return ReapVerdict("reap", reasons, 0.0)
        return NOT_CHECKED

    def lease(self, server: str, lease: Lease) -> LeaseInfo:
        """Return a lease with the seconds that are left of it."""
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
            owners=tuple(map(owner, record.owners, liveness)),
            sessions=sessions,
            leases=tuple(self.lease(record.id, lease) for lease in record.leases if lease.expires > now),
            restarts=record.restarts,
            since=record.since,
            relocated=tuple(relocated(row) for row in record.relocated),
            relocated_more=record.relocated_more,
            failure=failure(record),
            reap=self.verdict(verdict),
            log=record.log,
            until_stopped=record.until_stopped,
            version_source=version_source(record),
            version_why=record.chosen.why if record.chosen is not None and not record.foreign else None,
            notes=(*advice(self._context, record), *record.left),
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
    """Return as many of the first rows as fit into `room` bytes of JSON."""
    for number, row in enumerate(rows):
        room -= _size_of(text.json_of(row)) + 1
        if room < 0:
            return tuple(rows[:number])
    return tuple(rows)


def _compact(row: Server) -> Server:
    """Return the row without the details that only matter for a single server. `server.get` returns them."""
    passed_over = row.relocated_more + len(row.relocated)
    reap = replace(row.reap, reasons=row.reap.reasons[:1])
    failure = replace(row.failure, log_tail=()) if row.failure else None
    return replace(row, relocated=(), relocated_more=passed_over, reap=reap, failure=failure)


def _size_of(json: str) -> int:
    return len(json) if json.isascii() else len(json.encode(errors="replace"))
