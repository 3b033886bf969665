"""A session of the legacy era with one server. The client sees neither its beginning nor its end."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from .events_and_actions import ExchangeEnded, Headers, Problem, Text
from .messages import headers
from .messages.catalogue import EraCatalogue
from .messages.message import INTERNAL_ERROR, Message, UnusableMessageError, parse, whole_body
from .messages.replies import notification, request
from .outbox import IgnoringHandler, Outbox
from .relay import Relay
from .servers import Outcome, Server


class SessionPhase(Enum):
    """How far a session is.

    NONE: nothing was sent. OPENING: `initialize` was sent. CONFIRMING: `notifications/initialized` was sent.
    READY: requests may be sent. FAILED: the server has not opened the session, and another one has to be made.
    """

    NONE = "none"
    OPENING = "opening"
    CONFIRMING = "confirming"
    READY = "ready"
    FAILED = "failed"


class LegacySession:
    """A session: opened by `initialize`, confirmed, restored to what the client had set before, with a GET stream.

    A `Handler` of the exchange with `initialize`. Its `era` catalogue gets the server's answer.
    """

    def __init__(self, outbox: Outbox, relay: Relay, era: EraCatalogue, prefix: str, number: int) -> None:
        self._outbox = outbox
        self._relay = relay
        self._era = era
        self._prefix = prefix
        self.number = number
        self.phase = SessionPhase.NONE
        self.server: Server | None = None
        self.failure: ExchangeEnded | None = None
        """Why the session could not be opened."""
        self.refusal: dict[str, Any] | None = None
        """The error object with which the server has refused to open a session."""
        self._id: str | None = None
        self._version: str | None = None
        self._answered = False
        """Whether the server has answered `initialize`."""
        self.is_restored = False
        self._stream_is_missing = True
        """Whether the GET stream may be opened: it is not open, and was not refused."""

    @property
    def headers(self) -> Headers:
        """Return the headers of a request in this session."""
        return headers.legacy(self._id, self._version)

    @property
    def has_id(self) -> bool:
        """Return whether the server has given the session an id."""
        return self._id is not None

    def open(self, server: Server, hello: Mapping[str, Any]) -> None:
        """Send `initialize` with `hello`, the client's own params."""
        self.server, self.phase = server, SessionPhase.OPENING
        text = request(f"{self._prefix}-i{self.number}", "initialize", dict(hello))
        self._outbox.begin_exchange(server, self.headers, text, self)

    def on_message(self, message: Message, session_id: str | None) -> None:
        """Keep the answer to `initialize`. Pass on any other message of the exchange."""
        if not message.is_answer:
            self._relay.pass_on(message, self)
            return
        if self._answered:
            return
        self._answered = True
        result = whole_body(message)
        if message.is_error:
            self.refusal = result or {}
            return
        if not isinstance(result, dict):
            self.refusal = {"code": INTERNAL_ERROR, "message": "an unusable initialize answer"}
            return
        version = result.get("protocolVersion")
        self._id, self._version = session_id, version if isinstance(version, str) else None
        self._era.hello, self._era.refused = result, False

    def on_end(self, end: ExchangeEnded) -> None:
        """Confirm the session if the server has opened it. Otherwise the phase is FAILED, and `failure` says why."""
        if self._answered and self.refusal is None and self.server is not None:
            self.phase = SessionPhase.CONFIRMING
            self._outbox.begin_exchange(
                self.server, self.headers, notification("notifications/initialized"), _ConfirmationHandler(self)
            )
            return
        if self.refusal is None and end.outcome is Outcome.REFUSED:
            self.refusal = _error_object_in(end.text)
        self.phase, self.failure = SessionPhase.FAILED, end

    def on_confirmation_end(self, end: ExchangeEnded) -> None:
        """Set the phase to READY or FAILED, when the exchange with `notifications/initialized` has ended."""
        if end.outcome is Outcome.COMPLETE:
            self.phase = SessionPhase.READY
        else:
            self.phase, self.failure = SessionPhase.FAILED, end

    def restore(self, settings: Mapping[str, Text]) -> None:
        """Repeat the requests by which the client has set something in earlier sessions, and open the GET stream."""
        assert self.server is not None  # noqa: S101 (the session is ready)
        self.is_restored = True
        for text in settings.values():
            self._outbox.begin_exchange(self.server, self.headers, text, IgnoringHandler())
        self.open_stream()

    def open_stream(self) -> None:
        """Open the GET stream, for what the server sends of its own accord, unless it is open or was refused."""
        if self.server is not None and self._stream_is_missing:
            self._stream_is_missing = False
            self._outbox.begin_exchange(self.server, self.headers, b"", _GetStream(self._relay, self), "GET")

    def on_stream_end(self, end: ExchangeEnded) -> None:
        """Let the next request of the client open the GET stream again, unless the server has refused it."""
        self._stream_is_missing = end.outcome is not Outcome.REFUSED

    def send_to_server(self, text: Text) -> None:
        """Send a notification or an answer of the client to the server. It is dropped if the session is not ready."""
        if self.server is not None and self.phase is SessionPhase.READY:
            self._outbox.begin_exchange(self.server, self.headers, text, IgnoringHandler())


class _ConfirmationHandler(IgnoringHandler):
    """Waits for the exchange with `notifications/initialized`."""

    def __init__(self, session: LegacySession) -> None:
        self._session = session

    def on_end(self, end: ExchangeEnded) -> None:
        self._session.on_confirmation_end(end)


class _GetStream(IgnoringHandler):
    """Waits for the exchange of the GET stream. Servers may have none."""

    def __init__(self, relay: Relay, session: LegacySession) -> None:
        self._relay = relay
        self._session = session

    def on_message(self, message: Message, session_id: str | None) -> None:  # noqa: ARG002 (as `Handler` has it)
        if not message.is_answer:
            self._relay.pass_on(message, self._session)

    def on_end(self, end: ExchangeEnded) -> None:
        self._session.on_stream_end(end)


def _error_object_in(text: Text) -> dict[str, Any] | None:
    """Return the JSON-RPC error object in the body of a refusal. Returns None if there is none."""
    try:
        message = parse(text)
    except UnusableMessageError:
        return None
    return message.body if message.is_error and isinstance(message.body, dict) else None


def session_problem(end: ExchangeEnded) -> Problem:
    """Return the problem of a session that failed because of this end of an exchange."""
    if end.outcome is Outcome.REFUSED:
        return Problem("SERVER_REFUSED", f"the server answered with HTTP status {end.status}", fault="server")
    return Problem("SERVER_UNREACHABLE", "the server cannot be reached", retryable=True, fault="server")
