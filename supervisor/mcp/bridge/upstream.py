"""Exchanges with servers: one connection for each exchange that runs, kept alive for a short time after it."""

import contextlib
import socket
import time
from typing import TYPE_CHECKING, NamedTuple

from ..core.values import Event, ExchangeEnded, Headers, Outcome, Send
from .loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from .address import Address
    from .exchange import Connection

KEPT_S = 2.0
"""How long an idle connection may be used again. Servers close it after 5 s (uvicorn), and a request that meets the
close may or may not have been received."""

GOODBYE_S = 0.03


class _Idle(NamedTuple):
    connection: "Connection"
    since: float


class Upstream:
    """Performs exchanges. Events are emitted from the loop, never from inside a call."""

    def __init__(self, loop: Loop, emit: "Callable[[Event], None]") -> None:
        self._loop = loop
        self._emit = emit
        self._addresses: dict[int, Address] = {}
        self._idle: dict[tuple[str, int], list[_Idle]] = {}
        self._running: dict[int, Connection] = {}

    def add_server(self, number: int, address: "Address") -> None:
        """Note where the server of a number listens, and its bearer."""
        self._addresses[number] = address

    def send(self, action: Send) -> None:
        """Begin an exchange."""
        # Not imported before the first exchange, because the client waits for its first answer.
        from .exchange import Connection, Request

        address = self._addresses[action.server]
        connection = self._kept((address.host, address.port))
        if connection is None:
            connection = Connection(self._loop, address, self._emit, lambda free: self._free(free, address))
        self._running[action.exchange] = connection
        try:
            connection.begin(Request(action.exchange, action.method, action.headers, action.text), address)
        except Exception:  # noqa: BLE001 (h11 refuses headers that HTTP cannot carry)
            connection.close()
            self._loop.post(lambda: self._emit(ExchangeEnded(action.exchange, Outcome.INVALID)))

    def abort(self, exchange: int) -> None:
        """End an exchange by closing its connection."""
        connection = self._running.get(exchange)
        if connection is not None:
            connection.close()

    def give_up(self, exchange: int) -> None:
        """End an exchange, and tell afterwards whether its request was sent."""
        connection = self._running.get(exchange)
        if connection is not None:
            self._loop.post(connection.give_up)

    def say_goodbye(self, number: int, headers: Headers) -> None:
        """Tell a server that a session has ended, without waiting for its answer. Servers keep few sessions."""
        address = self._addresses.get(number)
        if address is None:
            return
        lines = [f"DELETE {address.path} HTTP/1.1", f"Host: {address.host}:{address.port}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in headers]
        if address.bearer is not None:
            lines.append(f"Authorization: Bearer {address.bearer}")
        place = (address.host, address.port)
        with contextlib.suppress(OSError, UnicodeEncodeError), socket.create_connection(place, GOODBYE_S) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))

    def _kept(self, place: tuple[str, int]) -> "Connection | None":
        """Return an idle connection that may be used again. Older ones are closed."""
        now = time.monotonic()
        found = None
        for idle in self._idle.pop(place, []):
            if found is None and now - idle.since < KEPT_S and idle.connection.is_usable():
                found = idle.connection
            elif now - idle.since < KEPT_S and idle.connection.is_open:
                self._idle.setdefault(place, []).append(idle)
            else:
                idle.connection.close()
        return found

    def _free(self, connection: "Connection", address: "Address") -> None:
        """Take a connection that has no exchange any more."""
        for exchange in [number for number, each in self._running.items() if each is connection]:
            del self._running[exchange]
        place = (address.host, address.port)
        kept = [idle for idle in self._idle.pop(place, []) if idle.connection is not connection]
        if connection.is_open:
            kept.append(_Idle(connection, time.monotonic()))
        if kept:
            self._idle[place] = kept
