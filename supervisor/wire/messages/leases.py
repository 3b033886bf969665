"""`lease.acquire`, `lease.renew` and `lease.release`. All three answer with `common.LeaseInfo`."""

from typing import Annotated

from ...values import frozen
from ..fields import Range
from .common import Name

LONGEST_S = 86_400.0
"""A claim that nobody renews for a day is forgotten, not meant."""


@frozen
class LeaseAcquire:
    """A claim on a server, for `ttl_s` seconds. `holder` is for people."""

    server: Name
    holder: Name
    ttl_s: Annotated[float, Range(1, LONGEST_S)]


@frozen
class LeaseRenew:
    """The full time again."""

    lease: Name


@frozen
class LeaseRelease:
    """The claim ends now."""

    lease: Name
