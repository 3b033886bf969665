"""Requests, servers and exchanges, as the simulated world remembers them."""

from dataclasses import dataclass, field
from typing import Any

from supervisor.mcp.core.events_and_actions import BeginExchange


@dataclass
class Asked:
    """A request of the client, and what has come of it."""

    id: Any
    method: str
    tool: str
    at: float
    cancelled: bool = False
    answer: dict[str, Any] | None = None
    received: int = 0
    """How often a server has received it."""
    executed: int = 0
    uncertain: bool = False
    """An exchange with it has ended so that a server may or may not have executed it."""
    given: Any = None
    """The argument of the client that names the editor."""
    step: int = 0
    statuses: set[int] = field(default_factory=set)
    """The refusals of servers."""


@dataclass
class ServerProcess:
    """A process of the server."""

    number: int
    alive: bool = True
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: dict[Any, str] = field(default_factory=dict)
    """The ids of its own requests to the client -> the session."""


@dataclass
class Exchange:
    """An HTTP exchange."""

    number: int
    server: ServerProcess
    action: BeginExchange
    received: bool = False
    answer: dict[str, Any] | None = None
    status: int = 200
    session: str | None = None
    is_failing: bool = False
