"""A request between its admission and the start of its operation, and the errors that can end it there."""

from dataclasses import dataclass

from ...core.single_flight import OperationRequest, Running
from ...errors import Busy, Cancelled
from .operation import RunningOperation
from .requester import Requester

RETRY_AFTER_MS = 1000


@dataclass
class AdmittedRequest:
    """A request, from its admission to the start of its operation.

    `deadline_s` counts from the start of the operation. `editor_id` is the editor that the request is for. At most one
    of these operations is set: `repeats`, which performs or has performed an earlier request with the same id;
    `waits_for`, which has to end first; `joins`, whose outcome the request shares. `accepted`: the requester was told,
    so the request cannot be refused any more.
    """

    server_id: str
    request: OperationRequest
    request_id: str
    deadline_s: float
    requester: Requester | None = None
    editor_id: str | None = None
    repeats: RunningOperation | None = None
    waits_for: RunningOperation | None = None
    joins: RunningOperation | None = None
    accepted: bool = False

    def send_accepted(self, *, joined: bool) -> None:
        """Tell the requester, once, that its request was admitted. `joined`: it shares another request's operation."""
        if self.requester is not None and not self.accepted:
            self.requester.accepted(request=self.request_id, joined=joined, deadline_s=self.deadline_s)
        self.accepted = True


def busy(running: Running, request: OperationRequest, now: float) -> Busy:
    """Return the error of a request that another operation keeps from its server. `now` is monotonic, seconds."""
    running_data = {
        "method": running.request.operation.value,
        "request": running.request_id,
        "holder": running.request.requested_by,
        "elapsed_ms": round((now - running.since) * 1000),
    }
    return Busy(
        f"{running.request.what} is running",
        hint="try again when it has ended",
        retry_after_ms=RETRY_AFTER_MS,
        data={"running": running_data, "requested": request.operation.value},
    )


def cancelled_before_it_began() -> Cancelled:
    """Return the error of a request that was cancelled while it waited for another operation."""
    return Cancelled("the operation was cancelled before it began")
