"""One HTTP connection to a server, by h11. It performs exchanges one after the other."""

import errno
import functools
import socket
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import h11

from ..core.events_and_actions import Event, ExchangeEnded, Headers, ServerSentMessage, Text
from ..core.messages.event_stream import EventStream, TooLongError
from ..core.servers import Outcome
from .address import Address
from .loop import READ, WRITE, Loop

READ_SIZE = 64 * 1024
LARGE_READ_SIZE = 512 * 1024
"""The size of a read while an answer comes faster than it is read."""
JOINED_MAX = 64 * 1024
"""Bytes of a body that is sent together with the head, so that a server is woken once for both."""
HEADERS_MAX = 64 * 1024
MESSAGE_MAX = 64 * 1024 * 1024
REFUSAL_MAX = 64 * 1024

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
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEADERS_MAX)
        self._unsent: deque[memoryview] = deque()
        self._exchange: int | None = None
        self._response: _Response | None = None
        self._read_at_once = READ_SIZE
        self._watched = 0
        self.is_open = True
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._refused = self._socket.connect_ex((address.host, address.port)) not in _CONNECTING

    @property
    def exchange(self) -> int | None:
        """Return the running exchange. Returns None if there is none."""
        return self._exchange

    def is_usable(self) -> bool:
        """Return whether an idle connection may be used again: the server has neither closed it nor said anything."""
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return self.is_open
        except OSError:
            return False
        return False

    def begin(self, request: Request, address: Address) -> None:
        """Send a request. Nothing is emitted before this returns. Nothing is sent if one of `UNSENDABLE` is raised."""
        self._exchange = request.exchange
        self._response = None
        length = len(request.text) if request.method == "POST" else None
        head = self._http.send(_head(address, request.method, request.headers, length))
        parts: list[bytes | bytearray] = [] if head is None else [head]
        if request.text:
            parts += self._http.send_with_data_passthrough(h11.Data(data=request.text)) or []  # type: ignore[arg-type]
        # The length is known, so that nothing follows the body.
        self._http.send(h11.EndOfMessage())
        if len(request.text) <= JOINED_MAX:
            parts = [b"".join(parts)]
        self._unsent.extend(memoryview(part) for part in parts)
        if self._refused:
            self._loop.post(self.fail)
        else:
            self._send_now()

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
            sent = self._socket.send(part)
        except OSError:
            # The connection is not there yet, or was refused: the loop finds out.
            sent = 0
        if sent == len(part):
            self._unsent.popleft()
        else:
            self._unsent[0] = part[sent:]
        self._watch(READ | WRITE if self._unsent else READ)

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
            self._http.receive_data(data)
            self._process_events(self._exchange)
        except (h11.RemoteProtocolError, TooLongError):
            # h11 reports the end of the connection inside an answer as a violation too.
            self._end_with(Outcome.INVALID if data else Outcome.LOST)

    def _process_events(self, exchange: int) -> None:
        """Handle the events of h11 that the data has completed, up to the end of the answer."""
        while self.is_open and self._exchange == exchange:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED:
                return
            if isinstance(event, h11.InformationalResponse):
                continue
            if isinstance(event, h11.Response):
                self._response = _Response(event)
            elif isinstance(event, h11.Data) and self._response is not None:
                for text in self._response.feed(event.data):
                    self._emit(ServerSentMessage(exchange, text, self._response.session_id))
                    if self._exchange != exchange:
                        return
            elif isinstance(event, h11.EndOfMessage) and self._response is not None:
                self._end(exchange, self._response)
            elif isinstance(event, h11.ConnectionClosed):
                self._end_with(Outcome.LOST)

    def _end(self, exchange: int, response: "_Response") -> None:
        """Emit the body and the end of a complete answer, and release the connection or close it."""
        text = response.take_body()
        if text is not None:
            self._emit(ServerSentMessage(exchange, text, response.session_id))
            if self._exchange != exchange:
                return
        self._exchange = None
        # A connection on which the request was not sent completely cannot be used again.
        if not self._unsent and self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
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


@functools.lru_cache(maxsize=64)
def _head(address: Address, method: str, headers: Headers, length: int | None) -> h11.Request:
    """Return the head of a request. Most requests repeat one, and h11 takes long to check it."""
    found = [("Host", f"{address.host}:{address.port}"), *headers]
    if address.bearer is not None:
        found.append(("Authorization", f"Bearer {address.bearer}"))
    if length is not None:
        found.append(("Content-Length", str(length)))
    return h11.Request(method=method, target=address.path, headers=found)


class _Response:
    """An answer: JSON, a stream of events, nothing, or a refusal."""

    def __init__(self, head: h11.Response) -> None:
        # h11 has names in lower case.
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in head.headers}
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        self._status = head.status_code
        self._is_success = 200 <= head.status_code < 300  # noqa: PLR2004 (RFC 9110)
        self._is_json = kind == "application/json"
        self._events = EventStream(MESSAGE_MAX) if kind == "text/event-stream" and self._is_success else None
        self._body = bytearray()
        self._retry_after_s = _seconds(headers.get("retry-after"))
        self.session_id = headers.get("mcp-session-id")

    def feed(self, data: bytes | bytearray) -> list[bytearray]:
        """Return the messages that these bytes complete. Only a stream of events has messages before its end."""
        if self._events is not None:
            return self._events.feed(data)
        if len(self._body) + len(data) <= (MESSAGE_MAX if self._is_success else REFUSAL_MAX):
            self._body += data
        elif self._is_success:
            raise TooLongError
        return []

    def take_body(self) -> bytearray | None:
        """Remove the JSON body of a success, and return it. Returns None if there is none."""
        if not (self._is_success and self._is_json and self._body):
            return None
        body, self._body = self._body, bytearray()
        return body

    def end(self, exchange: int) -> ExchangeEnded:
        """Return the end of the exchange. Called after `take_body`."""
        if not self._is_success:
            return ExchangeEnded(exchange, Outcome.REFUSED, self._status, bytes(self._body), self._retry_after_s)
        # A body that is left is neither JSON nor an event stream.
        return self.cut_off(exchange, Outcome.INVALID if self._body else Outcome.COMPLETE)

    def cut_off(self, exchange: int, outcome: Outcome) -> ExchangeEnded:
        """Return the end of an exchange whose answer is a stream, or is not complete."""
        if self._events is None:
            return ExchangeEnded(exchange, outcome, self._status)
        pause_s, last_id = self._events.retry_s, self._events.last_id
        return ExchangeEnded(exchange, outcome, self._status, retry_after_s=pause_s, last_event_id=last_id)


def _seconds(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header. Returns None without one."""
    try:
        return None if value is None else max(0.0, float(value))
    except ValueError:
        # A date. Servers on this machine say seconds.
        return 1.0
