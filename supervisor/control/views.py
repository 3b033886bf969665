"""The engine's records as the protocol shows them, from what is known: no server is asked for it.

Clients ask often and little changes between two answers, so an answer is kept for as long as it stays the same.
"""

from collections.abc import Sequence
from dataclasses import replace

from ..core.model import ClientName, Editor, Lease, Liveness, Ownership, ProcessIdentity, ServerRecord
from ..core.reaping import Keep, Reap, Suspect, Verdict
from ..engine.claims.ai_clients import AiClients
from ..engine.ending.reap import Reaper
from ..engine.starting.versions.advice import notes_on
from ..engine.starting.versions.recipe_checks import recipe_changes
from ..engine.state.context import EngineContext
from ..engine.state.exit_watches import ExitWatches
from ..wire.messages.common import (
    AiClientInfo,
    BearerRecord,
    EditorInfo,
    FailureInfo,
    LeaseInfo,
    Pin,
    ProcessInfo,
    ReapVerdict,
    RecipeChange,
    Server,
)
from .client_views import CALLS_OF_SERVER, ClientViews, first_calls, owned_servers
from .conversions import bridge_info, failure_info, owner_info, relocated_port, version_source
from .fitting import as_many_as_fit
from .view_cache import Basis, ViewCache

SERVERS_BYTES, EDITORS_BYTES = 640 * 1024, 192 * 1024
"""Bytes of a frame that the lists may take, however long they are. The rest is for what stands beside them."""

TAILS_BYTES = 64 * 1024
"""Bytes of a list for the log excerpts of failed servers. `server.get` returns each excerpt."""

NOT_CHECKED = ReapVerdict("keep", ("not checked",), None)

ALL = "all"
"""The name of a list of all servers, editors or clients in a cache of views."""


class Views:
    """Turns records into results. `exit_watches` knows the processes whose end the daemon would notice."""

    def __init__(
        self, context: EngineContext, reaper: Reaper, exit_watches: ExitWatches, ai_clients: AiClients
    ) -> None:
        self._context = context
        self._records = context.records
        self._probe = context.platform.probe
        self._clock = context.platform.clock
        self._reaper = reaper
        self._exit_watches = exit_watches
        self._tool_calls = ai_clients.tool_calls
        self.ai_clients = ClientViews(ai_clients, self._records, exit_watches, self._liveness)
        self._servers: ViewCache[Server] = ViewCache()
        self._servers_without_tail: ViewCache[Server] = ViewCache()
        self._server_lists: ViewCache[tuple[Server, ...]] = ViewCache()
        self._editors: ViewCache[EditorInfo] = ViewCache()
        self._editor_lists: ViewCache[tuple[EditorInfo, ...]] = ViewCache()

    def server(self, record: ServerRecord) -> Server:
        """Return one server."""
        verdict, sessions = self._reaper.last_verdict(record.id), self._reaper.sampler.last_session_count(record.id)
        liveness = tuple(self._liveness(owner.process) for owner in record.owners)
        if self._counts_down(record):
            return self._new_server(record, verdict, sessions, liveness)
        clients = tuple(map(self._client_of, record.owners))
        values = (sessions, liveness, clients, self._tool_calls.of_server(record.id))
        basis = Basis((record, verdict, self._context.catalog.kinds), values)
        return self._servers.get(record.id, basis, lambda: self._new_server(record, verdict, sessions, liveness))

    def servers(self) -> tuple[Server, ...]:
        """Return all servers, or as many as fit into a frame, with at most `TAILS_BYTES` of log excerpts."""
        calls = self._tool_calls.revision
        revisions = (self._records.revision, self._reaper.revision, self._exit_watches.revision, calls)
        basis = Basis((self._context.catalog.kinds,), revisions)
        return self._server_lists.get(ALL, basis, self._make_server_list, self._server_list_lasts)

    def _server_list_lasts(self) -> bool:
        return all(map(self._changes_only_by_events, self._records.servers.values()))

    def _counts_down(self, record: ServerRecord) -> bool:
        """Return whether a server's answer changes with every look: by the rest of a lease or of a suspicion."""
        return bool(record.leases) or isinstance(self._reaper.last_verdict(record.id), Suspect)

    def _changes_only_by_events(self, record: ServerRecord) -> bool:
        """Return whether a server's answer is valid until an event: no countdown, no owner that can end unnoticed."""
        watched = (self._exit_watches.is_watched(owner.process) for owner in record.owners)
        return not self._counts_down(record) and all(watched)

    def _make_server_list(self) -> tuple[Server, ...]:
        records = self._records.servers
        self._servers.keep_only(records)
        self._servers_without_tail.keep_only(records)
        servers = [self.server(record) for record in records.values()]
        room = TAILS_BYTES
        for number, server in enumerate(servers):
            if server.failure is not None and server.failure.log_tail:
                # In JSON each line has two quotes and a comma.
                room -= sum(len(line.encode()) + 3 for line in server.failure.log_tail)
                if room < 0:
                    servers[number] = self._without_tail(server, server.failure)
        shown = as_many_as_fit(servers, SERVERS_BYTES)
        return shown if len(shown) == len(servers) else as_many_as_fit(list(map(_compact, servers)), SERVERS_BYTES)

    def _without_tail(self, server: Server, failure: FailureInfo) -> Server:
        return self._servers_without_tail.get(
            server.id, Basis((server,)), lambda: replace(server, failure=replace(failure, log_tail=()))
        )

    def editor(self, editor: Editor) -> EditorInfo:
        """Return one editor."""
        return self._editor(editor, tuple(record.id for record in self._records.owned_by(editor.id)))

    def editors(self) -> tuple[EditorInfo, ...]:
        """Return all editors, or as many as fit into a frame."""
        basis = Basis((), (self._records.revision, self._exit_watches.revision))
        return self._editor_lists.get(ALL, basis, self._make_editor_list, self._editor_list_lasts)

    def _editor_list_lasts(self) -> bool:
        editors = self._real_editors()
        return all(editor.occupation is None and self._exit_watches.is_watched(editor.process) for editor in editors)

    def _make_editor_list(self) -> tuple[EditorInfo, ...]:
        self._editors.keep_only(self._records.editors)
        owned = owned_servers(self._records)
        shown = [self._editor(editor, tuple(owned.get(editor.id, ()))) for editor in self._real_editors()]
        return as_many_as_fit(shown, EDITORS_BYTES)

    def _real_editors(self) -> list[Editor]:
        return [editor for editor in self._records.editors.values() if editor.client is None]

    def left_out(
        self,
        servers: Sequence[Server],
        editors: Sequence[EditorInfo] | None = None,
        clients: Sequence[AiClientInfo] | None = None,
    ) -> int:
        """Return how many servers, editors and AI clients are missing from these lists."""
        beside = 0 if editors is None else len(self._real_editors()) - len(editors)
        beside += 0 if clients is None else self.ai_clients.left_out(clients)
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

    def _new_server(
        self, record: ServerRecord, verdict: Verdict | None, sessions: int | None, liveness: tuple[Liveness, ...]
    ) -> Server:
        now = self._clock.monotonic()
        bearer = self._context.bearer_record(record)
        calls, calls_more = first_calls(self._tool_calls.of_server(record.id), CALLS_OF_SERVER)
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
            owners=tuple(map(owner_info, record.owners, liveness, map(self._client_of, record.owners))),
            sessions=sessions,
            leases=tuple(self.lease(record.id, lease) for lease in record.leases if lease.expires > now),
            restarts=record.restarts,
            since=record.since,
            relocated=tuple(map(relocated_port, record.relocated)),
            relocated_more=record.relocated_more,
            failure=failure_info(record),
            reap=self.verdict(verdict),
            log=record.log,
            until_stopped=record.until_stopped,
            version_source=version_source(record),
            version_why=record.chosen.why if record.chosen is not None and not record.foreign else None,
            notes=(*notes_on(self._context, record), *record.left_behind),
            by_client=record.started_by_bridge,
            bridges=tuple(map(bridge_info, record.bridges)),
            bearer=None if bearer is None else BearerRecord(*bearer),
            gate=self._context.kind_of(record).gate,
            pin=self._pin(record),
            calls=calls,
            calls_more=calls_more,
            recipe_changes=tuple(
                RecipeChange(change.part, change.detail) for change in recipe_changes(self._context, record)
            ),
        )

    def _pin(self, record: ServerRecord) -> Pin | None:
        """Return how a call names its editor, or None if calls of this kind name none."""
        rule = self._context.kind_of(record).pin
        return (
            None
            if rule is None
            else Pin(
                argument=rule.argument,
                sessions=rule.sessions,
                id=rule.id,
                project=rule.project,
                pid=rule.pid,
                active=rule.active,
                tool=rule.tool,
                arguments=rule.arguments,
                resource=rule.resource,
                unknown=rule.unknown,
                exempt=rule.exempt,
            )
        )

    def _editor(self, editor: Editor, servers: tuple[str, ...]) -> EditorInfo:
        occupation = editor.busy(self._clock.monotonic())
        liveness = self._liveness(editor.process)

        def make() -> EditorInfo:
            return EditorInfo(
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

        return self._editors.get(editor.id, Basis((editor,), (occupation is None, liveness, servers)), make)

    def _client_of(self, owner: Ownership) -> ClientName | None:
        known = self._records.editors.get(owner.editor)
        return None if known is None else known.client

    def _liveness(self, identity: ProcessIdentity) -> Liveness:
        return Liveness.ALIVE if self._exit_watches.is_watched(identity) else self._probe.sample(identity)

    def _process(self, identity: ProcessIdentity | None) -> ProcessInfo | None:
        return None if identity is None else ProcessInfo(identity.pid, self._probe.started_at(identity))


def _compact(server: Server) -> Server:
    """Return a server without the details that only matter for a single server. `server.get` returns them."""
    passed_over = server.relocated_more + len(server.relocated)
    reap = replace(server.reap, reasons=server.reap.reasons[:1])
    failure = replace(server.failure, log_tail=()) if server.failure else None
    calls_more = server.calls_more + len(server.calls)
    return replace(
        server, relocated=(), relocated_more=passed_over, reap=reap, failure=failure, calls=(), calls_more=calls_more
    )
