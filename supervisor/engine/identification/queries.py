"""The functions that send questions to servers. They are handed in, so that a test can answer for servers."""

from collections.abc import Awaitable, Callable, Mapping

from ...core.model import Ports
from ...kinds.kind import Kind, ReadyRule, SessionRoute
from ...kinds.queries.identify import Identification, ask_ready, identify
from ...kinds.queries.loopback import speaks_tls
from ...kinds.queries.sessions import count_sessions
from ...values import frozen


@frozen
class ServerQueries:
    """The functions, one for each question. `kinds.queries` says what each function takes and returns."""

    identify: Callable[[Kind, Ports, Mapping[str, str], float], Awaitable[Identification | None]]
    ask_ready: Callable[[ReadyRule, Ports], Awaitable[Identification | None]]
    count_sessions: Callable[[SessionRoute, Ports, float], Awaitable[int | None]]
    speaks_tls: Callable[[int, float], Awaitable[bool]]


OVER_LOOPBACK = ServerQueries(identify, ask_ready, count_sessions, speaks_tls)
"""The questions as they are asked over 127.0.0.1."""
