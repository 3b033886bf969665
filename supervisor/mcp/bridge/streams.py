"""The standard streams of the bridge. Nothing but messages is ever written to the one that the client reads."""

import functools
import os
import select
from collections.abc import Callable

from ...native.facts import PIPES_CAN_BE_POLLED
from ..core.events_and_actions import Event, Text
from ..core.messages.lines import LineCutter
from .loop import READ, Loop

READ_SIZE = 64 * 1024

ALWAYS_FITS = 4096
"""Bytes that a pipe takes without blocking once it is writable: PIPE_BUF of Linux. The other systems take less, and a
message beyond 512 bytes may then block for as long as the client does not read."""

WRITTEN_AT_ONCE_MAX = 64 * 1024
"""Bytes of a line that the loop writes itself: what an empty pipe takes. To hand a line to a thread takes longer."""


def redirect_stdout() -> int:
    """Return a new descriptor of standard output, and let what other code prints go to standard error from now on."""
    private = os.dup(1)
    os.dup2(2, 1)
    return private


class Input:
    """Reads the client's lines: in the loop, or in a thread where the system cannot wait for a pipe.

    `on_event` and `on_end` are called in the loop.
    """

    def __init__(
        self, loop: Loop, descriptor: int, on_event: Callable[[Event], None], on_end: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._on_event = on_event
        self._on_end = on_end
        self._cutter = LineCutter()
        if PIPES_CAN_BE_POLLED:
            loop.watch(descriptor, READ, self._on_readable)
        else:
            import threading

            threading.Thread(target=self._read_in_thread, daemon=True).start()

    def _on_readable(self, _events: int) -> None:
        self._on_data(self._read())

    def _read(self) -> bytes:
        try:
            return os.read(self._descriptor, READ_SIZE)
        except OSError:
            return b""

    def _read_in_thread(self) -> None:
        while True:
            data = self._read()
            self._loop.post(functools.partial(self._on_data, data))
            if not data:
                return

    def _on_data(self, data: bytes) -> None:
        if not data:
            self._loop.forget(self._descriptor)
            self._on_end()
            return
        for event in self._cutter.feed(data):
            self._on_event(event)


class Output:
    """Writes lines, in order. A client that does not read never blocks the loop: a thread writes then.

    `on_broken` is called, in the loop or in that thread, when the client has closed its end.
    """

    def __init__(self, descriptor: int, on_broken: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._thread: _WritingThread | None = None

    def write_line(self, text: Text) -> None:
        """Write a text and the end of the line. A bytearray is changed."""
        # A long text is a bytearray, which grows in place; a copy of it would cost its size again.
        text += b"\n"
        written = 0
        if (self._thread is None or self._thread.is_idle) and len(text) <= WRITTEN_AT_ONCE_MAX:
            while written < len(text) and self._can_write_now():
                piece = text[written : written + ALWAYS_FITS]
                self._write(piece)
                written += len(piece)
        if written < len(text):
            if self._thread is None:
                from ...native.startup.pipes import widen

                widen(self._descriptor)
                self._thread = _WritingThread(self._write)
            self._thread.add(text[written:] if written else text)

    def _can_write_now(self) -> bool:
        """Return whether `ALWAYS_FITS` bytes can be written without blocking."""
        return PIPES_CAN_BE_POLLED and bool(select.select([], [self._descriptor], [], 0)[1])

    def _write(self, text: Text) -> None:
        rest = memoryview(text)
        try:
            while rest:
                rest = rest[self._write_some(rest) :]
        except OSError:
            self._on_broken()

    def _write_some(self, data: memoryview) -> int:
        """Write at least one byte, and return how many were written."""
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                # The client has handed over a stream that does not block. That it is full is no end.
                select.select([], [self._descriptor], [])


class _WritingThread:
    """Writes texts one after the other. Made when the first one has to wait, because most bridges need no thread."""

    def __init__(self, write: Callable[[Text], None]) -> None:
        import queue
        import threading

        self._write = write
        self._waiting: queue.SimpleQueue[Text] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._unwritten = 0
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def is_idle(self) -> bool:
        """Return whether everything has been written."""
        return self._unwritten == 0

    def add(self, text: Text) -> None:
        """Write a text after the ones before it. Called by the loop."""
        with self._lock:
            self._unwritten += 1
        self._waiting.put(text)

    def _run(self) -> None:
        while True:
            self._write_next()
            with self._lock:
                self._unwritten -= 1

    def _write_next(self) -> None:
        """Write the next text. A function of its own, because the text must not be kept until the one after it."""
        self._write(self._waiting.get())
