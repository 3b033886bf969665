"""The calls of one connection: each request from its envelope to its answer, and the streams that follow an answer."""

import asyncio
import secrets
from functools import partial
from types import CoroutineType
from typing import Any

from ..errors import Busy, Cancelled, Internal, InvalidRequest, ShuttingDown, SupervisorError
from ..wire import fields, framing, json_text, jsonrpc
from ..wire.jsonrpc import Request
from .all_connections import AllConnections
from .methods.streams import End, NewStream
from .methods.table import Method
from .named_requests import Caller
from .outbound import Outbound
from .progress import CallProgress

IN_FLIGHT = 256
"""Requests and streams that one connection may have at once."""

RETRY_AFTER_MS = 100

Task = asyncio.Task[object]


class Calls:
    """Answers the calls of one connection: reads at once, mutations and slow reads by tasks, which end with it."""

    def __init__(self, all_connections: AllConnections, outbound: Outbound) -> None:
        self._all_connections = all_connections
        self._outbound = outbound
        self._tasks: dict[jsonrpc.Id, Task] = {}
        self._streams: dict[jsonrpc.Id, End] = {}
        self.caller = Caller()

    def serve(self, request: Request) -> None:
        """Answer a request of an authenticated client, now or later. Errors are answers as well."""
        try:
            self._check_in_flight(request)
            method = self._all_connections.methods.find(request.method)
            params = fields.decode(method.params, request.params)
            if method.mutation:
                self._mutate(request, method, params)
                return
            answer = method.answer(params, self.caller)
            if isinstance(answer, CoroutineType):
                self._track(request, asyncio.get_running_loop().create_task(answer), None)
            else:
                self.reply(request, answer)
        except Exception as problem:  # noqa: BLE001 - answered, and logged if the daemon is at fault
            self._fail(request, problem)

    def reply(self, request: Request, answer: object) -> None:
        """Send an answer, a dataclass of `wire.messages` or a `NewStream`.

        Raises:
            TypeError, ValueError, RecursionError: the answer cannot be written as a frame.
        """
        if isinstance(answer, NewStream):
            self.reply(request, answer.answer)
            if self._outbound.open:
                self._streams[request.id] = answer.begin(request.id, self._outbound.publish, self._outbound.has_room)
            if not self._outbound.open:
                # The client could not take the first notifications, so the connection closed while they were sent.
                self._end_streams()
            return
        self._outbound.send(framing.frame_text(jsonrpc.result_envelope_text(request.id, json_text.json_of(answer))))

    async def until_answered(self) -> None:
        """Wait for the requests in flight to be answered."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    def end(self) -> None:
        """Cancel every request in flight and end every stream, because the client has gone."""
        for task in self._tasks.values():
            task.cancel()
        self.caller.leave()
        self._end_streams()

    def _end_streams(self) -> None:
        while self._streams:
            self._streams.popitem()[1]()

    def _check_in_flight(self, request: Request) -> None:
        if request.id in self._tasks or request.id in self._streams:
            raise InvalidRequest(f"request {request.id!r} is still running on this connection")
        if len(self._tasks) + len(self._streams) >= IN_FLIGHT:
            problem = f"{IN_FLIGHT} requests are running on this connection"
            raise Busy(problem, hint="wait for answers", retry_after_ms=RETRY_AFTER_MS)

    def _mutate(self, request: Request, method: Method[Any], params: object) -> None:
        if self._all_connections.closing:
            raise ShuttingDown("the daemon is shutting down", retry_after_ms=1000)
        progress = CallProgress(request.id, self._outbound.notify, self.caller)
        self._track(request, asyncio.get_running_loop().create_task(method.perform(params, progress)), progress)

    def _track(self, request: Request, task: Task, progress: CallProgress | None) -> None:
        self._tasks[request.id] = task
        task.add_done_callback(partial(self._answer_call, request, progress))

    def _answer_call(self, request: Request, progress: CallProgress | None, task: Task) -> None:
        self._tasks.pop(request.id, None)
        if progress is not None:
            progress.close()
        if task.cancelled():
            self._fail(request, Cancelled(f"{request.method} was cancelled"))
            return
        try:
            answer = task.result()
        except Exception as problem:  # noqa: BLE001 - answered, and logged if the daemon is at fault
            # The protocol promises that BUSY never follows `accepted`.
            breaks_promise = progress is not None and progress.admitted and isinstance(problem, Busy)
            self._fail(request, problem, breaks_promise=breaks_promise)
        else:
            self._outbound.when_room(partial(self._reply_or_fail, request, answer))

    def _reply_or_fail(self, request: Request, answer: object) -> None:
        try:
            self.reply(request, answer)
        except Exception as problem:  # noqa: BLE001 - answered, and logged if the daemon is at fault
            self._fail(request, problem)

    def _fail(self, request: Request, problem: Exception, *, breaks_promise: bool = False) -> None:
        """Answer with an error. `breaks_promise`: the protocol rules the error out here, so it is a defect."""
        if isinstance(problem, SupervisorError) and not breaks_promise:
            try:
                self._outbound.send_error(request.id, problem)
            except (TypeError, ValueError, RecursionError) as unsendable:
                problem = unsendable
            else:
                return
        reference = secrets.token_hex(4)
        self._all_connections.log.error("request.failed", reference=reference, method=request.method, exc_info=problem)
        failure = Internal(
            f"the daemon failed on {request.method}",
            hint=f"the reason is in its log, under {reference}: godot-supervisor logs --daemon",
            data={"log": reference},
        )
        self._outbound.send_error(request.id, failure)
