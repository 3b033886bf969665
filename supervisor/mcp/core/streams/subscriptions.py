"""The streams that a client of the modern era listens to. They live across restarts of the server."""

from collections.abc import Callable
from typing import Any

from ..events_and_actions import ExchangeEnded, Id
from ..messages.headers import modern
from ..messages.message import Message
from ..messages.replies import notification
from ..outbox import Outbox
from ..servers import Server

LISTEN = "subscriptions/listen"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

NOTIFICATION_OF_FILTER = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}


class Subscriptions:
    """All streams of the client. The bridge acknowledges each one once, and opens it again at each server."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._streams: dict[Id, _ListenStream] = {}

    def __contains__(self, identifier: Id) -> bool:
        """Return whether a request with this id listens."""
        return identifier in self._streams

    def add(self, message: Message) -> None:
        """Begin a stream, and acknowledge it.

        The bridge does so, because a change is announced even if no server was there.
        """
        assert message.id is not None  # noqa: S101 (a request has one)
        stream = self._streams[message.id] = _ListenStream(message, self._outbox.send_to_client)
        self._send_in(stream, ACKNOWLEDGED, {"notifications": stream.wanted})

    def remove(self, identifier: Id) -> None:
        """End a stream that the client has cancelled."""
        stream = self._streams.pop(identifier, None)
        if stream is not None and stream.exchange is not None:
            self._outbox.abort_exchange(stream.exchange)

    def open(self, server: Server) -> None:
        """Open at this server all streams that were not opened there before."""
        for stream in self._streams.values():
            if stream.server != server.number:
                stream.server = server.number
                stream.exchange = self._outbox.begin_exchange(
                    server, modern(stream.message, {}), stream.message.text, stream
                )

    def notify(self, method: str) -> None:
        """Send a notification that a list has changed in the streams whose filter asks for it."""
        for stream in self._streams.values():
            if stream.wants(method):
                self._send_in(stream, method, {})

    def _send_in(self, stream: "_ListenStream", method: str, params: dict[str, Any]) -> None:
        """Send the client a notification that belongs to this stream."""
        self._outbox.send_to_client(notification(method, {"_meta": {SUBSCRIPTION: stream.message.id}, **params}))


class _ListenStream:
    """A stream, and the handler of its exchange. Its request has no answer for as long as the client listens."""

    def __init__(self, message: Message, send_to_client: Callable[[Any], None]) -> None:
        wanted = message.params.get("notifications")
        self.message = message
        self.wanted: dict[str, Any] = wanted if isinstance(wanted, dict) else {}
        self.server = 0
        self.exchange: int | None = None
        self._send_to_client = send_to_client

    def wants(self, method: str) -> bool:
        """Return whether the filter of the stream asks for this notification."""
        return any(self.wanted.get(name) is True for name, told in NOTIFICATION_OF_FILTER.items() if told == method)

    def on_message(self, message: Message, session_id: str | None) -> None:  # noqa: ARG002 (as `Handler` has it)
        """Pass on a notification. Acknowledgements and the answer that ends the stream at one server are dropped."""
        if not message.is_answer and message.id is None and message.method != ACKNOWLEDGED:
            self._send_to_client(message.text)

    def on_end(self, end: ExchangeEnded) -> None:  # noqa: ARG002 (as `Handler` has it)
        """Forget the exchange. The stream is opened again at the next server."""
        self.exchange = None
