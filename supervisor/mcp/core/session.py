"""The session of the legacy era with one server. The client knows nothing of it, and never of its end."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from .messages import headers
from .messages.catalogue import EraCatalogue
from .messages.message import Message, UnusableMessageError, parse
from .messages.replies import notification, request
from .outbox import Outbox, Unanswered
from .relay import Relay
from .values import ExchangeEnded, Headers, Outcome, Problem, Server, Text


class Phase(Enum):
    """How far a session is."""

    NONE = "none"
    OPENING = "opening"
    CONFIRMING = "confirming"
    READY = "ready"
    FAILED = "failed"


class LegacySession:
    """A session: `initialize`, `initialized`, what the client had set in the session before, and the GET stream."""

    def __init__(self, outbox: Outbox, relay: Relay, era: EraCatalogue, prefix: str, number: int) -> None:
        self._outbox = outbox
        self._relay = relay
        self._era = era
        self._prefix = prefix
        self.number = number
        self.phase = Phase.NONE
        self.server: Server | None = None
        self.failure: ExchangeEnded | None = None
        """Why the session could not be opened."""
        self.refusal: dict[str, Any] | None = None
        """The error object with which the server has refused to open a session."""
        self._id: str | None = None
        self._version: str | None = None
        self._answered = False
        self.is_restored = False
        self._stream_is_missing = True

    @property
    def headers(self) -> Headers:
        """Return the headers of the next request."""
        return headers.legacy(self._id, self._version)

    @property
    def has_id(self) -> bool:
        """Return whether the server has given the session an id."""
        return self._id is not None

    def open(self, server: Server, hello: Mapping[str, Any]) -> None:
        """Send `initialize` with the client's own params."""
        self.server, self.phase = server, Phase.OPENING
        text = request(f"{self._prefix}-i{self.number}", "initialize", dict(hello))
        self._outbox.send(server, self.headers, text, self)

    def said(self, message: Message, session: str | None) -> None:
        """Take the answer to `initialize`, or another message on its stream."""
        if not message.is_answer:
            self._relay.pass_on(message, self)
            return
        if self._answered:
            return
        self._answered = True
        result = message.body
        if message.is_error or not isinstance(result, dict):
            self.refusal = result if message.is_error else {"code": -32603, "message": "an unusable initialize answer"}
            return
        version = result.get("protocolVersion")
        self._id, self._version = session, version if isinstance(version, str) else None
        self._era.hello, self._era.refused = result, False

    def ended(self, end: ExchangeEnded) -> None:
        """Confirm the session, or note why there is none."""
        if self._answered and self.refusal is None and self.server is not None:
            self.phase = Phase.CONFIRMING
            self._outbox.send(self.server, self.headers, notification("notifications/initialized"), _Confirmation(self))
            return
        if self.refusal is None and end.outcome is Outcome.REFUSED:
            self.refusal = _error_in(end.text)
        self.phase, self.failure = Phase.FAILED, end

    def confirmed(self, end: ExchangeEnded) -> None:
        """Take the end of the exchange with `notifications/initialized`."""
        if end.outcome is Outcome.COMPLETE:
            self.phase = Phase.READY
        else:
            self.phase, self.failure = Phase.FAILED, end

    def restore(self, settings: Mapping[str, Text]) -> None:
        """Repeat what the client had set, and open the GET stream."""
        assert self.server is not None  # noqa: S101 (the session is ready)
        self.is_restored = True
        for text in settings.values():
            self._outbox.send(self.server, self.headers, text, Unanswered())
        self.open_stream()

    def open_stream(self) -> None:
        """Open the stream for what the server tells of its own accord, unless it is open or the server has none."""
        if self.server is not None and self._stream_is_missing:
            self._stream_is_missing = False
            self._outbox.send(self.server, self.headers, b"", _Stream(self._relay, self), "GET")

    def stream_ended(self, end: ExchangeEnded) -> None:
        """Open the stream again with the next request of the client, unless the server has refused it."""
        self._stream_is_missing = end.outcome is not Outcome.REFUSED

    def tell(self, text: Text) -> None:
        """Pass on a notification of the client, or its answer to the server."""
        if self.server is not None and self.phase is Phase.READY:
            self._outbox.send(self.server, self.headers, text, Unanswered())


class _Confirmation(Unanswered):
    def __init__(self, session: LegacySession) -> None:
        self._session = session

    def ended(self, end: ExchangeEnded) -> None:
        self._session.confirmed(end)


class _Stream(Unanswered):
    """The GET stream. Servers may have none."""

    def __init__(self, relay: Relay, session: LegacySession) -> None:
        self._relay = relay
        self._session = session

    def said(self, message: Message, session: str | None) -> None:  # noqa: ARG002 (as `Handler` has it)
        if not message.is_answer:
            self._relay.pass_on(message, self._session)

    def ended(self, end: ExchangeEnded) -> None:
        self._session.stream_ended(end)


def _error_in(text: Text) -> dict[str, Any] | None:
    """Return the JSON-RPC error object in the body of a refusal."""
    try:
        message = parse(text)
    except UnusableMessageError:
        return None
    return message.body if message.is_error and isinstance(message.body, dict) else None


def explained(end: ExchangeEnded) -> Problem:
    """Return why a server could not be talked to, for the client."""
    if end.outcome is Outcome.REFUSED:
        return Problem("SERVER_REFUSED", f"the server answered with HTTP status {end.status}", fault="server")
    return Problem("SERVER_UNREACHABLE", "the server cannot be reached", retryable=True, fault="server")
