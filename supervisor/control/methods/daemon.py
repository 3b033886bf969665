"""The methods of the daemon as a whole: its status, the reaper, ports, the configuration, and its end."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from ...engine.starting.versions.recipe_checks import unusable_kinds
from ...engine.state.context import EngineContext
from ...engine.supervisor import Inspector, Supervisor
from ...values import frozen
from ...wire.messages import daemon as d
from ...wire.messages.common import AiClientInfo, EditorInfo, Server
from ...wire.messages.session import Ping, PingResult
from ..conversions import bridge_info, explained_port
from ..views import Views
from .table import read


class ShutDown(Protocol):
    """Begins the end of the daemon."""

    def __call__(self, *, servers: bool) -> None:
        """Return at once. `servers`: stop the servers too."""
        ...


@frozen
class About:
    """The facts of the running daemon that `status` shows, and the acts that concern it as a whole.

    `notes` is called at every `status`. `reload` returns the settings that wait for the next start. `variables` are the
    names of environment variables that clients compare with their own.
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
    shut_down: ShutDown
    variables: tuple[str, ...] = ()


class DaemonMethods:
    """Handlers of `ping`, `status`, `reap`, `ports.explain` and `daemon.*`."""

    def __init__(
        self, supervisor: Supervisor, inspector: Inspector, context: EngineContext, views: Views, about: About
    ) -> None:
        self._supervisor = supervisor
        self._inspector = inspector
        self._context = context
        self._views = views
        self._about = about
        self._last_status: d.StatusResult | None = None

    @read("ping")
    def _ping(self, _: Ping) -> PingResult:
        return PingResult()

    @read("status")
    def _status(self, _: d.Status) -> object:
        return self._status_after_a_look() if self._inspector.discovery.expects_servers() else self.status()

    async def _status_after_a_look(self) -> d.StatusResult:
        await self._inspector.discovery.look_and_wait()
        return self.status()

    def status(self) -> d.StatusResult:
        """Return the status. While nothing changes, the same object is returned, whose JSON text is kept."""
        self._inspector.discovery.look_soon()
        servers, editors, clients = self._views.servers(), self._views.editors(), self._views.ai_clients.clients()
        notes = self._about.notes()
        last = self._last_status
        if last is None or not (
            last.servers is servers
            and last.editors is editors
            and last.clients is clients
            and last.daemon.notes == notes
        ):
            last = self._last_status = self._new_status(servers, editors, clients, notes)
        return last

    def _new_status(
        self,
        servers: tuple[Server, ...],
        editors: tuple[EditorInfo, ...],
        clients: tuple[AiClientInfo, ...],
        notes: tuple[str, ...],
    ) -> d.StatusResult:
        about = self._about
        return d.StatusResult(
            daemon=d.DaemonInfo(
                pid=about.pid,
                instance_id=about.instance_id,
                version=about.version,
                started_at=about.started_at,
                home=about.home,
                event_loop=about.event_loop,
                notes=notes,
                config=about.config,
                logs=about.logs,
                environments=about.environments,
                variables=about.variables,
            ),
            editors=editors,
            servers=servers,
            orphans=tuple(server.id for server in servers if server.reap.verdict != "keep"),
            left_out=self._views.left_out(servers, editors, clients),
            clients=clients,
        )

    @read("reap")
    async def _reap(self, params: d.Reap) -> d.ReapResult:
        judged = []
        for server_id in list(self._context.records.servers):
            verdict = self._views.verdict(await self._inspector.judge(server_id, act=not params.dry_run))
            judged.append(d.JudgedServer(server_id, verdict.verdict, verdict.reasons, verdict.due_in_s))
        return d.ReapResult(tuple(judged))

    @read("ports.explain")
    async def _explain(self, params: d.PortsExplain) -> d.PortsExplainResult:
        found = await self._inspector.port_reporter.explain(params.kind, params.ports or (), params.project)
        why = found.chosen.why if found.chosen is not None else None
        return d.PortsExplainResult(tuple(map(explained_port, found.ports)), found.version, why, found.notes)

    @read("daemon.reload")
    async def _reload(self, _: d.DaemonReload) -> d.DaemonReloadResult:
        waiting = await self._about.reload()
        problems = await unusable_kinds(self._context)
        outdated = (server for server in self._views.servers() if server.recipe_changes)
        return d.DaemonReloadResult(
            waiting,
            self._about.config,
            tuple(d.OutdatedServer(server.id, server.recipe_changes) for server in outdated),
            tuple(d.UnusableKind(kind, reason) for kind, reason in problems.items()),
        )

    @read("daemon.shutdown")
    async def _shutdown(self, params: d.DaemonShutdown) -> d.DaemonShutdownResult:
        found = await self._supervisor.shutdown.find_bridges() if params.servers else ()
        self._about.shut_down(servers=params.servers)
        if not params.servers:
            return d.DaemonShutdownResult()
        left = self._supervisor.shutdown.servers_left()
        return d.DaemonShutdownResult(
            tuple(server for server in self._context.records.servers if server not in left),
            tuple(d.LeftServer(server, reason) for server, reason in left.items()),
            tuple(map(bridge_info, found)),
        )
