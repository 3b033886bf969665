"""Passes on requests and notifications of servers to the client. Requests get ids that no other session uses."""

from typing import NamedTuple, Protocol

from .events_and_actions import Id, Text
from .messages.message import Message, encode, with_id
from .messages.replies import notification
from .outbox import Outbox
from .servers import Server


class AnswerableSession(Protocol):
    """A session, as the relay sees it: answers of the client go back to it."""

    server: Server | None

    def send_to_server(self, text: Text) -> None:
        """Send a message to the server in this session, if the session is ready."""
        ...


class _Question(NamedTuple):
    """A request of a server to the client."""

    session: AnswerableSession
    id: Id
    """The server's own id."""


class Relay:
    """The requests of servers that the client has not answered, by the ids under which the client has them."""

    def __init__(self, outbox: Outbox, prefix: str) -> None:
        self._outbox = outbox
        self._prefix = prefix
        self._questions: dict[Id, _Question] = {}
        self._count = 0

    def pass_on(self, message: Message, session: AnswerableSession) -> None:
        """Pass on a request or a notification that a server has sent in a session, to the client."""
        if message.id is not None:
            self._count += 1
            ours = f"{self._prefix}-s{self._count}"
            self._questions[ours] = _Question(session, message.id)
            self._outbox.send_to_client(with_id(message, ours))
        elif message.method == "notifications/cancelled":
            self._pass_on_cancellation(message, session)
        else:
            self._outbox.send_to_client(message.text)

    def answer_server(self, message: Message) -> None:
        """Send an answer of the client to the session that has asked.

        An answer that no session waits for is dropped.
        """
        question = None if message.id is None else self._questions.pop(message.id, None)
        if question is not None:
            question.session.send_to_server(with_id(message, question.id))

    def cancel_questions_of_session(self, session: AnswerableSession) -> None:
        """Cancel at the client what the ended session had asked. Late answers are dropped."""
        self._cancel_at_client([ours for ours, question in self._questions.items() if question.session is session])

    def cancel_questions_of_server(self, number: int) -> None:
        """Cancel at the client what a server had asked, in whichever session."""
        servers = [(ours, question.session.server) for ours, question in self._questions.items()]
        self._cancel_at_client([ours for ours, server in servers if server is not None and server.number == number])

    def _cancel_at_client(self, questions: list[Id]) -> None:
        for ours in questions:
            del self._questions[ours]
            reason = "the server has been restarted"
            self._outbox.send_to_client(notification("notifications/cancelled", {"requestId": ours, "reason": reason}))

    def _pass_on_cancellation(self, message: Message, session: AnswerableSession) -> None:
        theirs = message.params.get("requestId")
        for ours, question in self._questions.items():
            if question.session is session and question.id == theirs and type(question.id) is type(theirs):
                del self._questions[ours]
                params = {**message.params, "requestId": ours}
                self._outbox.send_to_client(encode({"jsonrpc": "2.0", "method": message.method, "params": params}))
                return
