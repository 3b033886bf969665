"""The status and the body of what a server answers by HTTP, as far as they have come."""

import h11

from ..core.events_and_actions import ExchangeEnded
from ..core.messages.event_stream import EventStream, TooLongError
from ..core.servers import Outcome

MESSAGE_MAX = 64 * 1024 * 1024
REFUSAL_MAX = 64 * 1024

SUCCESSES = range(200, 300)
"""The status codes of successes (RFC 9110)."""

_TYPE, _RETRY, _SESSION = b"content-type", b"retry-after", b"mcp-session-id"
_USED_HEADERS = frozenset({_TYPE, _RETRY, _SESSION})


class HttpBody:
    """An answer: JSON, a stream of events, nothing, or a refusal."""

    def __init__(self, head: h11.Response) -> None:
        # h11 has names in lower case.
        headers = {name: value.decode("latin-1") for name, value in head.headers if name in _USED_HEADERS}
        kind = headers.get(_TYPE, "").partition(";")[0].strip().lower()
        self._status = head.status_code
        self._is_success = head.status_code in SUCCESSES
        self._is_json = kind == "application/json"
        self._events = EventStream(MESSAGE_MAX) if kind == "text/event-stream" and self._is_success else None
        self._body = bytearray()
        self._retry_after_s = _seconds(headers.get(_RETRY))
        self.session_id = headers.get(_SESSION)

    def feed(self, data: bytes | bytearray) -> list[bytearray]:
        """Return the messages that these bytes complete. Only a stream of events has messages before its end."""
        if self._events is not None:
            return self._events.feed(data)
        if len(self._body) + len(data) <= (MESSAGE_MAX if self._is_success else REFUSAL_MAX):
            self._body += data
        elif self._is_success:
            raise TooLongError
        return []

    def take_body(self) -> bytearray | None:
        """Remove the JSON body of a success, and return it. Returns None if there is none."""
        if not (self._is_success and self._is_json and self._body):
            return None
        body, self._body = self._body, bytearray()
        return body

    def end(self, exchange: int) -> ExchangeEnded:
        """Return the end of the exchange. Called after `take_body`."""
        if not self._is_success:
            return ExchangeEnded(exchange, Outcome.REFUSED, self._status, bytes(self._body), self._retry_after_s)
        # A body that is left is neither JSON nor an event stream.
        return self.cut_off(exchange, Outcome.INVALID if self._body else Outcome.COMPLETE)

    def cut_off(self, exchange: int, outcome: Outcome) -> ExchangeEnded:
        """Return the end of an exchange whose answer is a stream, or is not complete."""
        if self._events is None:
            return ExchangeEnded(exchange, outcome, self._status)
        pause_s, last_id = self._events.retry_s, self._events.last_id
        return ExchangeEnded(exchange, outcome, self._status, retry_after_s=pause_s, last_event_id=last_id)


def _seconds(value: str | None) -> float | None:
    """Return the seconds of a `Retry-After` header. Returns None without one."""
    try:
        return None if value is None else max(0.0, float(value))
    except ValueError:
        # A date. Servers on this machine say seconds.
        return 1.0
