"""Collects the actions of a conversation, and knows which part of it handles which exchange."""

from typing import Protocol

from .events_and_actions import AbortExchange, Action, BeginExchange, ExchangeEnded, Headers, SendToClient, Text
from .messages.message import Message, UnusableMessageError, parse
from .servers import Server


class Handler(Protocol):
    """A part of the conversation that handles the events of an exchange."""

    def on_message(self, message: Message, session_id: str | None) -> None:
        """Handle a message that the server has sent in the exchange. `session_id` is that of the response."""
        ...

    def on_end(self, end: ExchangeEnded) -> None:
        """Handle the end of the exchange. Called once, last, and not after `Outbox.abort_exchange`."""
        ...


class Outbox:
    """The actions that are to be performed next, in order."""

    def __init__(self) -> None:
        self._actions: list[Action] = []
        self._handlers: dict[int, tuple[Handler, int]] = {}
        """Exchange -> the part that handles it, and the number of the server."""
        self._exchanges = 0

    def add(self, action: Action) -> None:
        """Add an action."""
        self._actions.append(action)

    def send_to_client(self, text: Text) -> None:
        """Send a line to the client."""
        self._actions.append(SendToClient(text))

    def begin_exchange(
        self, server: Server, headers: Headers, text: Text, handler: Handler, method: str = "POST"
    ) -> int:
        """Begin an exchange whose events go to `handler`, and return its number."""
        self._exchanges += 1
        self._handlers[self._exchanges] = (handler, server.number)
        self._actions.append(BeginExchange(self._exchanges, server.number, method, headers, text))
        return self._exchanges

    def abort_exchange(self, exchange: int) -> None:
        """Abort an exchange. Its handler is not called again."""
        if self._handlers.pop(exchange, None) is not None:
            self._actions.append(AbortExchange(exchange))

    def is_open(self, exchange: int) -> bool:
        """Return whether an exchange was begun, and is neither over nor aborted."""
        return exchange in self._handlers

    def deliver_message(self, exchange: int, text: Text, session_id: str | None) -> None:
        """Give a message of a server to the handler of its exchange. A text that is no message is dropped.

        The exchange then ends without an answer, and that is judged.
        """
        found = self._handlers.get(exchange)
        if found is None:
            return
        try:
            message = parse(text)
        except UnusableMessageError:
            return
        found[0].on_message(message, session_id)

    def deliver_end(self, end: ExchangeEnded) -> None:
        """Forget an exchange that is over, and tell its handler, unless the exchange was aborted."""
        found = self._handlers.pop(end.exchange, None)
        if found is not None:
            found[0].on_end(end)

    def exchanges_with(self, server: int) -> list[int]:
        """Return the exchanges with a server that are not over, the oldest first."""
        return [exchange for exchange, (_, number) in self._handlers.items() if number == server]

    def drain(self) -> list[Action]:
        """Remove the actions, and return them."""
        taken, self._actions = self._actions, []
        return taken


class IgnoringHandler:
    """Handles an exchange whose answer does not matter, such as that of a notification."""

    def on_message(self, message: Message, session_id: str | None) -> None:
        """Drop a message."""

    def on_end(self, end: ExchangeEnded) -> None:
        """Ignore the end of the exchange, whatever it is."""
