"""The methods that change servers, and those that ask for the outcome of a change or cancel it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

from ...core.model import Editor, ServerRecord
from ...core.single_flight import Operation
from ...engine.attachments import Attachments
from ...engine.operations.known_requests import KnownRequests
from ...engine.operations.operation import take_lane_of
from ...engine.starting.adopt import AdoptRequest
from ...engine.starting.resolve import EnsureRequest
from ...engine.state.context import EngineContext
from ...engine.supervisor import Supervisor
from ...errors import NotFound
from ...wire.messages.common import Server
from ...wire.messages.requests import RequestCancel, RequestCancelResult, RequestResult
from ...wire.messages.servers import ServerAdopt, ServerEnsure, ServerRestart, ServerStop
from ..named_requests import Caller, NamedRequests, RequestScope
from ..pending import PendingRequests
from ..progress import CallProgress
from ..views import Views
from .editors import attached
from .table import mutation, read

P = TypeVar("P", ServerEnsure, ServerAdopt, ServerStop, ServerRestart)

Perform = Callable[[P], Awaitable[ServerRecord]]


class OperationMethods:
    """Handlers of `server.ensure`, `server.adopt`, `server.stop`, `server.restart` and `request.*`."""

    def __init__(
        self,
        supervisor: Supervisor,
        known: KnownRequests,
        attachments: Attachments,
        context: EngineContext,
        views: Views,
    ) -> None:
        self._supervisor = supervisor
        self._known = known
        self._attachments = attachments
        self._records = context.records
        self._views = views
        self._pending = PendingRequests()
        self._requests = NamedRequests(known.knows)

    @mutation("server.ensure")
    async def _ensure(self, params: ServerEnsure, progress: CallProgress) -> Server:
        async def perform(params: ServerEnsure) -> ServerRecord:
            wanted = EnsureRequest(
                kind=params.kind,
                editor=await self._owner(params),
                project=params.project,
                version=params.version,
                engine_version=params.engine_version,
                ports=params.ports or {},
                request_id=params.request,
            )
            return await self._supervisor.ensure(wanted, progress)

        return await self._once(Operation.ENSURE, perform, params, progress)

    @mutation("server.adopt")
    async def _adopt(self, params: ServerAdopt, progress: CallProgress) -> Server:
        async def perform(params: ServerAdopt) -> ServerRecord:
            owner = await attached(self._attachments, params.owner, None) if params.owner is not None else None
            wanted = AdoptRequest(params.pid, params.port, params.kind, owner, params.request)
            return await self._supervisor.adopt(wanted, progress)

        return await self._once(Operation.ADOPT, perform, params, progress)

    @mutation("server.stop")
    async def _stop(self, params: ServerStop, progress: CallProgress) -> Server:
        async def perform(params: ServerStop) -> ServerRecord:
            return await self._supervisor.stop(
                params.server, progress, editor=params.editor, force=params.force, request_id=params.request
            )

        return await self._once(Operation.STOP, perform, params, progress)

    @mutation("server.restart")
    async def _restart(self, params: ServerRestart, progress: CallProgress) -> Server:
        async def perform(params: ServerRestart) -> ServerRecord:
            return await self._supervisor.restart(
                params.server, progress, editor=params.editor, force=params.force, request_id=params.request
            )

        return await self._once(Operation.RESTART, perform, params, progress)

    @mutation("request.result")
    async def _result(self, params: RequestResult, progress: CallProgress) -> Server:
        progress.request_id = params.request
        name = self._requests.find(params.request, progress.caller, self._scope(params))
        return self._views.server(await self._known.result(name, progress))

    @read("request.cancel", with_caller=True)
    async def _cancel(self, params: RequestCancel, caller: Caller) -> RequestCancelResult:
        # A coroutine, because tasks begin in order: the request of the frame just before has begun when this runs.
        name = self._requests.find(params.request, caller, self._scope(params))
        try:
            return RequestCancelResult(goes_on=self._known.cancel(name))
        except NotFound:
            if not self._pending.cancel(name):
                raise
            return RequestCancelResult()

    async def _once(self, operation: Operation, perform: "Perform[P]", params: P, progress: CallProgress) -> Server:
        """Perform an operation, or return the outcome of the same request if the client has sent it before.

        A repeated request is answered before anything that it names is looked up, because its server may have been
        forgotten since, and its editor may have ended, as a result of that very request.
        """
        take_lane_of(operation)
        if params.request is None:
            return self._views.server(await perform(params))
        progress.request_id = params.request
        request = self._requests.begin(params.request, progress.caller, self._scope(params), operation, params)
        name = request.engine_name
        known = self._known.repeat(name, operation, None, progress)
        if known is not None:
            return self._views.server(await known)
        with self._requests.pending(request), self._pending.cancellable(name):
            return self._views.server(await perform(replace(params, request=name)))

    def _scope(self, params: Any) -> RequestScope:
        """Return for which editor or owner a client asks, as far as the records tell without asking the system."""
        editor, owner = getattr(params, "editor", None), getattr(params, "owner", None)
        if editor is not None:
            known = self._records.editors.get(editor)
            names = {f"editor {editor}", *([f"pid {known.process.pid}"] if known else [])}
            return RequestScope(frozenset(names), known.process if known else None)
        if owner is None:
            return RequestScope()
        process = self._attachments.process_of_pid(owner.pid)
        if owner.start_token is not None and process is not None and process.start_token != owner.start_token:
            process = None
        return RequestScope(frozenset({f"pid {owner.pid}"}), process)

    async def _owner(self, params: ServerEnsure) -> Editor | None:
        """Return the editor that is to own the server. A process that was never attached is attached now."""
        if params.editor is not None:
            return self._attachments.prove_alive(self._records.editor(params.editor))
        if params.owner is None:
            return None
        return await attached(self._attachments, params.owner, params.project)
