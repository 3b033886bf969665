"""Frames to one client, within bounds: a client that does not read must not fill the daemon's memory."""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from ..errors import SupervisorError
from ..wire import fields, framing, jsonrpc
from ..wire.messages.notifications import Resync
from .all_connections import AllConnections

OUTBOUND_LIMIT = 4 * 1024 * 1024
"""Bytes that may wait for one client. A client with more unread bytes is disconnected."""

COMFORTABLE = OUTBOUND_LIMIT // 4
"""Bytes that may wait for one client before answers are held back and its requests are no longer read."""


class Outbound:
    """The sending half of a connection. Sends nothing before `begin` and after `open` was set to False.

    `hang_up` closes the connection. It is called when the client has not read for too long.
    """

    def __init__(self, all_connections: AllConnections, hang_up: Callable[[], None]) -> None:
        self._all_connections = all_connections
        self._hang_up = hang_up
        self._held: deque[Callable[[], None]] = deque()
        self._transport: asyncio.Transport
        self.open = False
        self.clogged = False
        """Whether more bytes wait for the client than `COMFORTABLE`."""

    def begin(self, transport: asyncio.Transport) -> None:
        """Send to this transport from now on."""
        self._transport = transport
        self._transport.set_write_buffer_limits(high=COMFORTABLE)
        self.open = True

    def close(self) -> None:
        """Send nothing more, and forget the answers that are held back."""
        self.open = False
        self._held.clear()

    def when_room(self, send: Callable[[], None]) -> None:
        """Call `send` now, or when the client has read enough: many answers may be ready at once."""
        if self.clogged:
            self._held.append(send)
        else:
            send()

    def unclog(self) -> None:
        """Send the answers that were held back, as long as the client keeps up."""
        self.clogged = False
        while self._held and self.open and not self.clogged:
            self._held.popleft()()

    def has_room(self) -> bool:
        """Whether the client keeps up with what is sent."""
        return self._transport.get_write_buffer_size() < COMFORTABLE

    def send_error(self, identifier: jsonrpc.Id | None, problem: SupervisorError) -> None:
        """Send an error object in place of an answer.

        Raises:
            TypeError, ValueError, RecursionError: the error's data cannot be written as a frame.
        """
        self.send(framing.frame_message(jsonrpc.error_envelope(identifier, problem)))

    def notify(self, method: str, params: dict[str, Any]) -> None:
        """Send a notification.

        Raises:
            ValueError: the notification is too large for a frame.
        """
        self.send(framing.frame_message(jsonrpc.notification_envelope(method, params)))

    def publish(self, method: str, notice: object) -> None:
        """Send a notification of a stream, a dataclass of `wire.messages.notifications`."""
        if not self.open:
            return
        try:
            self.notify(method, fields.encode(notice))
        except ValueError as problem:
            # Too large for a frame. Do not fail the publisher; tell the subscriber to resynchronise.
            self._all_connections.log.warning("notification.lost", method=method, reason=str(problem))
            self.notify("resync", fields.encode(Resync(None, "too long")))
            self._hang_up()

    def send(self, frame: bytes) -> None:
        """Send one frame. Disconnect the client if more than `OUTBOUND_LIMIT` bytes wait for it afterwards."""
        if not self.open:
            return
        self._transport.write(frame)
        if self._transport.get_write_buffer_size() > OUTBOUND_LIMIT:
            self._all_connections.refusals.record("connection.closed", "the client does not read")
            resync = fields.encode(Resync(None, "too slow"))
            self._transport.write(framing.frame_message(jsonrpc.notification_envelope("resync", resync)))
            self._hang_up()
