"""Collects the actions of a conversation, and knows which part of it waits for which exchange."""

from typing import Protocol

from .messages.message import Message
from .values import Abort, Action, ExchangeEnded, Headers, SayToClient, Send, Server, Text


class Handler(Protocol):
    """A part of the conversation that waits for an exchange."""

    def said(self, message: Message, session: str | None) -> None:
        """Take a message that the server has sent in the exchange."""
        ...

    def ended(self, end: ExchangeEnded) -> None:
        """Take the end of the exchange."""
        ...


class Outbox:
    """The actions that are to be performed next, in order."""

    def __init__(self) -> None:
        self._actions: list[Action] = []
        self._handlers: dict[int, tuple[Handler, int]] = {}
        """The part that waits for an exchange, and the server."""
        self._exchanges = 0

    def put(self, action: Action) -> None:
        """Add an action."""
        self._actions.append(action)

    def say(self, text: Text) -> None:
        """Send a line to the client."""
        self._actions.append(SayToClient(text))

    def send(self, server: Server, headers: Headers, text: Text, handler: Handler, method: str = "POST") -> int:
        """Begin an exchange, and return its number."""
        self._exchanges += 1
        self._handlers[self._exchanges] = (handler, server.number)
        self._actions.append(Send(self._exchanges, server.number, method, headers, text))
        return self._exchanges

    def abort(self, exchange: int) -> None:
        """End an exchange without waiting for its end."""
        if self._handlers.pop(exchange, None) is not None:
            self._actions.append(Abort(exchange))

    def handler(self, exchange: int) -> Handler | None:
        """Return the part that waits for an exchange. Returns None if the exchange is over."""
        found = self._handlers.get(exchange)
        return None if found is None else found[0]

    def close(self, exchange: int) -> Handler | None:
        """Forget an exchange that is over, and return the part that waits for it."""
        found = self._handlers.pop(exchange, None)
        return None if found is None else found[0]

    def exchanges_with(self, server: int) -> list[int]:
        """Return the exchanges with a server that are not over, the oldest first."""
        return [exchange for exchange, (_, number) in self._handlers.items() if number == server]

    def take(self) -> list[Action]:
        """Return the actions, and begin a new list."""
        taken, self._actions = self._actions, []
        return taken


class Unanswered:
    """Waits for an exchange whose answer does not matter, such as that of a notification."""

    def said(self, message: Message, session: str | None) -> None:
        """Drop a message."""

    def ended(self, end: ExchangeEnded) -> None:
        """Take the end of the exchange, whatever it is."""
