"""The methods of AI clients: they introduce themselves, and tell of their tool calls."""

import asyncio
from collections.abc import Iterable

from ...core.model import ClientName
from ...engine.attachments import Attachments
from ...engine.claims.ai_clients import AiClients
from ...engine.claims.calls.tracked import CallMaker, NewCall
from ...engine.claims.editors import Arrival
from ...wire.messages.clients import (
    CallBegin,
    CallBeginResult,
    CallEnd,
    CallEndResult,
    CallReport,
    CallReportResult,
    ClientAttach,
    Introduction,
    RunningCall,
)
from ...wire.messages.common import AiClientInfo
from ..named_requests import Caller
from ..views import Views
from .table import read


class ClientMethods:
    """Handlers of `client.attach` and `call.*`. What was said on a connection ends with the connection."""

    def __init__(self, attachments: Attachments, ai_clients: AiClients, views: Views) -> None:
        self._attachments = attachments
        self._ai_clients = ai_clients
        self._tool_calls = ai_clients.tool_calls
        self._views = views
        self._makers: dict[Caller, CallMaker] = {}

    @read("client.attach", with_caller=True)
    def _attach(self, params: ClientAttach, caller: Caller) -> AiClientInfo:
        maker = self._maker(caller)
        self._ai_clients.check_new(maker, params.pid)
        said = params.client
        client = self._attachments.attach(
            Arrival(
                params.pid, params.start_token, params.project, name=said.title or said.name, client=ai_client(said)
            )
        )
        self._ai_clients.introduce(maker, client)
        maker.calls = max(maker.calls, params.calls)
        self._tool_calls.resume(maker, new_calls(call for call in params.running if call.gated))
        self._tool_calls.report(maker, maker.calls, new_calls(call for call in params.running if not call.gated))
        return self._views.ai_clients.client(client)

    # No coroutine, because the call has its place in the queue before the next frame of its client is served.
    @read("call.begin", with_caller=True)
    def _begin(self, params: CallBegin, caller: Caller) -> object:
        call = NewCall(params.call, params.server, params.tool, params.editor_pid, params.read_only)
        future = self._tool_calls.begin(self._maker(caller), call)
        return CallBeginResult(0) if future is None else self._wait(future)

    async def _wait(self, future: asyncio.Future[None]) -> CallBeginResult:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await future
        return CallBeginResult(round((loop.time() - began) * 1000))

    @read("call.end", with_caller=True)
    def _end(self, params: CallEnd, caller: Caller) -> CallEndResult:
        return CallEndResult(round(self._tool_calls.end(self._maker(caller), params.call) * 1000))

    @read("call.report", with_caller=True)
    def _report(self, params: CallReport, caller: Caller) -> CallReportResult:
        self._tool_calls.report(self._maker(caller), params.calls, new_calls(params.running))
        return CallReportResult()

    def _maker(self, caller: Caller) -> CallMaker:
        maker = self._makers.get(caller)
        if maker is None:
            maker = self._makers[caller] = self._ai_clients.new_maker(caller.who)
            caller.when_gone(lambda: self._left(caller))
        return maker

    def _left(self, caller: Caller) -> None:
        self._ai_clients.leave(self._makers.pop(caller))


def ai_client(said: Introduction) -> ClientName:
    """Return what an AI client says of itself."""
    return ClientName(said.name, said.version, said.title)


def new_calls(running: Iterable[RunningCall]) -> list[NewCall]:
    """Return reported calls as the engine takes them."""
    return [
        NewCall(call.call, call.server, call.tool, call.editor_pid, elapsed_s=call.elapsed_ms / 1000)
        for call in running
    ]
