"""What the daemon says without being asked. `id` is the request that a notification belongs to."""

from collections.abc import Mapping
from typing import Any

from ...values import frozen
from ..jsonrpc import Id


@frozen
class Accepted:
    """A mutation was admitted; BUSY does not follow any more. `deadline_s` counts readiness, not installing."""

    id: Id
    request: str
    joined: bool
    deadline_s: float


@frozen
class Progress:
    """A mutation is at work. At least one every 5 s: the last stage again, where there is nothing new."""

    id: Id
    request: str
    stage: str
    message: str
    done: int | None = None
    total: int | None = None


@frozen
class EventNotice:
    """Something happened. `at` is wall time, `mono` monotonic, both seconds; `level` is info, warning or error."""

    id: Id
    seq: int
    at: float
    mono: float
    level: str
    event: str
    server: str | None
    editor: str | None
    details: Mapping[str, Any]


@frozen
class LogNotice:
    """More lines. `log` is their file: it changes with each launch. `ended`: nothing follows.

    `reason` is why: None if the server has gone, else what keeps its log from being read.
    """

    id: Id
    lines: tuple[str, ...]
    log: str
    ended: bool = False
    reason: str | None = None


@frozen
class Resync:
    """What the receiver knows is out of date. `id` null: all of it, it reads too slowly, and the connection ends."""

    id: Id | None
    reason: str


NOTIFICATIONS: Mapping[str, type] = {
    "accepted": Accepted,
    "progress": Progress,
    "event": EventNotice,
    "log": LogNotice,
    "resync": Resync,
}
