"""The daemon's presence on Windows: a named event, which exists for as long as a process has it open."""

import sys
import threading
from collections.abc import Callable

from ..presence_api import HeldError
from . import win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers whose file this is)


def take(home_id: str) -> "EventPresence":
    """See `presence.take`."""
    handle = win32.CreateEvent(None, False, False, _name(home_id))
    problem = win32.last_error()
    if not handle:
        raise problem
    if problem.winerror == win32.ERROR_ALREADY_EXISTS:
        win32.CloseHandle(handle)
        raise HeldError
    return EventPresence(handle)


def ask(home_id: str) -> bytes | None:
    """Set the event; see `presence.ask`. An event carries no answer, so the client reads the endpoint again."""
    handle = win32.OpenEvent(win32.EVENT_MODIFY_STATE, False, _name(home_id))
    if not handle:
        return None
    try:
        win32.SetEvent(handle)
    finally:
        win32.CloseHandle(handle)
    return b""


class EventPresence:
    """An event that other processes may set. A thread waits for it without polling."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._thread: threading.Thread | None = None
        self._closed = False

    def listen(self, answer: Callable[[], bytes]) -> None:
        """See `Presence`."""
        import asyncio  # Clients load this module too, and have no loop.

        loop = asyncio.get_running_loop()

        def wait() -> None:
            while win32.WaitForSingleObject(self._handle, win32.INFINITE) == win32.WAIT_OBJECT_0:
                if self._closed:
                    return
                try:
                    loop.call_soon_threadsafe(answer)
                except RuntimeError:
                    # The loop has been closed since.
                    return

        self._thread = threading.Thread(target=wait, name="presence", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """See `Presence`."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            # In this order, because a handle must be open while a thread waits for it.
            win32.SetEvent(self._handle)
            self._thread.join()
        win32.CloseHandle(self._handle)


def _name(home_id: str) -> str:
    """Return the event's name, the same in all sessions. The home id is a hash of a path, which belongs to one user."""
    return f"Global\\godot-supervisor-{home_id}"
