"""One client's connection: bytes in, flow control, and the greeting that admits the client.

An `asyncio.BufferedProtocol` instead of streams, because a read then costs one turn of the event loop.
"""

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from ..errors import Busy, ParseError, SupervisorError, Unauthorized
from ..wire import fields, framing, jsonrpc
from ..wire.jsonrpc import InvalidEnvelope, Notification, Request
from ..wire.messages.session import Hello
from .all_connections import AllConnections
from .calls import Calls
from .methods.table import GREETING
from .outbound import Outbound

if TYPE_CHECKING:
    from socket import socket

HELLO_S = 5.0
"""Seconds that a client on TCP has to authenticate itself."""

FLUSH_S = 2.0
"""Seconds for sending what is queued when a connection closes."""

READ_SIZE = 16 * 1024

FRAMES_A_TURN = 16
"""Frames of one client that are served in one turn of the event loop. A client that sends a thousand requests at once
must not delay the other clients."""


class Connection(asyncio.BufferedProtocol):
    """Reads frames and hands requests to `Calls`. Pauses reading while the client does not read its answers.

    The connection has a buffer of its own, because for a plain protocol asyncio allocates 256 KiB for each read, which
    costs as much as a `ping`.
    """

    def __init__(self, all_connections: AllConnections, *, needs_token: bool) -> None:
        self._all_connections = all_connections
        self._needs_token = needs_token
        self._authenticated = False
        self._buffer: memoryview | None = None
        """Made when the client first sends, and dropped with the transport: a crowd of refused clients costs none."""
        self._decoder = framing.LineDecoder()
        self._lines: deque[bytes] = deque()
        self._is_serving_scheduled = False
        """Whether the next turn of the event loop serves further frames."""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport
        self._outbound = Outbound(all_connections, self.hang_up)
        self._calls = Calls(all_connections, self._outbound)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._transport = cast("asyncio.Transport", transport)
        # asyncio's TransportSocket wraps the socket and has everything that a peer check reads.
        peer = cast("socket", transport.get_extra_info("socket"))
        if not self._needs_token and not self._all_connections.peers.same_user(peer):
            self._all_connections.refusals.record("connection.refused", "the peer is another user")
            self._transport.abort()
            return
        self._outbound.begin(self._transport)
        try:
            self._all_connections.enter(self, authenticated=not self._needs_token)
        except Busy as problem:
            self._refuse(None, problem)
            return
        if self._needs_token:
            overdue = Unauthorized(f"no hello within {HELLO_S:g} s")
            self._timer = asyncio.get_running_loop().call_later(HELLO_S, self._refuse, None, overdue)
        else:
            self._authenticated = True

    def get_buffer(self, _sizehint: int) -> memoryview:
        """See `asyncio.BufferedProtocol`."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(READ_SIZE))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """See `asyncio.BufferedProtocol`."""
        if not self._outbound.open:
            return
        try:
            lines = self._decoder.feed(bytes(self.get_buffer(nbytes)[:nbytes]))
        except ParseError as problem:
            self._refuse(None, problem)
            return
        self._lines.extend(lines)
        if not self._is_serving_scheduled:
            self._serve_some()

    def pause_writing(self) -> None:
        """See `asyncio.BufferedProtocol`. Requests of a client that does not read its answers are not read either."""
        self._outbound.clogged = True
        self._pause_or_resume_reading()

    def resume_writing(self) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._outbound.unclog()
        if not self._is_serving_scheduled:
            self._serve_some()

    def eof_received(self) -> None:
        """See `asyncio.BufferedProtocol`. A client that stops writing has gone, so its requests are cancelled."""
        self.hang_up()

    def connection_lost(self, _reason: Exception | None) -> None:
        """See `asyncio.BufferedProtocol`."""
        self._buffer = None
        self._stop_serving()
        self._all_connections.leave(self)

    async def until_answered(self) -> None:
        """Wait for the requests in flight to be answered."""
        await self._calls.until_answered()

    def hang_up(self) -> None:
        """Send what is queued, within a bounded time, and close."""
        if self._outbound.open:
            self._stop_serving()
            self._transport.close()
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._transport.abort)

    def abort(self) -> None:
        """Close at once."""
        self._stop_serving()
        self._transport.abort()

    def _stop_serving(self) -> None:
        self._outbound.close()
        self._lines.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._calls.end()

    def _serve_some(self) -> None:
        """Serve some of the frames that have arrived. The rest waits for the next turn, after the other clients."""
        self._is_serving_scheduled = False
        for _ in range(FRAMES_A_TURN):
            if not self._can_serve():
                break
            self._serve_frame(self._lines.popleft())
        self._pause_or_resume_reading()
        if self._can_serve():
            self._is_serving_scheduled = True
            asyncio.get_running_loop().call_soon(self._serve_some)

    def _can_serve(self) -> bool:
        return bool(self._lines) and self._outbound.open and not self._outbound.clogged

    def _pause_or_resume_reading(self) -> None:
        """Read only when nothing waits: unread bytes stay in the client's buffers and cost the daemon nothing."""
        if not self._outbound.open:
            return
        if self._lines or self._outbound.clogged:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _serve_frame(self, line: bytes) -> None:
        try:
            message = jsonrpc.parse_from_client(line)
        except ParseError as problem:
            # The bytes of an unauthenticated client may be another protocol, so an HTTP client gets no answer to relay.
            if self._authenticated:
                self._outbound.send_error(None, problem)
            else:
                self.hang_up()
        except InvalidEnvelope as problem:
            if self._authenticated:
                self._outbound.send_error(problem.id, problem)
            else:
                self._refuse(problem.id, Unauthorized("the first message must be hello"))
        else:
            self._serve_message(message)

    def _serve_message(self, message: Request | Notification) -> None:
        if isinstance(message, Notification):
            # The protocol has no notifications from clients, and JSON-RPC forbids an answer to one.
            if not self._authenticated:
                self._refuse(None, Unauthorized("the first message must be hello"))
        elif message.method == GREETING:
            self._answer_hello(message)
        elif self._authenticated:
            self._calls.serve(message)
        else:
            self._refuse(message.id, Unauthorized("the first message must be hello", hint="with endpoint.json's token"))

    def _answer_hello(self, request: Request) -> None:
        try:
            hello = fields.decode(Hello, request.params)
            self._all_connections.check_hello(hello, proven=self._authenticated)
        except SupervisorError as problem:
            if self._authenticated:
                self._outbound.send_error(request.id, problem)
            else:
                self._refuse(request.id, problem)
            return
        self._calls.caller.introduce(hello.client)
        if not self._authenticated:
            self._authenticated = True
            self._all_connections.mark_authenticated(self)
            if self._timer is not None:
                self._timer.cancel()
        self._calls.reply(request, replace(self._all_connections.greeting, protocol=hello.protocol))

    def _refuse(self, identifier: jsonrpc.Id | None, problem: SupervisorError) -> None:
        self._all_connections.refusals.record("connection.closed", problem.message)
        self._outbound.send_error(identifier, problem)
        self.hang_up()
