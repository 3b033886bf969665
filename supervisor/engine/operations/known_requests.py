"""Requests that their callers name by id: to repeat them, to wait for them, or to cancel them."""

from collections.abc import Awaitable

from ...core.model import ServerRecord
from ...core.single_flight import Operation
from ...errors import NotFound
from ..state.events import Events
from .admitted_request import cancelled_before_it_began
from .coordinator import Operations
from .operation import RunningOperation
from .outcomes import KEPT, KEPT_S
from .requester import Requester
from .waiters import Waiter


class KnownRequests:
    """Answers callers that name a request that was made before."""

    def __init__(self, operations: Operations, events: Events) -> None:
        self._operations = operations
        self._events = events

    def knows(self, request_id: str) -> bool:
        """Return whether a request waits, is running, or has an outcome that is kept."""
        return self._operations.queued(request_id) is not None or self._operations.outcomes.find(request_id) is not None

    def repeat(
        self, request_id: str, method: Operation, server_id: str | None, requester: Requester
    ) -> Awaitable[ServerRecord] | None:
        """Answer a request that was sent before like the first time. `server_id` None stands for any server.

        Returns None if the request is to be performed: its id is new, or it was undone because its connection was lost.

        Raises:
            InvalidParams: the id was used for another operation or server.
        """
        operation = self._operations.outcomes.find_repeated(request_id, method, server_id)
        return None if operation is None else self._rejoin(operation, request_id, requester)

    async def result(self, request_id: str, requester: Requester | None = None) -> ServerRecord:
        """Wait for the outcome of a request, or return the outcome that is kept.

        Raises:
            NotFound: there is no such request, or it ended too long ago.
            SupervisorError: what the operation raised.
        """
        accepted = False
        while (queued := self._operations.queued(request_id)) is not None:
            if not accepted:
                _send_accepted(requester, request_id, queued.deadline_s)
            accepted = True
            await queued.over.wait()
            if queued.cancelled.done():
                raise cancelled_before_it_began()
        return await self._rejoin(self._find(request_id), request_id, requester, accepted=accepted)

    def cancel(self, request_id: str) -> bool:
        """Cancel a request. A request that has ended stays as it is.

        Returns:
            Whether the operation continues, because it cannot be undone any more.

        Raises:
            NotFound: there is no such request.
        """
        queued = self._operations.queued(request_id)
        if queued is None:
            operation = self._find(request_id)
            self._events.publish("request.cancelled", server=operation.server_id, request=request_id)
            return not operation.cancel_request(request_id) and operation.ended is None
        self._events.publish("request.cancelled", server=queued.server_id, request=request_id)
        if not queued.cancelled.done():
            queued.cancelled.set_result(None)
        return False

    async def _rejoin(
        self, operation: RunningOperation, request_id: str, requester: Requester | None, *, accepted: bool = False
    ) -> ServerRecord:
        if not accepted:
            _send_accepted(requester, request_id, operation.deadline_s)
        return await self._operations.wait_for_outcome(operation, Waiter(request_id, requester))

    def _find(self, request_id: str) -> RunningOperation:
        operation = self._operations.outcomes.find(request_id)
        if operation is None:
            raise NotFound(f"no request {request_id!r}", hint=f"outcomes are kept for {KEPT_S:g} s, at most {KEPT}")
        return operation


def _send_accepted(requester: Requester | None, request_id: str, deadline_s: float) -> None:
    if requester is not None:
        requester.accepted(request=request_id, joined=True, deadline_s=deadline_s)
