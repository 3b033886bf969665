"""`request.result` and `request.cancel`: a mutation, by the id that its `accepted` named. Its result is its own.

Ids that clients choose mean something for the editor or owner that was named with them, else for the client alone.
"""

from ...values import frozen
from .common import Name
from .servers import OwnerClaim


@frozen
class RequestResult:
    """Wait for it, or have its outcome again. `editor` or `owner`: for whom it was made."""

    request: Name
    editor: Name | None = None
    owner: OwnerClaim | None = None


@frozen
class RequestCancel:
    """The client that made it no longer wants it. `editor` or `owner`: for whom it was made."""

    request: Name
    editor: Name | None = None
    owner: OwnerClaim | None = None


@frozen
class RequestCancelResult:
    """What became of the request is in its own answer. `goes_on`: it cannot be undone any more, and is completed."""

    goes_on: bool = False
