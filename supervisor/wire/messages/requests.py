"""`request.result` and `request.cancel`: a mutation, by the id that its `accepted` named. Its result is its own."""

from ..message import message
from .common import Name


@message
class RequestResult:
    """Wait for it, or have its outcome again."""

    request: Name


@message
class RequestCancel:
    """Whoever made it no longer wants it."""

    request: Name


@message
class RequestCancelResult:
    """What became of the request is in its own answer. `goes_on`: it cannot be undone any more, and is completed."""

    goes_on: bool = False
