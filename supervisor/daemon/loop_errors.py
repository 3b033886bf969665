"""What the event loop reports, and a door that an error of one connection has closed."""

import asyncio
from collections.abc import Callable
from typing import Any

from ..control.listener import Listener
from ..engine.state.events import Events
from ..errors import SupervisorError
from .loop import PROACTOR, Choice

# ERROR_NETNAME_DELETED, WSAECONNABORTED, WSAECONNRESET
PEER_HAS_GONE = frozenset({64, 10053, 10054})

RETRY_FIRST_S, RETRY_LAST_S = 0.5, 30.0

SAME_TROUBLE_S = 60.0


class Troubles:
    """What the loop reported lately. asyncio repeats itself a hundred times a second without descriptors."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def is_news(self, trouble: str, now: float) -> bool:
        """Whether it is to be told: it was not within the last minute."""
        self._told = {known: told for known, told in self._told.items() if now - told < SAME_TROUBLE_S}
        if trouble in self._told:
            return False
        self._told[trouble] = now
        return True


class LoopErrors:
    """The loop's exception handler. What is reported may have cost a listening socket: it looks, and opens it again."""

    def __init__(self, events: Events, listener: Listener, publish: Callable[[], None], choice: Choice) -> None:
        self._events = events
        self._listener = listener
        self._publish = publish
        self._choice = choice
        self._dropped = 0
        self._troubles = Troubles()
        self._again = False
        self._mending: asyncio.Task[None] | None = None

    def note(self) -> str | None:
        """What a user should know."""
        if not self._dropped:
            return None
        return f"{self._dropped} errors of connections that had been reset were dropped (the {self._choice.name} loop)"

    def close(self) -> None:
        """There is nothing to mend any more."""
        if self._mending is not None:
            self._mending.cancel()

    def __call__(self, running: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """See `asyncio.loop.set_exception_handler`."""
        error = context.get("exception") or RuntimeError(context["message"])
        if self._is_noise(error, context):
            self._dropped += 1
            return
        if _is_told_twice(error, context):
            return
        if self._troubles.is_news(f"{context['message']}: {error!r}", running.time()):
            self._tell(error, context)
        self.look()

    def look(self) -> None:
        """See whether the daemon still listens, and open what has closed."""
        self._again = True
        if self._mending is None:
            self._mending = asyncio.get_running_loop().create_task(self._mend())

    def _tell(self, error: BaseException, context: dict[str, Any]) -> None:
        if _of_accept(error, context):
            self._events.warn("listener.reset", error=f"{type(error).__name__}: {error}")
        else:
            self._events.failed("loop.error", error, what=context["message"])

    def _is_noise(self, error: BaseException, context: dict[str, Any]) -> bool:
        """The proactor shuts a socket down that its peer has reset, and raises what that says."""
        torn_down = "_call_connection_lost" in context["message"]
        return self._choice.name == PROACTOR and torn_down and _number(error) in PEER_HAS_GONE

    async def _mend(self) -> None:
        pause_s = RETRY_FIRST_S
        try:
            while self._again:
                self._again = False
                try:
                    moved = await self._listener.check()
                except (SupervisorError, OSError) as error:
                    self._events.failed("daemon.cannot_listen", error, again_in_s=pause_s)
                    self._again = True
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, RETRY_LAST_S)
                    continue
                pause_s = RETRY_FIRST_S
                if moved:
                    self._publish()
                    self._events.publish("daemon.listens_again")
        finally:
            self._mending = None


def _of_accept(error: BaseException, context: dict[str, Any]) -> bool:
    """A peer that had gone before it was accepted. It costs the proactor its listening socket (CPython gh-93821)."""
    if context["message"] == "Accept failed on a socket":
        return isinstance(error, OSError)
    return "_accept_connection" in context["message"] and isinstance(error, ConnectionError)


def _is_told_twice(error: BaseException, context: dict[str, Any]) -> bool:
    """The proactor tells of a failed accept by its future, and by a task of its own that nobody waits for."""
    coroutine = context["future"].get_coro() if isinstance(context.get("future"), asyncio.Task) else None
    return (
        isinstance(error, OSError)
        and getattr(coroutine, "__qualname__", "") == "IocpProactor.accept.<locals>.accept_coro"
    )


def _number(error: BaseException) -> int | None:
    number: int | None = getattr(error, "winerror", None)
    return number
