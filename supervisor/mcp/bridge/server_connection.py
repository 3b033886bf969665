"""One HTTP connection to a server, by h11. It performs exchanges one after the other."""

import errno
import functools
import select
import socket
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import h11

from ...native.startup.running import runs
from ..core.events_and_actions import Event, ExchangeEnded, Headers, ServerSentMessage, Text
from ..core.messages.event_stream import TooLongError
from ..core.servers import Outcome
from .address import Address
from .http_body import HttpBody
from .loop import READ, WRITE, Loop

READ_SIZE = 64 * 1024
LARGE_READ_SIZE = 512 * 1024
"""The size of a read while an answer comes faster than it is read."""
JOINED_MAX = 64 * 1024
"""Bytes of a body that is sent together with the head, so that a server is woken once for both."""
HEADERS_MAX = 64 * 1024
HTTP = b"HTTP/1."

_CONNECTING = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY, getattr(errno, "WSAEWOULDBLOCK", 0)})

UNSENDABLE = (h11.LocalProtocolError, UnicodeEncodeError)
"""What `ServerConnection.begin` raises for headers that HTTP cannot carry."""


class Request(NamedTuple):
    """The request of an exchange."""

    exchange: int
    method: str
    headers: Headers
    text: Text


Emit = Callable[[Event], None]


class ServerConnection:
    """A connection with at most one exchange. `on_released` is called when it may be used again or is closed."""

    def __init__(
        self, loop: Loop, address: Address, emit: Emit, on_released: Callable[["ServerConnection"], None]
    ) -> None:
        self._loop = loop
        self._emit = emit
        self._on_released = on_released
        self._unsent: deque[memoryview] = deque()
        self._exchange: int | None = None
        self._response: HttpBody | None = None
        self._beginning = b""
        """The first bytes of the answer."""
        self._read_at_once = READ_SIZE
        self._watched = 0
        self.is_open = True
        self._pid = address.pid
        """The process of the server, until it is known that this connection is with it."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._refused = self._socket.connect_ex((address.host, address.port)) not in _CONNECTING

    @functools.cached_property
    def _http(self) -> h11.Connection:
        """Return what writes and reads HTTP, made after the first request was sent."""
        return h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADERS_MAX)

    @property
    def exchange(self) -> int | None:
        """Return the running exchange. Returns None if there is none."""
        return self._exchange

    def is_usable(self) -> bool:
        """Return whether an idle connection may be used again: the server has neither closed it nor said anything."""
        return self.is_open and not select.select([self._socket], [], [], 0)[0]

    def begin(self, request: Request, address: Address) -> None:
        """Send a request. Nothing is emitted before this returns. Nothing is sent if one of `UNSENDABLE` is raised."""
        text = request.text
        head = _head(address, request.method, request.headers, len(text) if request.method == "POST" else None)
        self._exchange = request.exchange
        self._response = None
        self._beginning = b""
        if len(text) <= JOINED_MAX:
            self._unsent.append(memoryview(head.data + text))
        else:
            self._unsent += memoryview(head.data), memoryview(text)
        if self._refused:
            self._loop.post(self.fail)
        else:
            self._send_now()
        # The server works while h11 notes what was sent.
        self._http.send(head.request)
        if text:
            self._http.send_with_data_passthrough(h11.Data(data=text))  # type: ignore[arg-type]
        # The length is known, so that nothing follows the body.
        self._http.send(h11.EndOfMessage())

    def close(self) -> None:
        """Close the connection. No event follows."""
        if self.is_open:
            self.is_open = False
            self._exchange = None
            self._loop.forget(self._socket)
            self._socket.close()
            self._on_released(self)

    def fail(self) -> None:
        """Close the connection, and emit the end of its exchange, if it has one: NOT_SENT, or else LOST."""
        self._end_with(Outcome.LOST)

    def _send_now(self) -> None:
        """Send what the socket takes at once, without another round of the loop. What is left is sent by the loop.

        On this machine even a new connection is mostly there.
        """
        part = self._unsent[0]
        try:
            self._check_peer()
            sent = self._socket.send(part)
        except OSError:
            # The connection is not there yet, or was refused: the loop finds out.
            sent = 0
        if sent == len(part):
            self._unsent.popleft()
        else:
            self._unsent[0] = part[sent:]
        self._watch(READ | WRITE if self._unsent else READ)

    def _check_peer(self) -> None:
        """Check that a new connection is with the server, and not with a program that has its port since its end.

        The process of the server runs after the connection was made, so it had the port when the connection was made.

        Raises:
            OSError: the connection is not there yet, or the server has ended.
        """
        if self._pid is not None:
            self._socket.getpeername()
            if not runs(self._pid):
                raise ConnectionRefusedError(errno.ECONNREFUSED, "the server has ended")
            self._pid = None

    def _watch(self, events: int) -> None:
        """Have `_ready` called for these events only."""
        if events != self._watched:
            self._watched = events
            self._loop.watch(self._socket, events, self._ready)

    # --- called by the loop ---

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._write()
        if self.is_open and events & READ:
            self._read()

    def _write(self) -> None:
        try:
            self._check_peer()
            while self._unsent:
                part = self._unsent[0]
                sent = self._socket.send(part)
                if sent == len(part):
                    self._unsent.popleft()
                else:
                    self._unsent[0] = part[sent:]
        except BlockingIOError:
            return
        except OSError:
            # The server may have answered without reading everything. Its answer decides then.
            if self._response is None:
                self._read()
            if self.is_open:
                self._end_with(Outcome.LOST)
            return
        self._watch(READ)

    def _read(self) -> None:
        try:
            data = self._socket.recv(self._read_at_once)
        except BlockingIOError:
            return
        except OSError:
            self._end_with(Outcome.LOST)
            return
        self._read_at_once = LARGE_READ_SIZE if len(data) == self._read_at_once else READ_SIZE
        if self._exchange is None:
            # The server has closed an idle connection, or speaks without being asked.
            self.close()
            return
        try:
            if self._response is None:
                self._check_beginning(data)
            self._http.receive_data(data)
            self._process_events(self._exchange)
        except (h11.RemoteProtocolError, TooLongError):
            # h11 reports the end of the connection inside an answer as a violation too.
            self._end_with(Outcome.INVALID if data else Outcome.LOST)

    def _check_beginning(self, data: bytes) -> None:
        """Check that an answer begins as HTTP does. h11 looks at a head only when it is complete, which may be never.

        Raises:
            h11.RemoteProtocolError: the answer is no HTTP.
        """
        self._beginning += data[: len(HTTP) - len(self._beginning)]
        if not HTTP.startswith(self._beginning):
            raise h11.RemoteProtocolError("no HTTP")

    def _process_events(self, exchange: int) -> None:
        """Handle the events of h11 that the data has completed, up to the end of the answer."""
        while self.is_open and self._exchange == exchange:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.InformationalResponse):
                continue
            if isinstance(event, h11.Response):
                self._response = HttpBody(event)
            elif isinstance(event, h11.Data) and self._response is not None:
                for text in self._response.feed(event.data):
                    self._emit(ServerSentMessage(exchange, text, self._response.session_id))
                    if self._exchange != exchange:
                        return
            elif isinstance(event, h11.EndOfMessage) and self._response is not None:
                self._end(exchange, self._response)
            elif isinstance(event, h11.ConnectionClosed):
                self._end_with(Outcome.LOST)

    def _end(self, exchange: int, response: "HttpBody") -> None:
        """Emit the body and the end of a complete answer, and release the connection or close it."""
        text = response.take_body()
        if text is not None:
            self._emit(ServerSentMessage(exchange, text, response.session_id))
            if self._exchange != exchange:
                return
        self._exchange = None
        # A connection on which the request was not sent completely cannot be used again. Neither can one on which more
        # than the answer was received, because the next request would take that for its own answer.
        is_clean = not self._unsent and not self._http.trailing_data[0]
        if is_clean and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self._on_released(self)
        else:
            self.close()
        self._emit(response.end(exchange))

    def _end_with(self, outcome: Outcome) -> None:
        """Close the connection, and emit this outcome of its exchange, or NOT_SENT if the request was not sent."""
        exchange, response = self._exchange, self._response
        outcome = Outcome.NOT_SENT if self._unsent else outcome
        self.close()
        if exchange is not None:
            self._emit(ExchangeEnded(exchange, outcome) if response is None else response.cut_off(exchange, outcome))


class _Head(NamedTuple):
    """The head of a request, and its bytes."""

    request: h11.Request
    data: bytes


@functools.lru_cache(maxsize=64)
def _head(address: Address, method: str, headers: Headers, length: int | None) -> _Head:
    """Return the head of a request. Most requests repeat one, and h11 takes long to check it and to write it."""
    found = [("Host", f"{address.host}:{address.port}"), *headers]
    if address.bearer is not None:
        found.append(("Authorization", f"Bearer {address.bearer}"))
    if length is not None:
        found.append(("Content-Length", str(length)))
    request = h11.Request(method=method, target=address.path, headers=found)
    return _Head(request, h11.Connection(h11.CLIENT).send(request) or b"")
