"""While the daemon runs: errors of the event loop are handled, and a listener that one has closed is opened again."""

import asyncio
from collections.abc import Callable
from typing import Any

from ..control.listener import Listener
from ..engine.state.events import Events
from ..errors import SupervisorError
from .event_loop import PROACTOR, LoopChoice

PEER_HAS_GONE = frozenset({64, 10053, 10054})
"""ERROR_NETNAME_DELETED, WSAECONNABORTED, WSAECONNRESET."""

RETRY_FIRST_S, RETRY_LAST_S = 0.5, 30.0

SAME_ERROR_S = 60.0
"""An equal error is logged at most once in so many seconds."""


class RecentErrors:
    """The errors that the loop reported lately. Without free descriptors asyncio reports a hundred times a second."""

    def __init__(self) -> None:
        self._reported: dict[str, float] = {}

    def is_new(self, error: str, now: float) -> bool:
        """Return whether the error is to be logged, because it was not within the last minute."""
        self._reported = {known: at for known, at in self._reported.items() if now - at < SAME_ERROR_S}
        if error in self._reported:
            return False
        self._reported[error] = now
        return True


class LoopErrors:
    """The loop's exception handler. An error may have closed a listening socket, so it checks and opens it again."""

    def __init__(self, events: Events, listener: Listener, publish: Callable[[], None], choice: LoopChoice) -> None:
        self._events = events
        self._listener = listener
        self._publish = publish
        self._choice = choice
        self._dropped = 0
        self._recent = RecentErrors()
        self._check_needed = False
        self._check: asyncio.Task[None] | None = None

    def note(self) -> str | None:
        """Return a note for users, or None."""
        if not self._dropped:
            return None
        return f"{self._dropped} errors of connections that had been reset were dropped (the {self._choice.name} loop)"

    def close(self) -> None:
        """Stop checking the listener, because the daemon ends."""
        if self._check is not None:
            self._check.cancel()

    def __call__(self, running: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """See `asyncio.loop.set_exception_handler`."""
        error = context.get("exception") or RuntimeError(context["message"])
        if self._is_noise(error, context):
            self._dropped += 1
            return
        if _is_duplicate(error, context):
            return
        if self._recent.is_new(f"{context['message']}: {error!r}", running.time()):
            self._report(error, context)
        self.look()

    def look(self) -> None:
        """Begin a check whether the daemon still listens, which opens what has closed."""
        self._check_needed = True
        if self._check is None:
            self._check = asyncio.get_running_loop().create_task(self._check_listener())

    def _report(self, error: BaseException, context: dict[str, Any]) -> None:
        if _is_failed_accept(error, context):
            self._events.warn("listener.reset", error=f"{type(error).__name__}: {error}")
        else:
            self._events.report_failure("loop.error", error, what=context["message"])

    def _is_noise(self, error: BaseException, context: dict[str, Any]) -> bool:
        """Return whether the error is noise: the proactor shuts a reset socket down, and raises when that fails."""
        torn_down = "_call_connection_lost" in context["message"]
        return self._choice.name == PROACTOR and torn_down and _number(error) in PEER_HAS_GONE

    async def _check_listener(self) -> None:
        pause_s = RETRY_FIRST_S
        try:
            while self._check_needed:
                self._check_needed = False
                try:
                    has_moved = await self._listener.check()
                except (SupervisorError, OSError) as error:
                    self._events.report_failure("daemon.cannot_listen", error, again_in_s=pause_s)
                    self._check_needed = True
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, RETRY_LAST_S)
                    continue
                pause_s = RETRY_FIRST_S
                if has_moved:
                    self._publish()
                    self._events.publish("daemon.listens_again")
        finally:
            self._check = None


def _is_failed_accept(error: BaseException, context: dict[str, Any]) -> bool:
    """Return whether a peer had gone before it was accepted, which closes a proactor's listener (CPython gh-93821)."""
    if context["message"] == "Accept failed on a socket":
        return isinstance(error, OSError)
    return "_accept_connection" in context["message"] and isinstance(error, ConnectionError)


def _is_duplicate(error: BaseException, context: dict[str, Any]) -> bool:
    """Return whether the loop reports a failed accept again: the proactor also has a task that is never awaited."""
    coroutine = context["future"].get_coro() if isinstance(context.get("future"), asyncio.Task) else None
    return (
        isinstance(error, OSError)
        and getattr(coroutine, "__qualname__", "") == "IocpProactor.accept.<locals>.accept_coro"
    )


def _number(error: BaseException) -> int | None:
    number: int | None = getattr(error, "winerror", None)
    return number
