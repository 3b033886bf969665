"""Follows one log. The system reports writes to the file; events report new launches and cuts.

A log that the system does not report on is checked at intervals. If a log cannot be read, the following ends with the
reason.
"""

import asyncio
import os
from collections.abc import Callable
from io import FileIO
from pathlib import Path

from ...errors import NotFound
from ...native.api import Watch
from ..state.context import EngineContext
from ..state.events import Event
from .cap import CUT_MARK
from .page import LogUpdate, Page, split_lines

CHUNK_BYTES = 64 * 1024
PAUSE_S = 0.05
"""The pause between two reads of a log that is being written to."""

FULL_PAUSE_S = 0.2
"""How long to wait before a receiver that does not keep up is asked again whether it has room."""

UNWATCHED_PAUSE_S = 0.5
"""The pause between two reads of a log that the system does not report on."""

UNREADABLE_FOR_S = 5.0
"""How long to retry a log that cannot be read."""


class LogFollower:
    """Follows one log for one receiver.

    The file stays open, so that a file which another program has replaced is first read to its end.
    """

    def __init__(
        self,
        newest_log: Callable[[str | None], Path | None],
        context: EngineContext,
        server_id: str | None,
        page: Page,
        on_update: Callable[[LogUpdate], None],
        has_room: Callable[[], bool],
    ) -> None:
        """`newest_log` returns the log of the server's newest launch, and raises NotFound if the server has gone.

        `page` is where the following begins. While `has_room` returns False, nothing is read.
        """
        self._newest_log = newest_log
        self._context = context
        self._server_id = server_id
        self._path = page.path
        self._offset = page.offset
        self._file: FileIO | None = None
        self._on_update = on_update
        self._has_room = has_room
        self._watch: Watch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._unreadable_since: float | None = None
        self._unsubscribe = context.events.subscribe(self._on_event)
        self._check()

    def close(self) -> None:
        """Stop following."""
        self._closed = True
        self._unsubscribe()
        self._close_file()
        if self._timer is not None:
            self._timer.cancel()

    def _on_event(self, event: Event) -> None:
        """Check the log: a launch may have begun or ended, or the daemon's own log may have been rotated."""
        if self._server_id is None or event.details.get("server") == self._server_id:
            if event.name == "log.cut" and event.details["log"] == str(self._path):
                self._adjust_offset(event.details["was_bytes"], event.details["bytes"])
            self._schedule(0.0)

    def _schedule(self, pause_s: float) -> None:
        if not self._closed and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._check)

    def _check(self) -> None:
        """Read what is there, then find out whether this is still the log to follow."""
        self._timer = None
        if not self._has_room():
            self._schedule(FULL_PAUSE_S)
            return
        if self._closed:
            return
        watched = self._arm_watch()
        # Arm before reading: a write between the two then fires the watch.
        try:
            more = self._read()
        except OSError as error:
            self._retry_or_end(error)
            return
        self._unreadable_since = None
        if more:
            self._schedule(0.0)
            return
        try:
            path = self._newest_log(self._server_id) or self._path
        except NotFound:
            self._send_unfinished_line()
            self._end()
            return
        if path != self._path or self._was_replaced():
            self._send_unfinished_line()
            self._close_file()
            self._path, self._offset = path, 0
            self._schedule(0.0)
        elif not watched:
            self._schedule(UNWATCHED_PAUSE_S)

    def _arm_watch(self) -> bool:
        """Watch the log for the next write. Return whether a watch or an event will report it."""
        self._disarm_watch()
        try:
            self._watch = self._context.platform.files.watch(self._path, lambda: self._schedule(PAUSE_S))
        except FileNotFoundError:
            # An event reports when the file appears. If it was removed, its writer may still write to the open file.
            return self._file is None
        except OSError:
            return False
        return True

    def _retry_or_end(self, error: OSError) -> None:
        """Read again for up to `UNREADABLE_FOR_S`, then end with the reason.

        The server runs on, so an end without a reason would say that it has gone.
        """
        now = asyncio.get_running_loop().time()
        self._unreadable_since = now if self._unreadable_since is None else self._unreadable_since
        if now - self._unreadable_since < UNREADABLE_FOR_S:
            self._schedule(UNWATCHED_PAUSE_S)
        else:
            self._end(f"its log cannot be read: {error.strerror or error}")

    def _disarm_watch(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _close_file(self) -> None:
        self._disarm_watch()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self, reason: str | None = None) -> None:
        self._on_update(LogUpdate(self._path, (), ended=True, reason=reason))
        self.close()

    def _read(self) -> bool:
        """Pass on the completed lines. Return whether there is more to read.

        Raises:
            OSError: the log exists and cannot be read.
        """
        data = self._read_chunk()
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) == CHUNK_BYTES:
            # A line that is longer than a chunk is passed on in pieces.
            whole = len(data)
        if whole:
            self._offset += whole
            self._on_update(LogUpdate(self._path, split_lines(data[:whole])))
        return len(data) == CHUNK_BYTES

    def _send_unfinished_line(self) -> None:
        """Pass on a last line without a line end: nothing will be added to it."""
        try:
            data = self._read_chunk()
        except OSError:
            return
        if data:
            self._on_update(LogUpdate(self._path, split_lines(data)))

    def _read_chunk(self) -> bytes:
        try:
            if self._file is None:
                self._file = FileIO(self._path)
            if os.fstat(self._file.fileno()).st_size < self._offset:
                # Another program has emptied the file.
                self._offset = 0
            self._file.seek(self._offset)
            return self._file.read(CHUNK_BYTES)
        except FileNotFoundError:
            return b""

    def _was_replaced(self) -> bool:
        """Return whether the path now leads to another file."""
        if self._file is None:
            return False
        try:
            return not os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except OSError:
            return False

    def _adjust_offset(self, was_bytes: int, left_bytes: int) -> None:
        """Adjust the offset after the daemon has cut the log.

        If the cut has removed lines that were not passed on yet, the mark at the beginning says so.
        """
        place = left_bytes - (was_bytes - self._offset)
        self._offset = place if place >= len(CUT_MARK) else 0
