"""The connections to servers: one for each exchange that runs, kept open for a short time after it."""

import contextlib
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from ..core.events_and_actions import BeginExchange, Event, ExchangeEnded, Headers, Outcome
from .loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from .address import Address
    from .server_connection import ServerConnection

REUSE_S = 2.0
"""How long an idle connection may be used again. Servers close it after 5 s (uvicorn), and a request that meets the
close may or may not have been received."""

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

    def set_address(self, number: int, address: "Address") -> None:
        """Set where the server of this number listens, and its bearer. Called before `ServerReady`."""
        self._addresses[number] = address

    def begin_exchange(self, action: BeginExchange) -> None:
        """Begin an exchange, on an idle connection if there is one. `ExchangeEnded` follows."""
        # Not imported before the first exchange, because the client waits for its first answer.
        from .server_connection import Request, ServerConnection

        address = self._addresses[action.server]
        place = (address.host, address.port)
        connection = self._take_idle(place)
        if connection is None:
            connection = ServerConnection(self._loop, address, self._emit, lambda free: self._on_released(free, place))
        self._running[action.exchange] = connection
        try:
            connection.begin(Request(action.exchange, action.method, action.headers, action.text), address)
        except Exception:  # noqa: BLE001 (h11 refuses headers that HTTP cannot carry)
            connection.close()
            self._loop.post(lambda: self._emit(ExchangeEnded(action.exchange, Outcome.INVALID)))

    def abort_exchange(self, exchange: int) -> None:
        """Close the connection of an exchange. No event follows."""
        connection = self._running.get(exchange)
        if connection is not None:
            connection.close()

    def fail_exchange(self, exchange: int) -> None:
        """Close the connection of an exchange. `ExchangeEnded` follows, and says whether the request was sent."""
        connection = self._running.get(exchange)
        if connection is not None:
            self._loop.post(connection.fail)

    def end_session(self, number: int, headers: Headers) -> None:
        """Tell a server that a session has ended, and do not wait for the answer. Servers keep few sessions."""
        address = self._addresses.get(number)
        if address is None:
            return
        lines = [f"DELETE {address.path} HTTP/1.1", f"Host: {address.host}:{address.port}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        if address.bearer is not None:
            lines.append(f"Authorization: Bearer {address.bearer}")
        place = (address.host, address.port)
        with (
            contextlib.suppress(OSError, UnicodeEncodeError),
            socket.create_connection(place, END_SESSION_S) as connection,
        ):
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

    def _on_released(self, connection: "ServerConnection", place: tuple[str, int]) -> None:
        """Keep a connection whose exchange is over, or drop it if it is closed. Called by the connection."""
        for exchange in [number for number, each in self._running.items() if each is connection]:
            del self._running[exchange]
        kept = [idle for idle in self._idle.pop(place, []) if idle.connection is not connection]
        if connection.is_open:
            kept.append(_Idle(connection, time.monotonic()))
        if kept:
            self._idle[place] = kept
