"""Reads all lists of a server, all pages of each, with requests of the bridge."""

from collections.abc import Callable
from typing import Any

from .events_and_actions import ExchangeEnded, Headers
from .messages.catalogue import LIST_KEYS, EraCatalogue
from .messages.message import Message, encode, whole_body
from .messages.replies import request
from .outbox import Outbox
from .servers import Server

PAGES_MAX = 100

HeadersOf = Callable[[str], Headers]
"""Takes a method, and returns the headers of its request."""


class ListReading:
    """A reading of all lists, and the handler of its exchanges.

    When `is_done` is true, `lists` has each list that was read completely. A list that failed is left out.
    """

    def __init__(self, outbox: Outbox, era: EraCatalogue, prefix: str) -> None:
        self._outbox = outbox
        self._era = era
        self._prefix = prefix
        # A client of the modern era need not have asked what the server has.
        self._methods_left = [method for method in LIST_KEYS if era.hello is None or era.has_list(method)]
        self._items: list[Any] = []
        self._pages = 0
        self._cursor: str | None = None
        self._answered = False
        self._server: Server | None = None
        self._headers_of: HeadersOf = lambda _: ()
        self._params: dict[str, Any] = {}
        self.lists: dict[str, list[Any]] = {}
        self.has_read_tools = False
        self.is_done = not self._methods_left

    def begin(self, server: Server, headers_of: HeadersOf, params: dict[str, Any]) -> None:
        """Request the first page. All requests have these params."""
        self._server, self._headers_of, self._params = server, headers_of, params
        if not self.is_done:
            self._request_page()

    def on_message(self, message: Message, session_id: str | None) -> None:  # noqa: ARG002 (as `Handler` has it)
        """Add a page to its list. A list that is complete or refused is followed by the next one."""
        if not message.is_answer:
            return
        self._answered = True
        method = self._methods_left[0]
        body = whole_body(message)
        items = body.get(LIST_KEYS[method]) if not message.is_error and isinstance(body, dict) else None
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
        self.has_read_tools = self.has_read_tools or method == "tools/list"
        self._next_list()

    def on_end(self, end: ExchangeEnded) -> None:  # noqa: ARG002 (as `Handler` has it)
        """Request the next page. If the server has not answered, the reading ends."""
        if not self._answered:
            self._methods_left.clear()
        self.is_done = not self._methods_left
        if not self.is_done:
            self._request_page()

    def _next_list(self) -> None:
        self._methods_left.pop(0)
        self._items, self._pages, self._cursor = [], 0, None

    def _request_page(self) -> None:
        assert self._server is not None  # noqa: S101 (`begin` has set it)
        self._answered = False
        params = self._params | ({} if self._cursor is None else {"cursor": self._cursor})
        text = request(f"{self._prefix}-l{self._methods_left[0]}", self._methods_left[0], params)
        self._outbox.begin_exchange(self._server, self._headers_of(self._methods_left[0]), text, self)


def changed_lists(old: EraCatalogue, lists: dict[str, list[Any]]) -> list[str]:
    """Return the methods of those lists that have other items than in `old`. A list that `old` has not is no change."""
    return [name for name, items in lists.items() if name in old.lists and encode(old.lists[name]) != encode(items)]
