"""`hello` and `ping`: who the client and the daemon are, and whether the daemon answers."""

from dataclasses import field
from typing import Annotated

from ...values import frozen
from ..fields import Length, Range
from .common import Name

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1


@frozen
class ClientInfo:
    """The client, for the log. `instance` is chosen at random and the same on each of the client's connections.

    After a reconnect the client finds the requests that carry its own ids by `instance`, or else by name and version.
    """

    name: Name
    version: Name
    instance: Name | None = None


@frozen
class Hello:
    """The first message. On the unix socket `token` may be left out, because the system confirms the peer's user.

    The token stays out of reprs.
    """

    protocol: Annotated[int, Range(0, 2**31)]
    client: ClientInfo
    token: Annotated[str, Length(0, 256)] | None = field(default=None, repr=False)


@frozen
class HelloResult:
    """The daemon. A client compares `instance_id` with the endpoint file first. `capabilities` are the methods."""

    protocol: int
    instance_id: str
    version: str
    capabilities: tuple[str, ...]


@frozen
class Ping:
    """No params."""


@frozen
class PingResult:
    """No fields: the daemon answers, which is all that the client wants to know."""
