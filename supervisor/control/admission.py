"""What all connections share: the verbs, who the daemon is, the limits, and whether new work is still taken."""

import asyncio
from hmac import compare_digest
from typing import Any, Protocol

from ..errors import Busy, ProtocolUnsupported, Unauthorized
from ..native.api import PeerCheck
from ..wire.messages.session import PROTOCOL_MAX, PROTOCOL_MIN, Hello, HelloResult
from .method_table import MethodTable

CONNECTIONS = 256
STRANGERS = 16
REFUSALS = 32
REFUSALS_EVERY_S = 10.0
"""So many entries in so many seconds, at most."""


class Log(Protocol):
    """As much of structlog as a connection needs."""

    def warning(self, event: str, **details: Any) -> Any:
        """Something was refused."""
        ...

    def error(self, event: str, **details: Any) -> Any:
        """A defect of ours."""
        ...


class Refusals:
    """Who was refused, for the log; but a thousand knocks in a second shall not push out what else is in it."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._since = float("-inf")
        self._told = 0
        self._untold = 0

    def tell(self, event: str, reason: str) -> None:
        """One more. `untold` is how many there were that no entry tells of."""
        now = asyncio.get_running_loop().time()
        if now - self._since >= REFUSALS_EVERY_S:
            self._since, self._told = now, 0
        if self._told == REFUSALS:
            self._untold += 1
            return
        self._told += 1
        others = {"untold": self._untold} if self._untold else {}
        self._untold = 0
        self._log.warning(event, reason=reason, **others)


class ConnectionSlot(Protocol):
    """A connection, as the door sees it."""

    async def until_answered(self) -> None:
        """Wait for the requests in flight to be answered."""
        ...

    def hang_up(self) -> None:
        """Send what is queued, and close."""
        ...

    def abort(self) -> None:
        """Close at once."""
        ...


class Admission:
    """One per daemon. `closing` is set when it goes: from then on mutations are refused."""

    def __init__(
        self, *, verbs: MethodTable, instance_id: str, version: str, token: str, peers: PeerCheck, log: Log
    ) -> None:
        self.verbs = verbs
        self.peers = peers
        self.log = log
        self.refusals = Refusals(log)
        self.closing = False
        self.greeting = HelloResult(PROTOCOL_MAX, instance_id, version, verbs.methods)
        self._token = token.encode()
        self._known: set[ConnectionSlot] = set()
        self._foreign_servers: dict[ConnectionSlot, None] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def guests(self) -> tuple[ConnectionSlot, ...]:
        """Every connection there is."""
        return (*self._known, *self._foreign_servers)

    def enter(self, slot: ConnectionSlot, *, known: bool) -> None:
        """Let a connection in. Where there is no room, the oldest that has not said who it is makes some.

        Raises:
            Busy: every connection there may be has been authenticated.
        """
        if (not known and len(self._foreign_servers) >= STRANGERS) or len(self.guests) >= CONNECTIONS:
            self._make_room()
        if known:
            self._known.add(slot)
        else:
            self._foreign_servers[slot] = None
        self._empty.clear()

    def recognise(self, slot: ConnectionSlot) -> None:
        """A connection has proven its right."""
        self._foreign_servers.pop(slot, None)
        self._known.add(slot)

    def leave(self, slot: ConnectionSlot) -> None:
        """A connection is gone. Harmless when repeated."""
        self._foreign_servers.pop(slot, None)
        self._known.discard(slot)
        if not self.guests:
            self._empty.set()

    async def until_empty(self) -> None:
        """Wait for the last connection to be gone."""
        await self._empty.wait()

    def check(self, hello: Hello, *, proven: bool) -> None:
        """Compare token and protocol; without a token, `proven` says that the peer's user was the proof.

        Raises:
            Unauthorized: the token is wrong, or missing where it is needed.
            ProtocolUnsupported: we do not speak that version.
        """
        if hello.token is None and not proven:
            raise Unauthorized("the token is missing", hint="it is in endpoint.json")
        if hello.token is not None and not compare_digest(hello.token.encode(), self._token):
            raise Unauthorized("the token is wrong", hint="read endpoint.json again")
        if not PROTOCOL_MIN <= hello.protocol <= PROTOCOL_MAX:
            raise ProtocolUnsupported(
                f"protocol {hello.protocol} is not spoken here",
                hint="bring plugin and daemon to the same release",
                data={"protocol": {"min": PROTOCOL_MIN, "max": PROTOCOL_MAX}},
            )

    def _make_room(self) -> None:
        oldest = next(iter(self._foreign_servers), None)
        if oldest is None:
            raise Busy(f"there are {CONNECTIONS} connections already", hint="close some", retry_after_ms=1000)
        self.refusals.tell("connection.evicted", "others wait and it has not said hello")
        oldest.abort()
        self.leave(oldest)
