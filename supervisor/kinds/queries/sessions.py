"""The count of editor sessions that a server reports itself."""

from http import HTTPStatus

from ...core.model import Ports
from ..answer_values import value_at
from ..kind import SessionRoute
from .identify import plausible_count
from .loopback import HttpAnswer, UnusableAnswerError, http_get


async def count_sessions(route: SessionRoute, ports: Ports, timeout_s: float) -> int | None:
    """Return how many sessions the server reports.

    Returns:
        None if no complete answer came within `timeout_s`, or no process listens.

    Raises:
        UnusableAnswerError: the server answers, but not as the route expects.
    """
    answer = await http_get(ports[route.port], route.http, None, timeout_s)
    if answer is None:
        return None
    count = _count(route, answer)
    if count is None:
        raise UnusableAnswerError(f"{route.http} does not report the sessions")
    return count


def _count(route: SessionRoute, answer: HttpAnswer) -> int | None:
    if answer.status != HTTPStatus.OK:
        return None
    sessions = value_at(answer.json(), route.count)
    return len(sessions) if isinstance(sessions, list) else plausible_count(sessions)
