"""Counts the editor sessions of a server that tells them itself."""

import json
from http import HTTPStatus
from typing import Any

from ..core.model import Ports
from .identify import counted
from .kind import SessionRoute
from .loopback import UnusableAnswerError, get


async def count_sessions(route: SessionRoute, ports: Ports, timeout_s: float) -> int | None:
    """How many sessions the server says it has. None: it did not say so in time, or not as the route expects."""
    try:
        answer = await get(ports[route.port], route.http, None, timeout_s)
    except UnusableAnswerError:
        return None
    if answer is None or answer.status != HTTPStatus.OK:
        return None
    try:
        said: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    told = said.get(route.count) if isinstance(said, dict) else None
    return len(told) if isinstance(told, list) else counted(told)
