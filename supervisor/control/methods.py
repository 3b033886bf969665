"""The verb table: each method of the protocol, and what it does."""

from collections.abc import Callable
from dataclasses import dataclass

from ..core.model import Editor
from ..engine.adopt import AdoptWish
from ..engine.claims import Claims
from ..engine.demands import EnsureWish
from ..engine.editors import Arrival
from ..engine.facilities import Facilities
from ..engine.housekeeping import Housekeeping
from ..engine.logtail import LogTail
from ..engine.requester import Requester
from ..engine.supervisor import Supervisor
from ..wire.messages import daemon as d
from ..wire.messages import editors as e
from ..wire.messages import environments as en
from ..wire.messages import leases as le
from ..wire.messages import requests as r
from ..wire.messages import servers as s
from ..wire.messages import streams as st
from ..wire.messages.common import EditorInfo, LeaseInfo, Server
from ..wire.messages.session import Ping, PingResult
from .streams import EventFeed, LogFeed
from .verbs import Verb, VerbTable
from .views import Views, environment, explained


@dataclass(frozen=True, slots=True)
class About:
    """The daemon: who it is, for `status`; and what can be done with it as a whole.

    `notes` are asked for at every call. `reload` answers with the settings that have to wait for the next start.
    """

    pid: int
    instance_id: str
    version: str
    started_at: float
    home: str
    event_loop: str
    notes: Callable[[], tuple[str, ...]]
    reload: Callable[[], tuple[str, ...]]
    shut_down: Callable[[bool], None]


class Methods:
    """What the verbs do."""

    def __init__(
        self,
        supervisor: Supervisor,
        claims: Claims,
        facilities: Facilities,
        views: Views,
        about: About,
        logs: LogTail,
        housekeeping: Housekeeping,
    ) -> None:
        self._supervisor = supervisor
        self._claims = claims
        self._facilities = facilities
        self._records = facilities.records
        self._views = views
        self._about = about
        self._event_feed = EventFeed(facilities.events, about.instance_id, self._status)
        self._log_feed = LogFeed(logs)
        self._housekeeping = housekeeping

    def table(self) -> VerbTable:
        """Every verb of this version."""
        return VerbTable(
            (
                Verb("ping", Ping, lambda _: PingResult()),
                Verb("editor.attach", e.EditorAttach, self._attach),
                Verb("editor.detach", e.EditorDetach, self._detach),
                Verb("editor.state", e.EditorState, self._editor_state),
                Verb("server.ensure", s.ServerEnsure, self._ensure, mutation=True),
                Verb("server.adopt", s.ServerAdopt, self._adopt, mutation=True),
                Verb("server.list", s.ServerList, self._list),
                Verb("server.get", s.ServerGet, self._get),
                Verb("server.stop", s.ServerStop, self._stop, mutation=True),
                Verb("server.restart", s.ServerRestart, self._restart, mutation=True),
                Verb("server.release", s.ServerRelease, self._release),
                Verb("lease.acquire", le.LeaseAcquire, self._acquire),
                Verb("lease.renew", le.LeaseRenew, lambda p: self._views.lease(*self._claims.renew(p.lease))),
                Verb("lease.release", le.LeaseRelease, lambda p: self._views.lease(*self._claims.give_back(p.lease))),
                Verb("status", d.Status, self._status),
                Verb("reap", d.Reap, self._reap),
                Verb("ports.explain", d.PortsExplain, self._explain),
                Verb("environments.list", en.EnvironmentsList, self._environments),
                Verb("environments.prune", en.EnvironmentsPrune, self._prune),
                Verb("events.subscribe", st.EventsSubscribe, self._event_feed.subscribe),
                Verb("logs.read", st.LogsRead, self._log_feed.read),
                Verb("request.result", r.RequestResult, self._result, mutation=True),
                Verb("request.cancel", r.RequestCancel, self._cancel),
                Verb("daemon.reload", d.DaemonReload, self._reload),
                Verb("daemon.shutdown", d.DaemonShutdown, self._shutdown),
            )
        )

    async def _attach(self, params: e.EditorAttach) -> EditorInfo:
        arrival = Arrival(
            params.pid, params.start_token, params.project, params.engine, params.engine_version, params.name
        )
        return self._views.editor(await self._claims.introduce(arrival))

    def _detach(self, params: e.EditorDetach) -> EditorInfo:
        return self._views.editor(self._claims.detach(params.editor, stop=params.stop))

    async def _ensure(self, params: s.ServerEnsure, requester: Requester) -> Server:
        wish = EnsureWish(
            kind=params.kind,
            editor=await self._owner(params),
            project=params.project,
            version=params.version,
            engine_version=params.engine_version,
            ports=params.ports or {},
            request=params.request,
        )
        return self._views.server(await self._supervisor.ensure(wish, requester))

    async def _adopt(self, params: s.ServerAdopt, requester: Requester) -> Server:
        owner = await self._attached(params.owner, None) if params.owner is not None else None
        wish = AdoptWish(params.pid, params.port, params.kind, owner, params.request)
        return self._views.server(await self._supervisor.adopt(wish, requester))

    def _list(self, _: s.ServerList) -> s.ServerListResult:
        self._supervisor.discovery.nudge()
        return s.ServerListResult(self._views.servers())

    async def _owner(self, params: s.ServerEnsure) -> Editor | None:
        """The editor to own the server. A process that was never attached is attached now."""
        if params.editor is not None:
            return self._claims.prove(self._records.editor(params.editor))
        if params.owner is None:
            return None
        return await self._attached(params.owner, params.project)

    async def _attached(self, claim: s.OwnerClaim, project: str | None) -> Editor:
        return await self._claims.introduce(Arrival(claim.pid, claim.start_token, claim.project or project))

    def _editor_state(self, params: e.EditorState) -> EditorInfo:
        reason = (params.reason or "it does not say why") if params.state == "busy" else None
        return self._views.editor(self._claims.occupy(params.editor, reason, params.ttl_s))

    def _get(self, params: s.ServerGet) -> object:
        return self._checked(params.server) if params.check else self._views.server(self._records.server(params.server))

    async def _checked(self, server: str) -> Server:
        return self._views.server(await self._supervisor.check(server))

    async def _stop(self, params: s.ServerStop, requester: Requester) -> Server:
        record = await self._supervisor.stop(
            params.server, requester, editor=params.editor, force=params.force, request=params.request
        )
        return self._views.server(record)

    async def _restart(self, params: s.ServerRestart, requester: Requester) -> Server:
        record = await self._supervisor.restart(
            params.server, requester, editor=params.editor, force=params.force, request=params.request
        )
        return self._views.server(record)

    def _release(self, params: s.ServerRelease) -> Server:
        return self._views.server(self._claims.release(params.server, params.editor))

    def _acquire(self, params: le.LeaseAcquire) -> LeaseInfo:
        return self._views.lease(*self._claims.acquire(params.server, params.holder, params.ttl_s))

    async def _result(self, params: r.RequestResult, requester: Requester) -> Server:
        return self._views.server(await self._supervisor.result(params.request, requester))

    def _cancel(self, params: r.RequestCancel) -> r.RequestCancelResult:
        self._supervisor.cancel(params.request)
        return r.RequestCancelResult()

    def _status(self, _: d.Status | None = None) -> d.StatusResult:
        self._supervisor.discovery.nudge()
        servers = self._views.servers()
        about = self._about
        return d.StatusResult(
            daemon=d.DaemonInfo(
                about.pid,
                about.instance_id,
                about.version,
                about.started_at,
                about.home,
                about.event_loop,
                about.notes(),
            ),
            editors=self._views.editors(),
            servers=servers,
            orphans=tuple(server.id for server in servers if server.reap.verdict != "keep"),
        )

    async def _reap(self, params: d.Reap) -> d.ReapResult:
        judged = []
        for server_id in list(self._records.servers):
            verdict = self._views.verdict(await self._supervisor.judge(server_id, act=not params.dry_run))
            judged.append(d.JudgedServer(server_id, verdict.verdict, verdict.reasons, verdict.due_in_s))
        return d.ReapResult(tuple(judged))

    async def _explain(self, params: d.PortsExplain) -> d.PortsExplainResult:
        rows = await self._supervisor.explainer.explain(params.kind, params.ports or ())
        return d.PortsExplainResult(tuple(explained(row) for row in rows))

    async def _environments(self, _: en.EnvironmentsList) -> en.EnvironmentsListResult:
        kept = await self._housekeeping.look()
        return en.EnvironmentsListResult(str(self._facilities.environments.root), tuple(map(environment, kept)))

    async def _prune(self, params: en.EnvironmentsPrune) -> en.EnvironmentsPruneResult:
        removed = await self._housekeeping.prune(dry_run=params.dry_run)
        return en.EnvironmentsPruneResult(tuple(map(environment, removed)))

    def _reload(self, _: d.DaemonReload) -> d.DaemonReloadResult:
        return d.DaemonReloadResult(self._about.reload())

    def _shutdown(self, params: d.DaemonShutdown) -> d.DaemonShutdownResult:
        self._about.shut_down(params.servers)
        return d.DaemonShutdownResult()
