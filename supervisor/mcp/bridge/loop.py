"""A small loop: sockets and descriptors by `select`, callbacks of threads, one deadline. Not asyncio (ADR 13).

The module `selectors` does the same. Importing it takes longer than this module, and so does each of its rounds.
"""

import os
import select
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from ...native.facts import PIPES_CAN_BE_POLLED

READ, WRITE = 1, 2

_BELL_READ = 4096
"""Bytes: more than threads ring at the same time."""

OnReady = Callable[[int], None]
"""Called with READ, WRITE or both."""


class _Watch(NamedTuple):
    """A file that is watched, and what is called when it is ready."""

    file: Any
    on_ready: OnReady


class Loop:
    """Waits for whatever comes first. Everything runs in the thread that calls `run`, except `post`."""

    def __init__(self) -> None:
        # `select` takes everything that may be a standard stream: pipes, sockets, files and terminals.
        self._watches: dict[int, _Watch] = {}
        self._read: list[int] = []
        self._write: list[int] = []
        self._posted: deque[Callable[[], None]] = deque()
        self._bell = _Bell()
        self.watch(self._bell.reader, READ, lambda _: self._bell.silence())
        self._ended = False

    def watch(self, file: Any, events: int, on_ready: OnReady) -> None:
        """Call `on_ready` when a file or socket is ready. Replaces what was set for this file before."""
        descriptor = file if isinstance(file, int) else file.fileno()
        self._watches[descriptor] = _Watch(file, on_ready)
        _set_member(self._read, descriptor, wanted=bool(events & READ))
        _set_member(self._write, descriptor, wanted=bool(events & WRITE))

    def forget(self, file: Any) -> None:
        """Stop watching a file that is open. Does nothing if the file is not watched."""
        descriptor = file if isinstance(file, int) else file.fileno()
        if self._watches.pop(descriptor, None) is not None:
            _set_member(self._read, descriptor, wanted=False)
            _set_member(self._write, descriptor, wanted=False)

    def post(self, action: Callable[[], None]) -> None:
        """Run a callback in the loop. May be called by any thread."""
        self._posted.append(action)
        self._bell.ring()

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
            for descriptor, watch, events in self._select(pause if pause < float("inf") else None):
                # A callback may have closed another file of this round.
                if self._watches.get(descriptor) is watch:
                    watch.on_ready(events)
            while self._posted:
                self._posted.popleft()()

    def _select(self, pause_s: float | None) -> list[tuple[int, _Watch, int]]:
        """Return what is ready: the descriptor, its watch, and READ, WRITE or both."""
        # Windows reports a refused connection as an exceptional condition, and POSIX systems as ready for writing.
        read, write, failed = select.select(self._read, self._write, self._write, pause_s)
        if not write and not failed:
            return [(descriptor, self._watches[descriptor], READ) for descriptor in read]
        found = dict.fromkeys(read, READ)
        for descriptor in (*write, *failed):
            found[descriptor] = found.get(descriptor, 0) | WRITE
        return [(descriptor, self._watches[descriptor], events) for descriptor, events in found.items()]


class _Bell:
    """Wakes the loop from other threads: a pipe, or a pair of sockets where the system cannot wait for a pipe."""

    def __init__(self) -> None:
        self.reader: Any
        self.writer: Any
        self._receive: Callable[[], object]
        self._send: Callable[[], object]
        self._has_rung = False
        """Whether an unread byte is on its way. No further one is needed, so that writing never blocks."""
        if PIPES_CAN_BE_POLLED:
            self.reader, self.writer = reader, writer = os.pipe()
            self._receive, self._send = lambda: os.read(reader, _BELL_READ), lambda: os.write(writer, b"\0")
        else:
            import socket

            self.reader, self.writer = first, second = socket.socketpair()
            self._receive, self._send = lambda: first.recv(_BELL_READ), lambda: second.send(b"\0")

    def ring(self) -> None:
        """Wake the loop. Any thread may call this, after it has added what the loop shall find."""
        if not self._has_rung:
            self._has_rung = True
            self._send()

    def silence(self) -> None:
        """Read what has woken the loop. Called by the loop, before it looks for what was added.

        In the other order, a byte of a thread that rings in between would be read too, and no later one would be sent.
        """
        self._receive()
        self._has_rung = False


def _set_member(members: list[int], member: int, *, wanted: bool) -> None:
    """Let a list have a member, or not."""
    if wanted and member not in members:
        members.append(member)
    elif not wanted and member in members:
        members.remove(member)
