"""The notifications that the daemon sends. `id` is the request that a notification belongs to."""

from collections.abc import Mapping
from typing import Any

from ...values import frozen
from ..jsonrpc import Id


@frozen
class Accepted:
    """A mutation was admitted, so BUSY cannot follow. `deadline_s` is the time for readiness, without installing."""

    id: Id
    request: str
    joined: bool
    deadline_s: float


@frozen
class Progress:
    """The progress of a mutation, at least every 5 s. The last stage is repeated if there is nothing new."""

    id: Id
    request: str
    stage: str
    message: str
    done: int | None = None
    total: int | None = None


@frozen
class EventNotice:
    """An event. `at` is wall time, `mono` is monotonic time, both in seconds. `level` is info, warning or error."""

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
class CallsNotice:
    """The tool calls of these servers have changed, which events tell of some calls only. `server.get` has them."""

    id: Id
    servers: tuple[str, ...]


@frozen
class LogNotice:
    """Further lines of a log. `log` is their file, which changes with each launch. `ended`: no more lines follow.

    `reason` is why the log cannot be read any more, or null if the server has ended.
    """

    id: Id
    lines: tuple[str, ...]
    log: str
    ended: bool = False
    reason: str | None = None


@frozen
class Resync:
    """The receiver's state is out of date. `id` is the stream that is affected.

    `id` is null for all streams: the receiver reads too slowly or a notification was too long, and the connection ends.
    """

    id: Id | None
    reason: str


NOTIFICATIONS: Mapping[str, type] = {
    "accepted": Accepted,
    "progress": Progress,
    "event": EventNotice,
    "calls": CallsNotice,
    "log": LogNotice,
    "resync": Resync,
}
