"""The outcomes of requests, kept for callers that ask again."""

from ...core.single_flight import Operation
from ...errors import InvalidParams
from ...native.api import Clock
from .operation import RunningOperation

KEPT_S, KEPT = 300.0, 500
"""How long the outcome of a request is kept, in seconds, and how many of the latest outcomes."""


class Outcomes:
    """Keeps the operation of each request by the id of the request: those that run, and those that ended lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._operations: dict[str, RunningOperation] = {}
        self._last_number = 0

    def new_id(self) -> str:
        """Return an id for a request without one. No request whose operation is kept has it."""
        while True:
            self._last_number += 1
            request_id = f"r-{self._last_number}"
            if request_id not in self._operations:
                return request_id

    def remember(self, request_id: str, operation: RunningOperation) -> None:
        """Keep the operation for later questions about the request. The oldest outcomes make room."""
        self._operations[request_id] = operation
        if len(self._operations) > KEPT:
            ended = [kept_id for kept_id, kept in self._operations.items() if kept.ended is not None]
            for kept_id in ended[:-KEPT]:
                del self._operations[kept_id]

    def find(self, request_id: str) -> RunningOperation | None:
        """Return the operation of a request, None if the request is unknown or ended more than `KEPT_S` ago."""
        operation = self._operations.get(request_id)
        if operation is None or operation.ended is None or operation.ended >= self._clock.monotonic() - KEPT_S:
            return operation
        del self._operations[request_id]
        return None

    def find_repeated(self, request_id: str, method: Operation, server_id: str | None) -> RunningOperation | None:
        """Return the operation that a request repeats by its id. `server_id` None stands for any server.

        Returns None if the id is new, or if the operation was undone because the connection was lost: then the request
        is performed when it is sent again.

        Raises:
            InvalidParams: the id was used for another operation or server.
        """
        operation = self.find(request_id)
        if operation is None or (operation.abandoned and request_id not in operation.cancelled_requests):
            return None
        earlier = operation.running.request.operation
        if (operation.server_id, earlier) != (server_id or operation.server_id, method):
            raise InvalidParams("request", f"{request_id!r} was {earlier} on {operation.server_id}")
        return operation
