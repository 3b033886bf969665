"""The count of editor sessions that a server reports itself."""

import json
from http import HTTPStatus
from typing import Any

from ...core.model import Ports
from ..kind import SessionRoute
from ..match import found
from .identify import counted
from .loopback import Answer, UnusableAnswerError, get


async def count_sessions(route: SessionRoute, ports: Ports, timeout_s: float) -> int | None:
    """Return how many sessions the server reports.

    Returns:
        None if no complete answer came within `timeout_s`, or no process listens.

    Raises:
        UnusableAnswerError: the server answers, but not as the route expects.
    """
    answer = await get(ports[route.port], route.http, None, timeout_s)
    if answer is None:
        return None
    count = _count(route, answer)
    if count is None:
        raise UnusableAnswerError(f"{route.http} does not report the sessions")
    return count


def _count(route: SessionRoute, answer: Answer) -> int | None:
    if answer.status != HTTPStatus.OK:
        return None
    try:
        said: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    told = found(said, route.count)
    return len(told) if isinstance(told, list) else counted(told)
