"""`request.result` and `request.cancel`: the outcome of a mutation, or its end, by the id that `accepted` named.

An id that a client chose belongs to the editor or owner that was named with it, or else to that client alone.
"""

from ...values import frozen
from .common import Name
from .servers import OwnerClaim


@frozen
class RequestResult:
    """Wait for a request, or return its outcome again. `editor` or `owner` is the one that the request was made for."""

    request: Name
    editor: Name | None = None
    owner: OwnerClaim | None = None


@frozen
class RequestCancel:
    """Cancel a request for the client that made it. `editor` or `owner` is the one that the request was made for."""

    request: Name
    editor: Name | None = None
    owner: OwnerClaim | None = None


@frozen
class RequestCancelResult:
    """The outcome is in the answer to the request. `goes_on`: the request cannot be undone and is completed."""

    goes_on: bool = False
