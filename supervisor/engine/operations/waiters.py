"""Who waits for a flight, and on which terms."""

import asyncio
from collections.abc import Callable

from ...values import frozen
from .requester import Requester


def _never() -> bool:
    return False


def _nothing() -> None:
    pass


def _nowhere() -> None:
    pass


@frozen
class Ticket:
    """Who asks, and on which terms.

    `asked` is called before anybody is told anything: what it raises is a refusal, and none comes later.
    `moved` is called when a wait for another operation is over; it names the server that the request is for now.
    `admitted` is called once admission is certain, before anybody is told. `goes_on_alone` tells whether the operation
    is still wanted when whoever asked has gone without a word; `gave_up` is called when it says that it no longer wants
    it, and when it was refused. `owner` names for whom it asks: one request's `gave_up` does not undo
    what another for the same owner still wants.
    """

    requester: Requester | None = None
    request_id: str | None = None
    asked: Callable[[], None] = _nothing
    admitted: Callable[[], None] = _nothing
    moved: Callable[[], str | None] = _nowhere
    goes_on_alone: Callable[[], bool] = _never
    gave_up: Callable[[], None] = _nothing
    owner: str | None = None

    def admit(self, *, told: bool, waits: bool) -> None:
        """What has to hold before whoever asks is told: that it may ask, and that it is admitted, unless it `waits`."""
        if not told:
            self.asked()
        if not waits:
            self.admitted()


class Seat:
    """One passenger: a request on one connection. `given_up` is done when it no longer wants what it asked for."""

    def __init__(self, request: str, ticket: Ticket) -> None:
        self.request = request
        self.ticket = ticket
        self.given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class Turn:
    """A request that waits for another operation to end, on as many connections as it came by."""

    def __init__(self, server_id: str, deadline_s: float) -> None:
        self.server_id = server_id
        self.deadline_s = deadline_s
        self.connections = 0
        self.given_up: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
