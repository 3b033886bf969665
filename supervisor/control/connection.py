"""One client: frames in, frames out, its requests in flight. A protocol, not streams: a read costs one loop turn."""

import asyncio
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast

from ..errors import Busy, Cancelled, Internal, InvalidRequest, ParseError, ShuttingDown, SupervisorError, Unauthorized
from ..wire import fields, framing, jsonrpc, text
from ..wire.jsonrpc import InvalidEnvelope, Notification, Request
from ..wire.messages.notifications import Resync
from ..wire.messages.session import Hello
from .admission import Admission
from .method_table import GREETING, Method
from .progress import CallProgress
from .requests import Caller
from .streams import End, Opening

if TYPE_CHECKING:
    from socket import socket

HELLO_S = 5.0
FLUSH_S = 2.0
READ_SIZE = 16 * 1024

OUTBOUND_LIMIT = 4 * 1024 * 1024
COMFORTABLE = OUTBOUND_LIMIT // 4
"""Beyond this, what can wait does."""

IN_FLIGHT = 256
RETRY_AFTER_MS = 100

FRAMES_A_TURN = 16
"""A client that has sent a thousand requests at once is not served before everybody else."""

Task = asyncio.Task[object]


class Connection(asyncio.BufferedProtocol):
    """Reads are answered directly; mutations and slow reads are tasks that end with the connection.

    It has a buffer: for a plain protocol asyncio makes one of 256 KiB for each read, which costs as much as a `ping`.
    """

    def __init__(self, door: Admission, *, needs_token: bool) -> None:
        self._door = door
        self._needs_token = needs_token
        self._admitted = False
        self._open = False
        self._buffer = memoryview(bytearray(READ_SIZE))
        self._decoder = framing.LineDecoder()
        self._tasks: dict[jsonrpc.Id, Task] = {}
        self._streams: dict[jsonrpc.Id, End] = {}
        self._lines: deque[bytes] = deque()
        self._held: deque[Callable[[], None]] = deque()
        self._clogged = False
        self._at_work = False
        self._caller = Caller()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._transport = cast("asyncio.Transport", transport)
        # TransportSocket stands for the socket, and has all that a peer check asks.
        if not self._needs_token and not self._door.peers.same_user(cast("socket", transport.get_extra_info("socket"))):
            self._door.refusals.tell("connection.refused", "the peer is another user")
            self._transport.abort()
            return
        self._open = True
        self._transport.set_write_buffer_limits(high=COMFORTABLE)
        try:
            self._door.enter(self, known=not self._needs_token)
        except Busy as problem:
            self._refuse(None, problem)
            return
        if self._needs_token:
            overdue = Unauthorized(f"no hello within {HELLO_S:g} s")
            self._timer = asyncio.get_running_loop().call_later(HELLO_S, self._refuse, None, overdue)
        else:
            self._admitted = True

    def get_buffer(self, _sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        if not self._open:
            return
        try:
            lines = self._decoder.feed(bytes(self._buffer[:nbytes]))
        except ParseError as problem:
            self._refuse(None, problem)
            return
        self._lines.extend(lines)
        if not self._at_work:
            self._work()

    def pause_writing(self) -> None:
        """See `asyncio.BufferedProtocol`. Whoever does not fetch answers gets no more, and is not listened to."""
        self._clogged = True
        self._listen_or_not()

    def resume_writing(self) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._clogged = False
        while self._held and self._open and not self._clogged:
            self._held.popleft()()
        if not self._at_work:
            self._work()

    def _work(self) -> None:
        """Serve some of the frames that have come; the others in the next turn of the loop, after everybody else."""
        self._at_work = False
        for _ in range(FRAMES_A_TURN):
            if not self._lines or not self._open or self._clogged:
                break
            self._frame(self._lines.popleft())
        self._listen_or_not()
        if self._lines and self._open and not self._clogged:
            self._at_work = True
            asyncio.get_running_loop().call_soon(self._work)

    def _listen_or_not(self) -> None:
        """What we do not read waits with its sender, and costs us nothing."""
        if not self._open:
            return
        if self._lines or self._clogged:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def eof_received(self) -> None:
        """See `asyncio.BufferedProtocol`. A client that has stopped writing has gone: what it asked for is dropped."""
        self.hang_up()

    def connection_lost(self, _reason: Exception | None) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._retire()
        self._door.leave(self)

    async def until_answered(self) -> None:
        """Wait for the requests in flight to be answered."""
        while self._tasks:
            await asyncio.wait(self._tasks.values())

    def hang_up(self) -> None:
        """Send what is queued, within a bounded time, and close."""
        if self._open:
            self._retire()
            self._transport.close()
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._transport.abort)

    def abort(self) -> None:
        """Close at once."""
        self._retire()
        self._transport.abort()

    def _retire(self) -> None:
        self._open = False
        self._caller.gone = True
        self._lines.clear()
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tasks.values():
            task.cancel()
        self._end_streams()

    def _end_streams(self) -> None:
        while self._streams:
            self._streams.popitem()[1]()

    def _frame(self, line: bytes) -> None:
        try:
            message = jsonrpc.parse(line)
        except ParseError as problem:
            # A stranger's bytes may be another protocol's: an HTTP client gets no answer to relay.
            if self._admitted:
                self._send_error(None, problem)
            else:
                self.hang_up()
        except InvalidEnvelope as problem:
            if self._admitted:
                self._send_error(problem.id, problem)
            else:
                self._refuse(problem.id, Unauthorized("the first message must be hello"))
        else:
            self._message(message)

    def _message(self, message: Request | Notification) -> None:
        if isinstance(message, Notification):
            # The protocol has none from clients, and JSON-RPC forbids an answer.
            if not self._admitted:
                self._refuse(None, Unauthorized("the first message must be hello"))
        elif message.method == GREETING:
            self._greet(message)
        elif self._admitted:
            self._serve(message)
        else:
            self._refuse(message.id, Unauthorized("the first message must be hello", hint="with endpoint.json's token"))

    def _greet(self, request: Request) -> None:
        try:
            hello = fields.decode(Hello, request.params)
            self._door.check(hello, proven=self._admitted)
        except SupervisorError as problem:
            if self._admitted:
                self._send_error(request.id, problem)
            else:
                self._refuse(request.id, problem)
            return
        self._caller.introduce(hello.client)
        if not self._admitted:
            self._admitted = True
            self._door.recognise(self)
            if self._timer is not None:
                self._timer.cancel()
        self._reply(request, replace(self._door.greeting, protocol=hello.protocol))

    def _serve(self, request: Request) -> None:
        try:
            self._check_in_flight(request)
            verb = self._door.verbs.find(request.method)
            params = fields.decode(verb.params, request.params)
            if verb.mutation:
                self._mutate(request, verb, params)
                return
            answer = verb.answer(params, self._caller)
            if isinstance(answer, CoroutineType):
                self._track(request, asyncio.get_running_loop().create_task(answer), None)
            else:
                self._reply(request, answer)
        except Exception as problem:  # noqa: BLE001 - answered, and logged where it is none of ours
            self._fail(request, problem)

    def _check_in_flight(self, request: Request) -> None:
        if request.id in self._tasks or request.id in self._streams:
            raise InvalidRequest(f"request {request.id!r} is still running on this connection")
        if len(self._tasks) + len(self._streams) >= IN_FLIGHT:
            problem = f"{IN_FLIGHT} requests are running on this connection"
            raise Busy(problem, hint="wait for answers", retry_after_ms=RETRY_AFTER_MS)

    def _mutate(self, request: Request, verb: Method[Any], params: object) -> None:
        if self._door.closing:
            raise ShuttingDown("the daemon is on its way out", retry_after_ms=1000)
        exchange = CallProgress(request.id, self._notify, self._caller)
        self._track(request, asyncio.get_running_loop().create_task(verb.perform(params, exchange)), exchange)

    def _track(self, request: Request, task: Task, exchange: CallProgress | None) -> None:
        self._tasks[request.id] = task
        task.add_done_callback(partial(self._settled, request, exchange))

    def _settled(self, request: Request, exchange: CallProgress | None, task: Task) -> None:
        self._tasks.pop(request.id, None)
        if exchange is not None:
            exchange.close()
        if task.cancelled():
            self._fail(request, Cancelled(f"{request.method} was cancelled"))
            return
        try:
            answer = task.result()
        except Exception as problem:  # noqa: BLE001 - answered, and logged where it is none of ours
            broken = exchange is not None and exchange.admitted and isinstance(problem, Busy)
            self._fail(request, problem, promised=broken)
        else:
            self._answer(request, answer)

    def _fail(self, request: Request, problem: Exception, *, promised: bool = False) -> None:
        if isinstance(problem, SupervisorError) and not promised:
            try:
                self._send_error(request.id, problem)
            except (TypeError, ValueError, RecursionError) as unsendable:
                problem = unsendable
            else:
                return
        reference = secrets.token_hex(4)
        self._door.log.error("request.failed", reference=reference, method=request.method, exc_info=problem)
        failure = Internal(
            f"the daemon failed on {request.method}",
            hint=f"why is in its log, under {reference}: godot-supervisor logs",
            data={"log": reference},
        )
        self._send_error(request.id, failure)

    def _refuse(self, identifier: jsonrpc.Id | None, problem: SupervisorError) -> None:
        self._door.refusals.tell("connection.closed", problem.message)
        self._send_error(identifier, problem)
        self.hang_up()

    def _answer(self, request: Request, answer: object) -> None:
        """Reply, once there is room: what many requests ask for at once is more than any queue takes."""
        if self._clogged:
            self._held.append(partial(self._answer_now, request, answer))
        else:
            self._answer_now(request, answer)

    def _answer_now(self, request: Request, answer: object) -> None:
        try:
            self._reply(request, answer)
        except Exception as problem:  # noqa: BLE001 - answered, and logged where it is none of ours
            self._fail(request, problem)

    def _reply(self, request: Request, answer: object) -> None:
        if isinstance(answer, Opening):
            self._reply(request, answer.answer)
            if self._open:
                self._streams[request.id] = answer.begin(request.id, self._tell, self._has_room)
            if not self._open:
                # It could not take what there was to begin with.
                self._end_streams()
            return
        self._send(framing.frame_of(jsonrpc.result_text(request.id, text.json_of(answer))))

    def _send_error(self, identifier: jsonrpc.Id | None, problem: SupervisorError) -> None:
        self._send(framing.encode(jsonrpc.error(identifier, problem)))

    def _notify(self, method: str, params: dict[str, Any]) -> None:
        self._send(framing.encode(jsonrpc.notification(method, params)))

    def _tell(self, method: str, notice: object) -> None:
        if not self._open:
            return
        try:
            self._notify(method, fields.encode(notice))
        except ValueError as problem:
            # It fits no frame. Whoever publishes must not fail for it, and whoever listens has to look for himself.
            self._door.log.warning("notification.lost", method=method, reason=str(problem))
            self._notify("resync", fields.encode(Resync(None, "too long")))
            self.hang_up()

    def _has_room(self) -> bool:
        return self._transport.get_write_buffer_size() < COMFORTABLE

    def _send(self, frame: bytes) -> None:
        if not self._open:
            return
        self._transport.write(frame)
        if self._transport.get_write_buffer_size() > OUTBOUND_LIMIT:
            self._door.refusals.tell("connection.closed", "it does not read")
            resync = fields.encode(Resync(None, "too slow"))
            self._transport.write(framing.encode(jsonrpc.notification("resync", resync)))
            self.hang_up()
