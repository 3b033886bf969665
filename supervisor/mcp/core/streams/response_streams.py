"""Streams with answers that servers close too early, and that go on elsewhere; and those that they leave open.

A server of the legacy era may close the stream of a request before the answer. If the last event had an id, the rest of
the stream can be asked for by a GET with that id, after the pause that the server wants (SEP-1699).
"""

from typing import NamedTuple

from ..client_request import ClientRequest, RequestTable
from ..events_and_actions import NEVER, ExchangeEnded
from ..outbox import Handler, Outbox
from ..session import LegacySession, SessionPhase

RESUME_PAUSE_S = 1.0
"""The pause before a stream is asked for again, if the server has named none."""
RESUME_PAUSE_MIN_S = 0.1

LEFT_OPEN_S = 2.0
"""How long a stream may stay open after its answer. Servers close it at once, and the connection is used again."""
CANCELLED_S = 60.0
"""How long an exchange may go on after its request was cancelled. Some servers never end it."""


class ClosedStream(NamedTuple):
    """A stream that a server has closed before the answer, and that may go on elsewhere."""

    session: LegacySession
    end: ExchangeEnded
    handler: Handler


class _Waiting(NamedTuple):
    """A closed stream whose pause is not over."""

    request: ClientRequest
    stream: ClosedStream
    due_at: float


class ResponseStreams:
    """The closed streams that will be asked for again, and the open ones that nothing waits for."""

    def __init__(self, outbox: Outbox, requests: RequestTable) -> None:
        self._outbox = outbox
        self._requests = requests
        self._waiting: list[_Waiting] = []
        self._left_open: dict[int, float] = {}
        """Exchange -> when it is closed, after its answer came."""
        self._cancelled: dict[int, float] = {}
        """Exchange -> when it is closed, after its request was cancelled."""

    def resume_later(self, request: ClientRequest, stream: ClosedStream, now: float) -> None:
        """Let the stream of a request go on after the pause. What comes then goes to the same handler."""
        asked_s = stream.end.retry_after_s
        pause_s = max(RESUME_PAUSE_MIN_S, RESUME_PAUSE_S if asked_s is None else asked_s)
        self._waiting.append(_Waiting(request, stream, now + pause_s))

    def note_answered(self, exchange: int | None, now: float) -> None:
        """Note that the answer in an exchange was there, so that nothing waits for the rest."""
        if exchange is not None:
            self._left_open[exchange] = now + LEFT_OPEN_S

    def note_cancelled(self, exchange: int, now: float) -> None:
        """Note that the client has cancelled the request of an exchange, which the server ends when it has stopped."""
        self._cancelled[exchange] = now + CANCELLED_S

    def advance(self, current: LegacySession, now: float) -> None:
        """Ask for streams whose pause is over, and close those that were left open. Called after each event.

        A stream of a session other than `current` cannot go on, and its handler learns so.
        """
        for waiting in list(self._waiting):
            request, (session, end, handler), due_at = waiting
            is_lost = session is not current or session.phase is not SessionPhase.READY or session.server is None
            if not is_lost and now < due_at and self._requests.has(request):
                continue
            self._waiting.remove(waiting)
            if is_lost or session.server is None:
                handler.on_end(end._replace(last_event_id=None))
            elif self._requests.has(request):
                headers = (*session.headers, ("Last-Event-ID", end.last_event_id or ""))
                request.exchange = self._outbox.begin_exchange(session.server, headers, b"", handler, "GET")
        for closing in (self._left_open, self._cancelled):
            for exchange, due_at in list(closing.items()):
                if not self._outbox.is_open(exchange) or now >= due_at:
                    del closing[exchange]
                    self._outbox.abort_exchange(exchange)

    @property
    def deadline(self) -> float:
        """Return when the next stream is asked for, or the exchange of a cancelled request is closed.

        A stream that is left open after its answer is closed at the next event: no wake-up is spent on it.
        """
        return min((*(waiting.due_at for waiting in self._waiting), *self._cancelled.values()), default=NEVER)
