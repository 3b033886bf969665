"""A request on its way to an operation."""

from dataclasses import dataclass

from ...core.single_flight import OperationRequest, Running
from ...errors import Busy, Cancelled
from .operation import RunningOperation
from .requester import Requester

RETRY_AFTER_MS = 1000


@dataclass
class AdmittedRequest:
    """A request, from its admission to the start of its operation.

    `owner` is the editor that the request is for. At most one of these operations is set: `repeats`, which performs or
    has performed an earlier request with the same id; `waits_for`, which has to end first; `joins`, whose outcome the
    request shares. `accepted`: the requester was told, so the request cannot be refused any more.
    """

    server_id: str
    request: OperationRequest
    request_id: str
    deadline_s: float
    requester: Requester | None = None
    owner: str | None = None
    repeats: RunningOperation | None = None
    waits_for: RunningOperation | None = None
    joins: RunningOperation | None = None
    accepted: bool = False


def busy(running: Running, request: OperationRequest, now: float) -> Busy:
    """Return the error of a request that meets another operation. `now` is monotonic, seconds."""
    held = {
        "method": running.request.operation.value,
        "request": running.request_id,
        "holder": running.request.requested_by,
        "elapsed_ms": round((now - running.since) * 1000),
    }
    return Busy(
        f"{running.request.what} is running",
        hint="try again when it has ended",
        retry_after_ms=RETRY_AFTER_MS,
        data={"running": held, "requested": request.operation.value},
    )


def cancelled_before_it_began() -> Cancelled:
    """Return the error of a request that was cancelled while it waited for another operation."""
    return Cancelled("the operation was cancelled before it began")
