"""The progress of one mutation: the engine's reports on it, as notifications to the client."""

import asyncio
from collections.abc import Callable
from typing import Any

from ..wire.jsonrpc import Id
from .named_requests import Caller

HEARTBEAT_S = 5.0
"""The longest silence of a running request, so a longer silence means trouble (docs/protocol.md)."""

WAITING = "waiting"

Notify = Callable[[str, dict[str, Any]], None]


class CallProgress:
    """The requester of a mutation, as the engine sees it: its reports become notifications until `close`."""

    def __init__(self, identifier: Id, notify: Notify, caller: Caller) -> None:
        self._envelope_id = identifier
        self.caller = caller
        self.request_id: str | None = None
        """The id that the client has chosen, or None. The engine may know the request by another name."""
        self._notify = notify
        self._accepted_as: str | None = None
        """The name of the request in all notifications, None before `accepted` was sent."""
        self._last: dict[str, Any] = {"stage": WAITING, "message": ""}
        self._heartbeat: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def name(self) -> str:
        """See `Requester`."""
        return self.caller.who

    @property
    def admitted(self) -> bool:
        """Whether `accepted` was sent. After it, BUSY would break the protocol's promise."""
        return self._accepted_as is not None

    def accepted(self, *, request: str, joined: bool, deadline_s: float) -> None:
        """See `Requester`."""
        self._accepted_as = self.request_id or request
        self._notify_client("accepted", {"joined": joined, "deadline_s": deadline_s})

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        """See `Requester`."""
        counts = {name: count for name, count in (("done", done), ("total", total)) if count is not None}
        self._last = {"stage": stage, "message": message, **counts}
        self._notify_client("progress", self._last)

    def close(self) -> None:
        """Send nothing more: the request is answered, or its client has disconnected."""
        self._closed = True
        self._disarm()

    def _beat(self) -> None:
        """Repeat the last stage, because clients count silence and an installer may say nothing for a while."""
        self._notify_client("progress", self._last)

    def _notify_client(self, method: str, details: dict[str, Any]) -> None:
        # Before `accepted` the request has no id for a progress notification to carry.
        if self._closed or self._accepted_as is None:
            return
        self._disarm()
        self._heartbeat = asyncio.get_running_loop().call_later(HEARTBEAT_S, self._beat)
        self._notify(method, {"id": self._envelope_id, "request": self._accepted_as, **details})

    def _disarm(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
