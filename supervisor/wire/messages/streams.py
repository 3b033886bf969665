"""`events.subscribe` and `logs.read`: an answer, and notifications after it for as long as the connection lasts."""

from typing import Annotated

from ...values import frozen
from ..fields import Range
from .common import Name
from .daemon import StatusResult

LINES = 10_000
"""Lines that one `logs.read` returns at most. A line is cut at 4096 characters, and all of them fit into one frame."""


@frozen
class Since:
    """The last event that a subscriber has seen, and the daemon that sent it."""

    instance_id: Name
    seq: Annotated[int, Range(0, 2**53)]


@frozen
class EventsSubscribe:
    """Receive events from now on; with `since`, also those that happened after it.

    `calls`: receive the notification `calls` too.
    """

    since: Since | None = None
    calls: bool = False


@frozen
class EventsSubscribeResult:
    """The first notification has `seq + 1`. `snapshot` is the state at `seq`, or null if events go on from `since`."""

    instance_id: str
    seq: int
    snapshot: StatusResult | None


@frozen
class LogsRead:
    """Read the last lines of a server's log, or without `server` of the daemon's own."""

    server: Name | None = None
    lines: Annotated[int, Range(0, LINES)] = 50
    follow: bool = False


@frozen
class LogsReadResult:
    """`log` is the file. With `follow`, notifications continue after `lines`. `ended`: the server has ended."""

    lines: tuple[str, ...]
    log: str
    ended: bool = False
