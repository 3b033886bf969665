"""Requests that wait: for the outcome of an operation, or for another operation to end first."""

import asyncio
from collections.abc import Callable

from .requester import Requester


def never() -> bool:
    """Return False: the operation ends with its last caller."""
    return False


def do_nothing() -> None:
    """Undo nothing, because the request has changed nothing."""


class Waiter:
    """A connection that waits for the outcome of a request.

    `editor_id` is the editor that the request is for, None if it is for none. `keep_if` tells whether the operation is
    still wanted after the connection was lost. `undo` takes back what the request has changed; it is called when the
    request is cancelled, and when the operation fails by the fault of its callers. A waiter for the same editor that
    stays takes the undo over. `cancelled` is done when the request was cancelled.
    """

    def __init__(
        self,
        request_id: str,
        requester: Requester | None,
        editor_id: str | None = None,
        undo: Callable[[], None] = do_nothing,
        keep_if: Callable[[], bool] = never,
    ) -> None:
        self.request_id = request_id
        self.requester = requester
        self.editor_id = editor_id
        self.undo = undo
        self.keep_if = keep_if
        self.cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class QueuedRequest:
    """A request that waits for another operation to end, on one or more connections.

    `cancelled` is done when the request was cancelled; `over` is set when the wait has ended.
    """

    def __init__(self, server_id: str, deadline_s: float) -> None:
        self.server_id = server_id
        self.deadline_s = deadline_s
        self.connections = 0
        self.cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
