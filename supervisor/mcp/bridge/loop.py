"""A small loop: sockets and descriptors by `select`, events of threads, one deadline. Not asyncio (ADR 13)."""

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

Ready = Callable[[int], None]
"""Called with READ, WRITE or both."""


class Loop:
    """Waits for whatever comes first. Everything runs in the thread that calls `run`, except `post`."""

    def __init__(self) -> None:
        # `select` takes everything that may be a standard stream: pipes, sockets, files and terminals.
        self._selector = selectors.SelectSelector()
        self._posted: deque[Callable[[], None]] = deque()
        self._wake, self._bell = socket.socketpair()
        for end in (self._wake, self._bell):
            end.setblocking(False)
        self._selector.register(self._wake, READ, self._woken)
        self._ended = False

    def watch(self, file: Any, events: int, ready: Ready) -> None:
        """Call `ready` when a file or socket is ready."""
        self._selector.register(file, events, ready)

    def change(self, file: Any, events: int, ready: Ready) -> None:
        """Wait for something else at a watched file."""
        self._selector.modify(file, events, ready)

    def forget(self, file: Any) -> None:
        """Watch a file no longer. Harmless when repeated."""
        try:
            self._selector.unregister(file)
        except (KeyError, ValueError):
            return

    def post(self, action: Callable[[], None]) -> None:
        """Run an action in the loop. May be called by any thread."""
        self._posted.append(action)
        try:
            self._bell.send(b"\0")
        except BlockingIOError:
            # The loop has enough unread bytes to wake up.
            return

    def end(self) -> None:
        """Let `run` return."""
        self._ended = True

    def run(self, deadline: Callable[[], float], due: Callable[[], None]) -> None:
        """Wait and call until `end`. `due` is called when the deadline, monotonic seconds, has come."""
        while not self._ended:
            left = deadline() - time.monotonic()
            if left <= 0 and not self._posted:
                due()
                continue
            pause = 0 if self._posted else left
            for key, events in self._selector.select(pause if pause < float("inf") else None):
                # A callback may have closed another file of this round.
                if self._selector.get_map().get(key.fileobj) is key:
                    key.data(events)
            while self._posted:
                self._posted.popleft()()

    def _woken(self, _events: int) -> None:
        try:
            while len(self._wake.recv(4096)) == 4096:  # noqa: PLR2004 (the size of the buffer)
                continue
        except BlockingIOError:
            return
