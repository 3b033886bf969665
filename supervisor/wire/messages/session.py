"""`hello` and `ping`: who is at the other end, and whether it answers."""

from dataclasses import field
from typing import Annotated

from ...values import frozen
from ..fields import Length, Range
from .common import Name

PROTOCOL_MIN = 1
PROTOCOL_MAX = 1


@frozen
class ClientInfo:
    """The program that knocks, for the log. `instance`: chosen at random, and the same on each of its connections.

    By it, a client that comes back finds the requests that carry ids of its own; without it, by its name and version.
    """

    name: Name
    version: Name
    instance: Name | None = None


@frozen
class Hello:
    """`token` may be left out on the unix socket, where the peer's user is the proof. It stays out of reprs."""

    protocol: Annotated[int, Range(0, 2**31)]
    client: ClientInfo
    token: Annotated[str, Length(0, 256)] | None = field(default=None, repr=False)


@frozen
class HelloResult:
    """`instance_id` is compared with the endpoint file before anything else is said; `capabilities` are verbs."""

    protocol: int
    instance_id: str
    version: str
    capabilities: tuple[str, ...]


@frozen
class Ping:
    """No params."""


@frozen
class PingResult:
    """No fields: the answer is the answer."""
