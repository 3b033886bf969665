"""All connections of a daemon: their limits, the check of `hello`, and what they share."""

import asyncio
from hmac import compare_digest
from typing import Protocol

from ..engine.state.events import Log
from ..errors import Busy, ProtocolUnsupported, Unauthorized
from ..native.api import PeerCheck
from ..wire.messages.session import PROTOCOL_MAX, PROTOCOL_MIN, Hello, HelloResult
from .methods.table import MethodTable

CONNECTIONS = 256
"""Connections at once, at most."""

UNAUTHENTICATED = 16
"""Connections at once that have not authenticated themselves, at most."""

REFUSALS = 32
REFUSALS_EVERY_S = 10.0
"""At most `REFUSALS` log entries about refused clients in so many seconds."""


class RefusalLog:
    """Log entries about refused clients, limited so that a flood of attempts does not push out other entries."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._since = float("-inf")
        self._written = 0
        self._left_out = 0

    def record(self, event: str, reason: str) -> None:
        """Log a refusal, or count it for the next entry, whose `untold` is the number of refusals without an entry."""
        now = asyncio.get_running_loop().time()
        if now - self._since >= REFUSALS_EVERY_S:
            self._since, self._written = now, 0
        if self._written == REFUSALS:
            self._left_out += 1
            return
        self._written += 1
        others = {"untold": self._left_out} if self._left_out else {}
        self._left_out = 0
        self._log.warning(event, reason=reason, **others)


class OpenConnection(Protocol):
    """What is asked of every open connection."""

    async def until_answered(self) -> None:
        """Wait for the requests in flight to be answered."""
        ...

    def hang_up(self) -> None:
        """Send what is queued, and close."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class AllConnections:
    """The open connections, and what each of them uses. A daemon has one such object.

    `closing` is set at shutdown: from then on mutations are refused.
    """

    def __init__(
        self, *, methods: MethodTable, instance_id: str, version: str, token: str, peers: PeerCheck, log: Log
    ) -> None:
        self.methods = methods
        self.peers = peers
        self.log = log
        self.refusals = RefusalLog(log)
        self.closing = False
        self.greeting = HelloResult(PROTOCOL_MAX, instance_id, version, methods.names)
        self._token = token.encode()
        self._authenticated: set[OpenConnection] = set()
        self._unauthenticated: dict[OpenConnection, None] = {}
        """The oldest comes first."""
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def connections(self) -> tuple[OpenConnection, ...]:
        """Every open connection."""
        return (*self._authenticated, *self._unauthenticated)

    def enter(self, connection: OpenConnection, *, authenticated: bool) -> None:
        """Register a connection. If there is no room, the oldest unauthenticated connection is closed.

        Raises:
            Busy: there is no room, and every connection is authenticated.
        """
        too_many = not authenticated and len(self._unauthenticated) >= UNAUTHENTICATED
        if too_many or len(self.connections) >= CONNECTIONS:
            self._make_room()
        if authenticated:
            self._authenticated.add(connection)
        else:
            self._unauthenticated[connection] = None
        self._empty.clear()

    def mark_authenticated(self, connection: OpenConnection) -> None:
        """Note that a connection has authenticated itself, so it no longer makes room for others."""
        self._unauthenticated.pop(connection, None)
        self._authenticated.add(connection)

    def leave(self, connection: OpenConnection) -> None:
        """Remove a connection that has ended. Repeating it is harmless."""
        self._unauthenticated.pop(connection, None)
        self._authenticated.discard(connection)
        if not self.connections:
            self._empty.set()

    async def until_empty(self) -> None:
        """Wait until every connection has ended."""
        await self._empty.wait()

    def check_hello(self, hello: Hello, *, proven: bool) -> None:
        """Compare token and protocol. `proven`: the system has confirmed the peer's user, so no token is needed.

        Raises:
            Unauthorized: the token is wrong, or missing where it is needed.
            ProtocolUnsupported: the daemon does not speak that version.
        """
        if hello.token is None and not proven:
            raise Unauthorized("the token is missing", hint="it is in endpoint.json")
        if hello.token is not None and not compare_digest(hello.token.encode(), self._token):
            raise Unauthorized("the token is wrong", hint="read endpoint.json again")
        if not PROTOCOL_MIN <= hello.protocol <= PROTOCOL_MAX:
            raise ProtocolUnsupported(
                f"the daemon does not speak protocol {hello.protocol}",
                hint="bring plugin and daemon to the same release",
                data={"protocol": {"min": PROTOCOL_MIN, "max": PROTOCOL_MAX}},
            )

    def _make_room(self) -> None:
        oldest = next(iter(self._unauthenticated), None)
        if oldest is None:
            raise Busy(f"there are {CONNECTIONS} connections already", hint="close some", retry_after_ms=1000)
        self.refusals.record("connection.evicted", "others wait and the client has not said hello")
        oldest.abort()
        self.leave(oldest)
