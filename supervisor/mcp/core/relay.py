"""Passes on what a server asks and tells the client of its own accord. Requests get ids that no other session uses."""

from typing import NamedTuple, Protocol

from .messages.message import Message, encode, with_id
from .messages.replies import notification
from .outbox import Outbox
from .values import Id, Server, Text


class Teller(Protocol):
    """A session, as far as answers go back to it."""

    server: Server | None

    def tell(self, text: Text) -> None:
        """Send a message to the server in this session."""
        ...


class _Question(NamedTuple):
    session: Teller
    id: Id
    """The server's own id."""


class Relay:
    """Server-to-client requests that the client has not answered yet, by our ids of them."""

    def __init__(self, outbox: Outbox, prefix: str) -> None:
        self._outbox = outbox
        self._prefix = prefix
        self._asked: dict[Id, _Question] = {}
        self._count = 0

    def pass_on(self, message: Message, session: Teller) -> None:
        """Pass on a request or a notification that a server has sent in a session."""
        if message.id is not None:
            self._count += 1
            ours = f"{self._prefix}-s{self._count}"
            self._asked[ours] = _Question(session, message.id)
            self._outbox.say(with_id(message, ours))
        elif message.method == "notifications/cancelled":
            self._pass_on_cancellation(message, session)
        else:
            self._outbox.say(message.text)

    def answer(self, message: Message) -> None:
        """Send a client's answer to the session that has asked. An answer that no server waits for is dropped."""
        question = None if message.id is None else self._asked.pop(message.id, None)
        if question is not None:
            question.session.tell(with_id(message, question.id))

    def session_ended(self, session: Teller) -> None:
        """Cancel at the client what the ended session had asked. Late answers are dropped."""
        self._cancel([ours for ours, question in self._asked.items() if question.session is session])

    def server_ended(self, number: int) -> None:
        """Cancel at the client what a server had asked, in whichever session."""
        servers = [(ours, question.session.server) for ours, question in self._asked.items()]
        self._cancel([ours for ours, server in servers if server is not None and server.number == number])

    def _cancel(self, questions: list[Id]) -> None:
        for ours in questions:
            del self._asked[ours]
            reason = "the server has been restarted"
            self._outbox.say(notification("notifications/cancelled", {"requestId": ours, "reason": reason}))

    def _pass_on_cancellation(self, message: Message, session: Teller) -> None:
        theirs = message.params.get("requestId")
        for ours, question in self._asked.items():
            if question.session is session and question.id == theirs and type(question.id) is type(theirs):
                del self._asked[ours]
                params = {**message.params, "requestId": ours}
                self._outbox.say(encode({"jsonrpc": "2.0", "method": message.method, "params": params}))
                return
