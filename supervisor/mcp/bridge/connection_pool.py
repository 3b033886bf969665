"""The connections to servers: one for each exchange that runs, kept open for a short time after it."""

import contextlib
import functools
import time
from collections import deque
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from ..core.events_and_actions import BeginExchange, Event, ExchangeEnded, Headers
from ..core.servers import Outcome
from .loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from .address import Address
    from .server_connection import ServerConnection

REUSE_S = 2.0
"""How long an idle connection may be used again. Servers close it after 5 s (uvicorn), and a request that meets the
close may or may not have been received."""

CONNECTIONS_MAX = 128
"""Exchanges that run at once. Further ones wait: `select` takes no more than 1024 files, on Windows 512 sockets, and
programs that macOS starts may open 256."""

OTHER_FILES = 40
"""Files that this process may have open beside the connections: streams, the daemon's sockets, modules and catalogues
while they are read. Where few files may be open, fewer exchanges run at once."""

END_SESSION_S = 0.03
"""How long the end of this process waits for a connection to the server."""


class _Idle(NamedTuple):
    """A connection without an exchange, and the monotonic time at which its last one ended."""

    connection: "ServerConnection"
    idle_since: float


class ConnectionPool:
    """Performs exchanges. `emit` is called from the loop, never from inside a call of these methods."""

    def __init__(self, loop: Loop, emit: "Callable[[Event], None]") -> None:
        self._loop = loop
        self._emit = emit
        self._addresses: dict[int, Address] = {}
        self._idle: dict[tuple[str, int], list[_Idle]] = {}
        self._running: dict[int, ServerConnection] = {}
        self._waiting: deque[BeginExchange] = deque()
        """Exchanges that begin when others have ended."""
        self._connections_max = 0
        """How many exchanges may run at once. 0 before the first one."""

    @functools.cached_property
    def _http(self) -> ModuleType:
        """Return the module of connections. Not imported at the start, as the client waits for an answer."""
        from . import server_connection

        return server_connection

    def set_address(self, number: int, address: "Address") -> None:
        """Set where the server of this number listens, and its bearer. Called before `ServerReady`."""
        self._addresses[number] = address

    def begin_exchange(self, action: BeginExchange) -> None:
        """Begin an exchange, or let it wait while as many others run as may. `ExchangeEnded` follows."""
        if not self._connections_max:
            from ...native.startup.inherited import open_files_max

            self._connections_max = int(min(CONNECTIONS_MAX, max(1, open_files_max() - OTHER_FILES)))
        if len(self._running) < self._connections_max:
            self._connect(action)
        else:
            self._waiting.append(action)

    def abort_exchange(self, exchange: int) -> None:
        """Close the connection of an exchange. No event follows."""
        connection = self._running.get(exchange)
        if connection is not None:
            connection.close()
        else:
            self._remove_waiting(exchange)

    def fail_exchange(self, exchange: int) -> None:
        """Close the connection of an exchange. `ExchangeEnded` follows, and says whether the request was sent."""
        connection = self._running.get(exchange)
        if connection is not None:
            self._loop.post(connection.fail)
        elif self._remove_waiting(exchange):
            self._post_end(exchange, Outcome.NOT_SENT)

    def _connect(self, action: BeginExchange) -> None:
        """Begin an exchange, on an idle connection if there is one."""
        address = self._addresses[action.server]
        place = (address.host, address.port)
        connection = self._take_idle(place)
        if connection is None:
            try:
                connection = self._new_connection(address, place)
            except OSError:
                self._post_end(action.exchange, Outcome.NOT_SENT)
                return
        self._running[action.exchange] = connection
        try:
            connection.begin(self._http.Request(action.exchange, action.method, action.headers, action.text), address)
        except self._http.UNSENDABLE:
            connection.close()
            self._post_end(action.exchange, Outcome.INVALID)

    def _new_connection(self, address: "Address", place: tuple[str, int]) -> "ServerConnection":
        """Return a connection that is being made.

        Raises:
            OSError: this process may open no more files.
        """
        on_released = functools.partial(self._on_released, place)
        connection: ServerConnection = self._http.ServerConnection(self._loop, address, self._emit, on_released)
        return connection

    def _connect_waiting(self) -> None:
        """Begin exchanges that have waited."""
        while self._waiting and len(self._running) < self._connections_max:
            self._connect(self._waiting.popleft())

    def _remove_waiting(self, exchange: int) -> bool:
        """Remove an exchange that waits. Returns whether it did."""
        found = [action for action in self._waiting if action.exchange == exchange]
        for action in found:
            self._waiting.remove(action)
        return bool(found)

    def _post_end(self, exchange: int, outcome: Outcome) -> None:
        self._loop.post(lambda: self._emit(ExchangeEnded(exchange, outcome)))

    def end_session(self, number: int, headers: Headers) -> None:
        """Tell a server that a session has ended, and do not wait for the answer. Servers keep few sessions."""
        address = self._addresses.get(number)
        if address is None:
            return
        lines = [f"DELETE {address.path} HTTP/1.1", f"Host: {address.host}:{address.port}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        if address.bearer is not None:
            lines.append(f"Authorization: Bearer {address.bearer}")
        import socket

        from ...native.startup.running import runs

        place = (address.host, address.port)
        with (
            contextlib.suppress(OSError, UnicodeEncodeError),
            socket.create_connection(place, END_SESSION_S) as connection,
        ):
            # As in `ServerConnection`: another program may have the port since the end of the server.
            if address.pid is None or runs(address.pid):
                connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def _take_idle(self, place: tuple[str, int]) -> "ServerConnection | None":
        """Remove an idle connection that may be used again, and return it. Returns None if there is none.

        Idle connections that may not be used again are closed.
        """
        now = time.monotonic()
        found = None
        for idle in self._idle.pop(place, []):
            if found is None and now - idle.idle_since < REUSE_S and idle.connection.is_usable():
                found = idle.connection
            elif now - idle.idle_since < REUSE_S and idle.connection.is_open:
                self._idle.setdefault(place, []).append(idle)
            else:
                idle.connection.close()
        return found

    def _on_released(self, place: tuple[str, int], connection: "ServerConnection") -> None:
        """Keep a connection whose exchange is over, or drop it if it is closed. Called by the connection."""
        for exchange in [number for number, each in self._running.items() if each is connection]:
            del self._running[exchange]
        kept = [idle for idle in self._idle.pop(place, []) if idle.connection is not connection]
        if connection.is_open:
            kept.append(_Idle(connection, time.monotonic()))
        if kept:
            self._idle[place] = kept
        if self._waiting:
            self._loop.post(self._connect_waiting)
