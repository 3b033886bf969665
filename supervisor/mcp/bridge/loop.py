"""A small loop: sockets and descriptors by `select`, callbacks of threads, one deadline. Not asyncio (ADR 13)."""

import selectors
import socket
import time
from collections import deque
from collections.abc import Callable
from typing import Any

READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

OnReady = Callable[[int], None]
"""Called with READ, WRITE or both."""


class Loop:
    """Waits for whatever comes first. Everything runs in the thread that calls `run`, except `post`."""

    def __init__(self) -> None:
        # `select` takes everything that may be a standard stream: pipes, sockets, files and terminals.
        self._selector = selectors.SelectSelector()
        self._posted: deque[Callable[[], None]] = deque()
        self._wake_reader, self._wake_writer = socket.socketpair()
        for end in (self._wake_reader, self._wake_writer):
            end.setblocking(False)
        self._selector.register(self._wake_reader, READ, self._on_wake)
        self._ended = False

    def watch(self, file: Any, events: int, on_ready: OnReady) -> None:
        """Call `on_ready` when a file or socket is ready."""
        self._selector.register(file, events, on_ready)

    def change(self, file: Any, events: int, on_ready: OnReady) -> None:
        """Replace the events and the callback of a watched file."""
        self._selector.modify(file, events, on_ready)

    def forget(self, file: Any) -> None:
        """Stop watching a file. Does nothing if the file is not watched."""
        try:
            self._selector.unregister(file)
        except (KeyError, ValueError):
            return

    def post(self, action: Callable[[], None]) -> None:
        """Run a callback in the loop. May be called by any thread."""
        self._posted.append(action)
        try:
            self._wake_writer.send(b"\0")
        except BlockingIOError:
            # The loop has enough unread bytes to wake up.
            return

    def end(self) -> None:
        """Let `run` return after the current round."""
        self._ended = True

    def run(self, deadline: Callable[[], float], on_deadline: Callable[[], None]) -> None:
        """Wait and call the callbacks until `end` is called.

        `deadline` is asked in each round, and returns monotonic seconds. `on_deadline` is called when they have come.
        """
        while not self._ended:
            left = deadline() - time.monotonic()
            if left <= 0 and not self._posted:
                on_deadline()
                continue
            pause = 0 if self._posted else left
            for key, events in self._selector.select(pause if pause < float("inf") else None):
                # A callback may have closed another file of this round.
                if self._selector.get_map().get(key.fileobj) is key:
                    key.data(events)
            while self._posted:
                self._posted.popleft()()

    def _on_wake(self, _events: int) -> None:
        try:
            while len(self._wake_reader.recv(4096)) == 4096:  # noqa: PLR2004 (the size of the buffer)
                continue
        except BlockingIOError:
            return
