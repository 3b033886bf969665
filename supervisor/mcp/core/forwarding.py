"""Follows a request of the client through one exchange with a server, and judges how the exchange has ended."""

from typing import NamedTuple, Protocol

from .client_request import TOOL_CALL, ClientRequest
from .events_and_actions import ExchangeEnded, Problem
from .messages.headers import is_modern, is_plain
from .messages.message import Message, UnusableMessageError, encode, parse
from .messages.modern_rules import HEADER_MISMATCH
from .messages.replies import error
from .relay import Relay
from .servers import Outcome
from .session import LegacySession
from .streams.response_streams import ClosedStream

SENDS_MAX = 8
"""How often a request is sent at most, while servers provably do not receive or accept it."""

UNKNOWN_SESSION, UNAUTHORIZED = 404, 401
TOO_MANY_REQUESTS, UNAVAILABLE = 429, 503
"""These statuses ask for another try if they come with `Retry-After`."""
SERVER_FAILED = 500
"""This status and those above it say that the server has failed."""

PAUSE_MIN_S, PAUSE_MAX_S = 0.05, 10.0
LISTS_PAUSE_S = 0.2
"""How long a request waits for the lists to be read again."""


def wanted_pause(end: ExchangeEnded) -> float | None:
    """Return the pause after which a server wants a refused request again. Returns None if it does not ask for that."""
    if end.status not in {TOO_MANY_REQUESTS, UNAVAILABLE} or end.retry_after_s is None:
        return None
    return min(max(end.retry_after_s, PAUSE_MIN_S), PAUSE_MAX_S)


class Verdict(NamedTuple):
    """How a request goes on after an exchange.

    With an answer, or else a problem, it is answered. With a closed stream it goes on where that one ended. Otherwise
    it is sent again, after the pause. `leave_server`, `drop_session` and `read_lists_again` say what has to be done
    before.
    """

    answer: Message | None = None
    problem: Problem | None = None
    leave_server: bool = False
    drop_session: bool = False
    read_lists_again: bool = False
    pause_s: float = 0.0
    closed_stream: ClosedStream | None = None


class ForwardingListener(Protocol):
    """The conversation, as `Forwarding` sees it."""

    def forwarding_ended(self, request: ClientRequest, verdict: Verdict) -> None:
        """Answer the request, or let it wait, as the verdict says. Called once for each exchange."""
        ...

    def may_repeat(self, request: ClientRequest) -> bool:
        """Return whether a second execution of the request does no harm."""
        ...


class Forwarding:
    """The handler of an exchange with one request of the client. The answer is passed on as soon as it is there."""

    def __init__(
        self, request: ClientRequest, relay: Relay, session: LegacySession, listener: ForwardingListener
    ) -> None:
        self._request = request
        self._relay = relay
        self._session = session
        self._listener = listener
        self._is_over = False
        self._is_resumed = False
        """Whether a stream of the request was closed by the server, and was asked for again."""

    def on_message(self, message: Message, session_id: str | None) -> None:  # noqa: ARG002 (as `Handler` has it)
        """Pass on a message. An answer to anything but this request is dropped."""
        if self._is_over:
            return
        if not message.is_answer:
            self._relay.pass_on(message, self._session)
        elif message.id == self._request.id and isinstance(message.id, str) == isinstance(self._request.id, str):
            self._finish(Verdict(message))

    def on_end(self, end: ExchangeEnded) -> None:
        """Judge the end of the exchange, unless the answer was there before."""
        if not self._is_over:
            self._finish(self._judge(end))

    def _finish(self, verdict: Verdict) -> None:
        self._is_over = verdict.closed_stream is None
        self._listener.forwarding_ended(self._request, verdict)

    def _judge(self, end: ExchangeEnded) -> Verdict:
        """Return how the request goes on, when the exchange has ended without its answer."""
        if self._is_resumed:
            # The request was received, whatever has become of its stream.
            end = end._replace(outcome=Outcome.LOST, status=0)
        if self._can_resume(end):
            self._is_resumed = True
            return Verdict(closed_stream=ClosedStream(self._session, end, self))
        if end.outcome is Outcome.NOT_SENT:
            return self._send_again(Verdict(leave_server=True))
        if end.outcome is Outcome.REFUSED:
            return self._judge_refusal(end)
        if self._listener.may_repeat(self._request) and self._request.times_repeated == 0:
            self._request.times_repeated += 1
            # A server that ends closes its connections first, and may still accept others: ask the daemon about it.
            return Verdict(leave_server=end.outcome is not Outcome.INVALID)
        return Verdict(problem=self._unanswered_problem(end))

    def _can_resume(self, end: ExchangeEnded) -> bool:
        """Return whether the rest of a stream can be asked for. Only a session tells the streams of clients apart."""
        is_closed = end.outcome in {Outcome.COMPLETE, Outcome.LOST} and self._session.has_id
        has_id = end.last_event_id is not None and end.last_event_id != "" and is_plain(end.last_event_id)
        return is_closed and has_id and not is_modern(self._request.message)

    def _judge_refusal(self, end: ExchangeEnded) -> Verdict:
        """Judge a status other than 2xx. Up to 499 it says that the request was not executed."""
        if end.status == UNKNOWN_SESSION and not is_modern(self._request.message):
            return self._send_again(Verdict(drop_session=True))
        if end.status == UNAUTHORIZED:
            return self._send_again(Verdict(leave_server=True))
        pause_s = wanted_pause(end)
        if pause_s is not None:
            return self._send_again(Verdict(pause_s=pause_s))
        return self._judge_body(end, self._error_answer_in(end))

    def _judge_body(self, end: ExchangeEnded, answer: Message | None) -> Verdict:
        """Judge a refusal whose status does not say what to do. `answer` is the JSON-RPC error in it, or None."""
        if answer is not None and answer.body.get("code") == HEADER_MISMATCH and self._request.times_sent == 1:
            # The tool has another schema than the one that the headers were made from.
            return Verdict(read_lists_again=True, pause_s=LISTS_PAUSE_S)
        if answer is not None:
            return Verdict(answer)
        if end.status >= SERVER_FAILED and self._request.method == TOOL_CALL:
            # The server may have failed after the execution.
            return Verdict(problem=self._unanswered_problem(end))
        refused = Problem("SERVER_REFUSED", f"the server answered with HTTP status {end.status}", fault="server")
        return Verdict(problem=refused)

    def _send_again(self, verdict: Verdict) -> Verdict:
        """Return the verdict, with a problem added if the request was sent too often."""
        if self._request.times_sent < SENDS_MAX:
            return verdict
        return verdict._replace(
            problem=Problem("SERVER_UNREACHABLE", "no server accepts the request", retryable=True, fault="server")
        )

    def _error_answer_in(self, end: ExchangeEnded) -> Message | None:
        """Return the JSON-RPC error in a refusal as the answer to this request. Returns None if there is none.

        The error may lack the id of the request. For a call of a tool such an error does not count.
        """
        try:
            message = parse(end.text)
        except UnusableMessageError:
            return None
        if not message.is_error or not isinstance(message.body, dict):
            return None
        if self._request.method == TOOL_CALL and message.id is None:
            return None
        if message.id == self._request.id:
            return message
        said = message.body
        text = error(self._request.id, said.get("code", 0), str(said.get("message", "")), said.get("data"))
        return parse(text)

    def _unanswered_problem(self, end: ExchangeEnded) -> Problem:
        """Return the problem of a request that a server may have executed."""
        if end.outcome is Outcome.LOST:
            known = "the server ended, or closed the connection, before it answered"
        elif end.outcome is Outcome.REFUSED:
            known = f"the server answered with HTTP status {end.status}"
        else:
            known = "the server did not send a usable answer"
        if self._request.method != TOOL_CALL:
            return Problem("SERVER_UNREACHABLE", known, retryable=True, fault="server")
        return Problem(
            "OUTCOME_UNKNOWN",
            f"{known}; the call {encode(self._request.tool).decode()} may or may not have been executed",
            "Look at the state of the project before you repeat it.",
            fault="server",
        )
