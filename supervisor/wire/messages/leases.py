"""`lease.acquire`, `lease.renew` and `lease.release`. All three answer with `common.LeaseInfo`."""

from typing import Annotated

from ...values import frozen
from ..fields import Range
from .common import Name

LONGEST_S = 86_400.0
"""Longest time of a lease: one that was not renewed for a day was probably forgotten."""


@frozen
class LeaseAcquire:
    """Keep a server for `ttl_s` seconds. `holder` is a name for people."""

    server: Name
    holder: Name
    ttl_s: Annotated[float, Range(1, LONGEST_S)]


@frozen
class LeaseRenew:
    """Renew a lease for its full time."""

    lease: Name


@frozen
class LeaseRelease:
    """End a lease now."""

    lease: Name
