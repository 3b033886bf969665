"""Single flight: at most one operation runs on a server. Pure; the engine keeps the running operations."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Protocol

from ..values import frozen
from .pep440 import same_version


class Operation(StrEnum):
    """What an operation does to its server."""

    ENSURE = "server.ensure"
    STOP = "server.stop"
    RESTART = "server.restart"
    ADOPT = "server.adopt"
    REAP = "reap"
    RECOVER = "recover"


_WORDS = {
    Operation.ENSURE: "a start",
    Operation.STOP: "a stop",
    Operation.RESTART: "a restart",
    Operation.ADOPT: "an adoption",
    Operation.REAP: "the stop of an orphan",
    Operation.RECOVER: "a recovery",
}

_WAITED_FOR = (Operation.STOP, Operation.RESTART, Operation.ADOPT)
"""An `ensure` waits for the end of these instead of being refused, because users click quickly."""


@frozen
class OperationRequest:
    """A mutation of one server, as admission sees it.

    Two `ensure` agree when version and ports do (kind and topology key are in the server's id). `requested_by` names
    the requester, and `why` gives the reason of a request by the daemon itself; both are for people.
    """

    operation: Operation
    requested_by: str
    version: str | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    why: str | None = None

    @property
    def what(self) -> str:
        """The operation and its requester, for people."""
        return f"{_WORDS[self.operation]} for {self.requested_by}"


class HasName(Protocol):
    """A requester that has a name."""

    @property
    def name(self) -> str:
        """The name, for people."""
        ...


def requester_name(editor: str | None, requester: HasName | None) -> str:
    """Return the name of a requester, for events and for callers whose requests meet its operation.

    `editor` is the id of the editor that asks, None if none does. Without a requester, the daemon itself asks.
    """
    return editor or (requester.name if requester else "the daemon")


@frozen
class Running:
    """A running operation. `by_daemon`: the daemon started it by itself. `since` is monotonic, seconds."""

    request: OperationRequest
    request_id: str
    since: float
    by_daemon: bool = False


@frozen
class Started:
    """No operation runs, so the request starts one."""


@frozen
class Joined:
    """The same operation is running; the request shares its result."""


@frozen
class Waits:
    """Admission is decided again when the running operation has ended."""


@frozen
class Refused:
    """Another operation is running."""

    running: Running


Decision = Started | Joined | Waits | Refused


def admit(running: Running | None, request: OperationRequest) -> Decision:
    """Decide whether a request starts an operation, joins the running one, waits for it, or is refused.

    The first rule that applies decides:

    1. Started: no operation runs.
    2. Joined: the same operation runs.
    3. Waits: an `ensure` meets an operation that the daemon began by itself, or a stop, a restart or an adoption.
    4. Waits: it is the daemon's own request to reap or to recover.
    5. Waits: it meets a recovery that the daemon began by itself.
    6. Refused.
    """
    if running is None:
        return Started()
    if _is_same(running.request, request):
        return Joined()
    if request.operation is Operation.ENSURE and (running.by_daemon or running.request.operation in _WAITED_FOR):
        return Waits()
    if request.operation in (Operation.REAP, Operation.RECOVER):
        return Waits()
    if running.by_daemon and running.request.operation is Operation.RECOVER:
        # A user who stops a server that crashes again and again need not hit the pause between two starts.
        return Waits()
    return Refused(running)


def _is_same(first: OperationRequest, second: OperationRequest) -> bool:
    if first.operation is not second.operation:
        return False
    if first.operation is Operation.ENSURE:
        return same_version(first.version, second.version) and dict(first.ports) == dict(second.ports)
    return True
