"""`request.result` and `request.cancel`: a mutation, by the id that its `accepted` named. Its result is its own."""

from ...frozen import frozen
from .common import Name


@frozen
class RequestResult:
    """Wait for it, or have its outcome again."""

    request: Name


@frozen
class RequestCancel:
    """Whoever made it no longer wants it."""

    request: Name


@frozen
class RequestCancelResult:
    """What became of the request is in its own answer. `goes_on`: it cannot be undone any more, and is completed."""

    goes_on: bool = False
