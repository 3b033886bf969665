"""The streams that clients of the modern era listen to. They live across restarts of the server."""

from collections.abc import Callable
from typing import Any

from .messages.headers import modern
from .messages.message import Message
from .messages.replies import notification
from .outbox import Outbox
from .values import ExchangeEnded, Id, Server

LISTEN = "subscriptions/listen"
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"

OF_FILTER = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}


class Subscriptions:
    """All streams of the client: acknowledged by us, once, and opened again at each server."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._streams: dict[Id, _Stream] = {}

    def __contains__(self, identifier: Id) -> bool:
        """Return whether a request with this id listens."""
        return identifier in self._streams

    def add(self, message: Message) -> None:
        """Begin a stream, and acknowledge it: what has changed while no server was there is told by us."""
        assert message.id is not None  # noqa: S101 (a request has one)
        stream = self._streams[message.id] = _Stream(message, self._outbox.say)
        self._say(stream, ACKNOWLEDGED, {"notifications": stream.wanted})

    def remove(self, identifier: Id) -> None:
        """End a stream that the client has cancelled."""
        stream = self._streams.pop(identifier, None)
        if stream is not None and stream.exchange is not None:
            self._outbox.abort(stream.exchange)

    def open(self, server: Server) -> None:
        """Open at this server all streams that were not opened there before."""
        for stream in self._streams.values():
            if stream.server != server.number:
                stream.server = server.number
                stream.exchange = self._outbox.send(server, modern(stream.message, {}), stream.message.text, stream)

    def tell(self, method: str) -> bool:
        """Tell the streams that want to know it that a list has changed. Returns whether any does."""
        wanting = [stream for stream in self._streams.values() if stream.wants(method)]
        for stream in wanting:
            self._say(stream, method, {})
        return bool(wanting)

    def _say(self, stream: "_Stream", method: str, params: dict[str, Any]) -> None:
        self._outbox.say(notification(method, {"_meta": {SUBSCRIPTION: stream.message.id}, **params}))


class _Stream:
    """A stream. Its request has no answer for as long as the client listens."""

    def __init__(self, message: Message, say: Callable[[Any], None]) -> None:
        wanted = message.params.get("notifications")
        self.message = message
        self.wanted: dict[str, Any] = wanted if isinstance(wanted, dict) else {}
        self.server = 0
        self.exchange: int | None = None
        self._say = say

    def wants(self, method: str) -> bool:
        return any(self.wanted.get(name) is True for name, told in OF_FILTER.items() if told == method)

    def said(self, message: Message, session: str | None) -> None:  # noqa: ARG002 (as `Handler` has it)
        """Pass on a notification. Acknowledgements, and the end of the stream at one server, are not the client's."""
        if not message.is_answer and message.id is None and message.method != ACKNOWLEDGED:
            self._say(message.text)

    def ended(self, end: ExchangeEnded) -> None:  # noqa: ARG002 (as `Handler` has it)
        """Take the end of the exchange. The next server gets the stream again."""
        self.exchange = None
