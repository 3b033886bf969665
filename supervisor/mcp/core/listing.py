"""Reads all lists of a server, all pages of each, with requests of our own."""

from collections.abc import Callable
from typing import Any

from .messages.catalogue import LISTS, EraCatalogue
from .messages.message import Message, encode
from .messages.replies import request
from .outbox import Outbox
from .values import ExchangeEnded, Headers, Server

PAGES_MAX = 100

HeadersOf = Callable[[str], Headers]
"""Returns the headers of a request of this method."""


class Listing:
    """A reading of all lists. `is_done` and `lists` tell the result; a list that failed keeps its old content."""

    def __init__(self, outbox: Outbox, era: EraCatalogue, prefix: str) -> None:
        self._outbox = outbox
        self._era = era
        self._prefix = prefix
        self._left = [method for method in LISTS if era.has(method)]
        self._items: list[Any] = []
        self._pages = 0
        self._cursor: str | None = None
        self._answered = False
        self._server: Server | None = None
        self._headers_of: HeadersOf = lambda _: ()
        self._params: dict[str, Any] = {}
        self.lists: dict[str, list[Any]] = {}
        self.is_done = not self._left

    def begin(self, server: Server, headers_of: HeadersOf, params: dict[str, Any]) -> None:
        """Ask for the first page. All questions have these params."""
        self._server, self._headers_of, self._params = server, headers_of, params
        if not self.is_done:
            self._ask()

    def said(self, message: Message, session: str | None) -> None:  # noqa: ARG002 (as `Handler` has it)
        """Take a page."""
        if not message.is_answer:
            return
        self._answered = True
        method = self._left[0]
        body = message.body or _body(message)
        items = body.get(LISTS[method]) if not message.is_error and isinstance(body, dict) else None
        if not isinstance(items, list):
            self._next_list()
            return
        self._items += items
        self._pages += 1
        cursor = body.get("nextCursor")
        if isinstance(cursor, str) and cursor and self._pages < PAGES_MAX:
            self._cursor = cursor
            return
        self.lists[method] = self._items
        self._next_list()

    def ended(self, end: ExchangeEnded) -> None:  # noqa: ARG002 (as `Handler` has it)
        """Ask for the next page, or end where the server has not answered."""
        if not self._answered:
            self._left.clear()
        self.is_done = not self._left
        if not self.is_done:
            self._ask()

    def _next_list(self) -> None:
        self._left.pop(0)
        self._items, self._pages, self._cursor = [], 0, None

    def _ask(self) -> None:
        assert self._server is not None  # noqa: S101 (`begin` has set it)
        self._answered = False
        params = self._params | ({} if self._cursor is None else {"cursor": self._cursor})
        text = request(f"{self._prefix}-l{self._left[0]}", self._left[0], params)
        self._outbox.send(self._server, self._headers_of(self._left[0]), text, self)


def _body(message: Message) -> Any:
    """Return the result of an answer that is not small: a list is read whole, because the catalogue keeps it."""
    import json

    return json.loads(message.text).get("result")


def differences(old: EraCatalogue, lists: dict[str, list[Any]]) -> list[str]:
    """Return the lists that have other items than before. A list that was not known before is no difference."""
    return [name for name, items in lists.items() if name in old.lists and encode(old.lists[name]) != encode(items)]
