"""The outcomes of requests, kept for callers that ask again."""

from ...core.single_flight import Operation
from ...errors import InvalidParams
from ...native.api import Clock
from .operation import RunningOperation

KEPT_S, KEPT = 300.0, 500
"""How long the outcome of a request is kept, in seconds, and how many of the latest outcomes."""


class Outcomes:
    """The operations of requests, by the id of the request: those that run, and those that ended lately."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.operations: dict[str, RunningOperation] = {}

    def remember(self, request_id: str, operation: RunningOperation) -> None:
        """Keep the outcome for later questions. The oldest outcomes make room."""
        self.operations[request_id] = operation
        if len(self.operations) > KEPT:
            ended = [known for known, other in self.operations.items() if other.ended is not None]
            for known in ended[:-KEPT]:
                del self.operations[known]

    def known(self, request_id: str) -> RunningOperation | None:
        """Return the operation of a request, None if the request is unknown or ended more than `KEPT_S` ago."""
        operation = self.operations.get(request_id)
        if operation is None or operation.ended is None or operation.ended >= self._clock.monotonic() - KEPT_S:
            return operation
        del self.operations[request_id]
        return None

    def repeated(self, request_id: str, method: Operation, server_id: str | None) -> RunningOperation | None:
        """Return the operation that an id was used for before. `server_id` None stands for any server.

        Returns None if the id is new, or if the operation was undone because the connection was lost: then the request
        is performed when it is sent again.

        Raises:
            InvalidParams: the id was used for another operation or server.
        """
        operation = self.known(request_id)
        if operation is None or (operation.abandoned and request_id not in operation.renounced):
            return None
        was = (operation.server_id, operation.running.request.operation)
        if was != (server_id or operation.server_id, method):
            raise InvalidParams("request", f"{request_id!r} was {was[1]} on {was[0]}")
        return operation
