"""One mutation in flight: the engine's requester on one side, notifications to a client on the other."""

import asyncio
from collections.abc import Callable
from typing import Any

from ..wire.jsonrpc import Id
from .requests import Caller

HEARTBEAT_S = 5.0
"""A running request is never silent for longer, so silence means trouble (docs/protocol.md)."""

WAITING = "waiting"

Notify = Callable[[str, dict[str, Any]], None]


class CallProgress:
    """Implements `engine.requester.Requester`. Says nothing any more once it is closed."""

    def __init__(self, identifier: Id, notify: Notify, caller: Caller) -> None:
        self._id = identifier
        self.caller = caller
        self.named: str | None = None
        """The id that the client has chosen: the engine may know the request by another name."""
        self._notify = notify
        self._request: str | None = None
        self._last: dict[str, Any] = {"stage": WAITING, "message": ""}
        self._heartbeat: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def who(self) -> str:
        """See `Requester`."""
        return self.caller.who

    @property
    def admitted(self) -> bool:
        """Whether `accepted` went out, after which BUSY is a broken promise."""
        return self._request is not None

    def accepted(self, *, request: str, joined: bool, deadline_s: float) -> None:
        """See `Requester`."""
        self._request = self.named or request
        self._tell("accepted", {"joined": joined, "deadline_s": deadline_s})

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        """See `Requester`."""
        counts = {name: count for name, count in (("done", done), ("total", total)) if count is not None}
        self._last = {"stage": stage, "message": message, **counts}
        self._tell("progress", self._last)

    def _beat(self) -> None:
        """Still at it: clients count silence, and what is installing may say nothing for a while."""
        self._tell("progress", self._last)

    def close(self) -> None:
        """The request is answered, or nobody listens any more."""
        self._closed = True
        self._disarm()

    def _tell(self, method: str, details: dict[str, Any]) -> None:
        # Before `accepted` the request has no id that a progress could carry.
        if self._closed or self._request is None:
            return
        self._disarm()
        self._heartbeat = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)
        self._notify(method, {"id": self._id, "request": self._request, **details})

    def _disarm(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
