"""The caller of a request, as the engine sees it."""

from typing import Protocol


class Requester(Protocol):
    """Receives what becomes of a request. The calls never block, and do nothing once the client has gone."""

    @property
    def name(self) -> str:
        """The name of the caller, for events and for other callers that meet its operation."""
        ...

    def accepted(self, *, request: str, joined: bool, deadline_s: float) -> None:
        """Receive that the request was admitted: the error BUSY cannot follow.

        `request` is its id. `joined`: it shares the operation of another request. `deadline_s` counts from the start of
        the operation.
        """
        ...

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        """Receive how far the operation is. `done` and `total` are given only where the work is counted."""
        ...
