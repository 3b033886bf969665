"""Follows a request of the client through one exchange with a server, and judges how the exchange has ended."""

from typing import NamedTuple, Protocol

from .client_request import TOOL_CALL, ClientRequest
from .messages.message import Message, UnusableMessageError, encode, parse
from .messages.replies import error
from .relay import Relay, Teller
from .values import ExchangeEnded, Outcome, Problem

SENDS_MAX = 8
"""How often a request is sent that servers provably do not receive."""

UNKNOWN_SESSION, UNAUTHORIZED, UNAVAILABLE = 404, 401, 503
PAUSE_MAX_S = 10.0
HEADER_MISMATCH = -32020


class Verdict(NamedTuple):
    """The consequence of the end of an exchange. Without a problem the request is sent again, after the pause."""

    problem: Problem | None = None
    leave_server: bool = False
    drop_session: bool = False
    list_again: bool = False
    pause_s: float = 0.0


class Owner(Protocol):
    """The conversation, as an exchange sees it."""

    def finished(self, request: ClientRequest, answer: Message | None, verdict: Verdict) -> None:
        """Take the end of an exchange."""
        ...

    def may_repeat(self, request: ClientRequest) -> bool:
        """Return whether a second execution of the request does no harm."""
        ...


class Forwarding:
    """An exchange with one request. The answer is passed on as soon as it is there."""

    def __init__(self, request: ClientRequest, relay: Relay, session: Teller, owner: Owner) -> None:
        self._request = request
        self._relay = relay
        self._session = session
        self._owner = owner
        self._is_over = False

    def said(self, message: Message, session: str | None) -> None:  # noqa: ARG002 (as `Handler` has it)
        """Pass on a message. Only the answer to this request counts as an answer."""
        if self._is_over:
            return
        if not message.is_answer:
            self._relay.pass_on(message, self._session)
        elif message.id == self._request.id and isinstance(message.id, str) == isinstance(self._request.id, str):
            self._finish(message, Verdict())

    def ended(self, end: ExchangeEnded) -> None:
        """Judge the end of the exchange, unless the answer was there before."""
        if not self._is_over:
            self._finish(*self._judged(end))

    def _finish(self, answer: Message | None, verdict: Verdict) -> None:
        self._is_over = True
        self._owner.finished(self._request, answer, verdict)

    def _judged(self, end: ExchangeEnded) -> tuple[Message | None, Verdict]:
        if end.outcome is Outcome.NOT_SENT:
            return None, self._again(Verdict(leave_server=True))
        if end.outcome is Outcome.REFUSED:
            return self._refused(end)
        if self._owner.may_repeat(self._request) and self._request.repeats == 0:
            self._request.repeats += 1
            return None, Verdict()
        return None, Verdict(self._unknown(end))

    def _refused(self, end: ExchangeEnded) -> tuple[Message | None, Verdict]:
        """Judge a status other than 2xx, which says that the request was not executed."""
        if end.status == UNKNOWN_SESSION:
            return None, self._again(Verdict(drop_session=True))
        if end.status == UNAUTHORIZED:
            return None, self._again(Verdict(leave_server=True))
        if end.status == UNAVAILABLE and end.retry_after_s is not None:
            return None, self._again(Verdict(pause_s=min(max(end.retry_after_s, 0.05), PAUSE_MAX_S)))
        answer = self._answer_in(end)
        if answer is not None and answer.body.get("code") == HEADER_MISMATCH and self._request.sends == 1:
            # The tool has another schema than the one that the headers were made from.
            return None, Verdict(list_again=True, pause_s=0.2)
        if answer is not None:
            return answer, Verdict()
        refused = Problem("SERVER_REFUSED", f"the server answered with HTTP status {end.status}", fault="server")
        return None, Verdict(refused)

    def _again(self, verdict: Verdict) -> Verdict:
        """Return the verdict, or a problem if the request was sent too often."""
        if self._request.sends < SENDS_MAX:
            return verdict
        return verdict._replace(
            problem=Problem("SERVER_UNREACHABLE", "no server accepts the request", retryable=True, fault="server")
        )

    def _answer_in(self, end: ExchangeEnded) -> Message | None:
        """Return the JSON-RPC error in a refusal as the answer to this request. Its own id may be missing."""
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

    def _unknown(self, end: ExchangeEnded) -> Problem:
        if end.outcome is Outcome.LOST:
            known = "the server ended, or closed the connection, before it answered"
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
