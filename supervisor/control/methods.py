"""The verb table: each method of the protocol, and what it does."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ..core.model import Editor
from ..core.single_flight import Operation
from ..engine.attachments import Attachments
from ..engine.holders.editors import Arrival
from ..engine.housekeeping import Housekeeping
from ..engine.logs.tail import LogTail
from ..engine.operations.operation import take_lane_of
from ..engine.starting.adopt import AdoptRequest
from ..engine.starting.recipe_drift import unusable
from ..engine.starting.resolve import EnsureRequest
from ..engine.state.context import EngineContext
from ..engine.supervisor import Supervisor
from ..errors import InvalidParams, NotFound
from ..values import frozen
from ..wire.messages import daemon as d
from ..wire.messages import editors as e
from ..wire.messages import environments as en
from ..wire.messages import leases as le
from ..wire.messages import requests as r
from ..wire.messages import servers as s
from ..wire.messages.common import EditorInfo, LeaseInfo, Server
from ..wire.messages.session import PingResult
from ..wire.messages.verbs import METHODS
from .method_table import GREETING, Method, MethodTable, Mutation, Personal, Read
from .pending import PendingRequests
from .progress import CallProgress
from .requests import Caller, Requests, RequestScope
from .streams import EventFeed, LogFeed
from .views import Views, bridge, ended, environment, explained, leftover


@frozen
class About:
    """The daemon: who it is, for `status`; and what can be done with it as a whole.

    `notes` are asked for at every call. `reload` answers with the settings that have to wait for the next start.
    `variables` are the names of those that clients compare with their own.
    """

    pid: int
    instance_id: str
    version: str
    started_at: float
    home: str
    config: str
    logs: str
    environments: str
    event_loop: str
    notes: Callable[[], tuple[str, ...]]
    reload: Callable[[], Awaitable[tuple[str, ...]]]
    shut_down: Callable[[bool], None]
    variables: tuple[str, ...] = ()


class Methods:
    """What the verbs do."""

    def __init__(
        self,
        supervisor: Supervisor,
        claims: Attachments,
        context: EngineContext,
        views: Views,
        about: About,
        logs: LogTail,
        housekeeping: Housekeeping,
    ) -> None:
        self._supervisor = supervisor
        self._claims = claims
        self._context = context
        self._records = context.records
        self._views = views
        self._about = about
        self._event_feed = EventFeed(context.events, about.instance_id, self._status)
        self._log_feed = LogFeed(logs)
        self._housekeeping = housekeeping
        self._arrivals = PendingRequests()
        self._requests = Requests(supervisor.knows)
        self._last_status: d.StatusResult | None = None

    def table(self) -> MethodTable:
        """Every verb of this version.

        Raises:
            ValueError: the protocol has a verb that nobody answers, or none for what is answered here.
        """
        reads, mutations = self._reads(), self._mutations()
        if {*reads, *mutations, GREETING} != {*METHODS}:
            raise ValueError("what is answered here and the protocol's verbs differ")
        return MethodTable(
            Method(
                method,
                call.params,
                reads.get(method) or mutations[method],
                mutation=method in mutations,
                personal=method == "request.cancel",
            )
            for method, call in METHODS.items()
            if method != GREETING
        )

    def _reads(self) -> Mapping[str, Read[Any] | Personal[Any]]:
        return {
            "ping": lambda _: PingResult(),
            "editor.attach": self._attach,
            "editor.detach": self._detach,
            "editor.state": self._editor_state,
            "server.list": self._list,
            "server.get": self._get,
            "server.history": self._history,
            "server.release": self._release,
            "lease.acquire": self._acquire,
            "lease.renew": lambda params: self._views.lease(*self._claims.renew(params.lease)),
            "lease.release": lambda params: self._views.lease(*self._claims.give_back(params.lease)),
            "status": self._status,
            "reap": self._reap,
            "ports.explain": self._explain,
            "environments.list": self._environments,
            "environments.prune": self._prune,
            "events.subscribe": self._event_feed.subscribe,
            "logs.read": self._log_feed.read,
            "request.cancel": self._cancel,
            "daemon.reload": self._reload,
            "daemon.shutdown": self._shutdown,
        }

    def _mutations(self) -> Mapping[str, Mutation[Any]]:
        named: Mapping[Operation, Mutation[Any]] = {
            Operation.ENSURE: self._ensure,
            Operation.ADOPT: self._adopt,
            Operation.STOP: self._stop,
            Operation.RESTART: self._restart,
        }
        found = {operation.value: partial(self._named, operation, perform) for operation, perform in named.items()}
        return {**found, "request.result": self._result}

    async def _named(
        self, operation: Operation, perform: Mutation[Any], params: Any, requester: CallProgress
    ) -> object:
        """A mutation that may carry a request id. One that is known is answered before anything it names is looked up.

        By now its server may have been forgotten, and its editor have ended: that is what it was about.
        """
        take_lane_of(operation)
        if params.request is None:
            return await perform(params, requester)
        requester.named = params.request
        meaning = self._requests.begin(params.request, requester.caller, self._whom(params), operation, params)
        kept = self._supervisor.again(meaning.name, operation, None, requester)
        if kept is not None:
            return self._views.server(await kept)
        self._requests.arrives(meaning)
        try:
            with self._arrivals.noted(meaning.name):
                return await perform(replace(params, request=meaning.name), requester)
        finally:
            self._requests.arrived(meaning)

    def _whom(self, params: Any) -> RequestScope:
        """For whom a client asks, as far as that can be told without looking anything up."""
        editor, owner = getattr(params, "editor", None), getattr(params, "owner", None)
        if editor is not None:
            known = self._records.editors.get(editor)
            names = {f"editor {editor}", *([f"pid {known.process.pid}"] if known else [])}
            return RequestScope(frozenset(names), known.process if known else None)
        if owner is None:
            return RequestScope()
        process = self._claims.behind(owner.pid)
        if owner.start_token is not None and process is not None and process.start_token != owner.start_token:
            process = None
        return RequestScope(frozenset({f"pid {owner.pid}"}), process)

    async def _attach(self, params: e.EditorAttach) -> EditorInfo:
        arrival = Arrival(
            params.pid, params.start_token, params.project, params.engine, params.engine_version, params.name
        )
        return self._views.editor(await self._claims.introduce(arrival))

    def _detach(self, params: e.EditorDetach) -> EditorInfo:
        return self._views.editor(self._claims.detach(params.editor, stop=params.stop))

    async def _ensure(self, params: s.ServerEnsure, requester: CallProgress) -> Server:
        wish = EnsureRequest(
            kind=params.kind,
            editor=await self._owner(params),
            project=params.project,
            version=params.version,
            engine_version=params.engine_version,
            ports=params.ports or {},
            request=params.request,
        )
        return self._views.server(await self._supervisor.ensure(wish, requester))

    async def _adopt(self, params: s.ServerAdopt, requester: CallProgress) -> Server:
        owner = await self._attached(params.owner, None) if params.owner is not None else None
        wish = AdoptRequest(params.pid, params.port, params.kind, owner, params.request)
        return self._views.server(await self._supervisor.adopt(wish, requester))

    def _list(self, _: s.ServerList) -> s.ServerListResult:
        self._supervisor.discovery.nudge()
        servers = self._views.servers()
        return s.ServerListResult(servers, self._views.left_out(servers))

    async def _owner(self, params: s.ServerEnsure) -> Editor | None:
        """The editor to own the server. A process that was never attached is attached now."""
        if params.editor is not None:
            return self._claims.prove(self._records.editor(params.editor))
        if params.owner is None:
            return None
        return await self._attached(params.owner, params.project)

    async def _attached(self, claim: s.OwnerClaim, project: str | None) -> Editor:
        try:
            return await self._claims.introduce(Arrival(claim.pid, claim.start_token, claim.project or project))
        except InvalidParams as problem:
            # What its field is called where it was given.
            text = problem.message.removeprefix(f"{problem.field}: ")
            raise InvalidParams(f"owner.{problem.field}", text, hint=problem.hint) from problem

    def _editor_state(self, params: e.EditorState) -> EditorInfo:
        reason = (params.reason or "it does not say why") if params.state == "busy" else None
        return self._views.editor(self._claims.occupy(params.editor, reason, params.ttl_s))

    def _get(self, params: s.ServerGet) -> object:
        return self._checked(params.server) if params.check else self._views.server(self._records.server(params.server))

    def _history(self, params: s.ServerHistory) -> s.ServerHistoryResult:
        wanted = params.server
        rows = [row for row in self._records.history.rows() if wanted in (None, row.id)]
        return s.ServerHistoryResult(tuple(map(ended, reversed(rows))))

    async def _checked(self, server: str) -> Server:
        return self._views.server(await self._supervisor.check(server))

    async def _stop(self, params: s.ServerStop, requester: CallProgress) -> Server:
        record = await self._supervisor.stop(
            params.server, requester, editor=params.editor, force=params.force, request=params.request
        )
        return self._views.server(record)

    async def _restart(self, params: s.ServerRestart, requester: CallProgress) -> Server:
        record = await self._supervisor.restart(
            params.server, requester, editor=params.editor, force=params.force, request=params.request
        )
        return self._views.server(record)

    def _release(self, params: s.ServerRelease) -> Server:
        return self._views.server(self._claims.release(params.server, params.editor))

    def _acquire(self, params: le.LeaseAcquire) -> LeaseInfo:
        return self._views.lease(*self._claims.acquire(params.server, params.holder, params.ttl_s))

    async def _result(self, params: r.RequestResult, requester: CallProgress) -> Server:
        requester.named = params.request
        name = self._requests.find(params.request, requester.caller, self._whom(params))
        return self._views.server(await self._supervisor.result(name, requester))

    async def _cancel(self, params: r.RequestCancel, caller: Caller) -> r.RequestCancelResult:
        """Of a request whose frame came just before, the work has begun by now: tasks begin in order."""
        name = self._requests.find(params.request, caller, self._whom(params))
        try:
            return r.RequestCancelResult(goes_on=self._supervisor.cancel(name))
        except NotFound:
            if not self._arrivals.cancel(name):
                raise
            return r.RequestCancelResult()

    def _status(self, _: d.Status | None = None) -> d.StatusResult:
        self._supervisor.discovery.nudge()
        servers, editors, notes = self._views.servers(), self._views.editors(), self._about.notes()
        last = self._last_status
        if last is None or not (last.servers is servers and last.editors is editors and last.daemon.notes == notes):
            last = self._last_status = self._new_status(servers, editors, notes)
        return last

    def _new_status(
        self, servers: tuple[Server, ...], editors: tuple[EditorInfo, ...], notes: tuple[str, ...]
    ) -> d.StatusResult:
        about = self._about
        return d.StatusResult(
            daemon=d.DaemonInfo(
                about.pid,
                about.instance_id,
                about.version,
                about.started_at,
                about.home,
                about.event_loop,
                notes,
                about.config,
                about.logs,
                about.environments,
                about.variables,
            ),
            editors=editors,
            servers=servers,
            orphans=tuple(server.id for server in servers if server.reap.verdict != "keep"),
            left_out=self._views.left_out(servers, editors),
        )

    async def _reap(self, params: d.Reap) -> d.ReapResult:
        judged = []
        for server_id in list(self._records.servers):
            verdict = self._views.verdict(await self._supervisor.judge(server_id, act=not params.dry_run))
            judged.append(d.JudgedServer(server_id, verdict.verdict, verdict.reasons, verdict.due_in_s))
        return d.ReapResult(tuple(judged))

    async def _explain(self, params: d.PortsExplain) -> d.PortsExplainResult:
        found = await self._supervisor.explainer.explain(params.kind, params.ports or (), params.project)
        why = found.why.why if found.why is not None else None
        return d.PortsExplainResult(tuple(map(explained, found.ports)), found.version, why, found.notes)

    async def _environments(self, _: en.EnvironmentsList) -> en.EnvironmentsListResult:
        kept, left = await self._housekeeping.look(), await self._housekeeping.leftovers()
        folder = str(self._context.environments.root)
        return en.EnvironmentsListResult(folder, tuple(map(environment, kept)), tuple(map(leftover, left)))

    async def _prune(self, params: en.EnvironmentsPrune) -> en.EnvironmentsPruneResult:
        removed = await self._housekeeping.prune(
            dry_run=params.dry_run, named=params.all, keys=frozenset(params.environments)
        )
        left = () if params.environments else await self._housekeeping.sweep(dry_run=params.dry_run)
        return en.EnvironmentsPruneResult(tuple(map(environment, removed)), tuple(map(leftover, left)))

    async def _reload(self, _: d.DaemonReload) -> d.DaemonReloadResult:
        waiting = await self._about.reload()
        problems = await unusable(self._context)
        outdated = (row for row in self._views.servers() if row.recipe_changes)
        return d.DaemonReloadResult(
            waiting,
            self._about.config,
            tuple(d.OutdatedServer(row.id, row.recipe_changes) for row in outdated),
            tuple(d.UnusableKind(kind, reason) for kind, reason in problems.items()),
        )

    async def _shutdown(self, params: d.DaemonShutdown) -> d.DaemonShutdownResult:
        found = await self._supervisor.look_before_the_end() if params.servers else ()
        self._about.shut_down(params.servers)
        if not params.servers:
            return d.DaemonShutdownResult()
        left = self._supervisor.left_at_the_end()
        return d.DaemonShutdownResult(
            tuple(server for server in self._records.servers if server not in left),
            tuple(d.LeftServer(server, reason) for server, reason in left.items()),
            tuple(map(bridge, found)),
        )
