"""The methods that show servers."""

from ...engine.state.context import EngineContext
from ...engine.supervisor import Inspector
from ...wire.messages.common import Server
from ...wire.messages.servers import ServerGet, ServerHistory, ServerHistoryResult, ServerList, ServerListResult
from ..conversions import ended_server
from ..views import Views
from .table import read


class ServerMethods:
    """Handlers of `server.list`, `server.get` and `server.history`."""

    def __init__(self, inspector: Inspector, context: EngineContext, views: Views) -> None:
        self._inspector = inspector
        self._records = context.records
        self._views = views

    @read("server.list")
    async def _list(self, _: ServerList) -> ServerListResult:
        discovery = self._inspector.discovery
        if discovery.expects_servers():
            await discovery.look_and_wait()
        else:
            discovery.look_soon()
        servers = self._views.servers()
        return ServerListResult(servers, self._views.left_out(servers))

    @read("server.get")
    def _get(self, params: ServerGet) -> object:
        return self._checked(params.server) if params.check else self._views.server(self._records.server(params.server))

    async def _checked(self, server: str) -> Server:
        return self._views.server(await self._inspector.check(server))

    @read("server.history")
    def _history(self, params: ServerHistory) -> ServerHistoryResult:
        wanted = params.server
        launches = [each for each in self._records.history.launches() if wanted in (None, each.id)]
        return ServerHistoryResult(tuple(map(ended_server, reversed(launches))))
