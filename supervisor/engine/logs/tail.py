"""The end of a log, and what is written after it. The system tells of writes, events of new launches.

A log that nobody tells of is looked at. One that cannot be read ends what follows it, with the reason.
"""

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import FileIO
from json import dumps
from pathlib import Path

from ...errors import NotFound, StateNotWritable
from ...native.api import Watch
from ...values import frozen
from ..state.context import EngineContext
from ..state.events import Event
from .cap import CUT_MARK
from .excerpt import written_at

LINE_LENGTH = 4096
PAGE_BYTES = 900_000
"""What one answer may hold, so that it fits into a frame."""

CHUNK_BYTES = 64 * 1024
PAUSE_S = 0.05
"""Between two looks at a log that is being written to."""

REST_S = 0.2
"""How long somebody who does not keep up is left alone."""

UNWATCHED_PAUSE_S = 0.5
"""Between two looks at a log of which nobody tells."""

UNREADABLE_FOR_S = 5.0
"""How long a log that cannot be read is tried again."""

More = Callable[[Sequence[str], str, bool, str | None], None]
"""Called with further lines, the log that they are of, whether it was the last call, and why it was.

No reason: the server has gone.
"""


@frozen
class Page:
    """The last lines of a log. `offset` is where they end, in bytes. `ended`: the server has."""

    path: Path
    lines: tuple[str, ...]
    offset: int
    ended: bool = False


class LogTail:
    """Reads servers' logs and the daemon's own."""

    def __init__(self, context: EngineContext, own_log: Path) -> None:
        self._context = context
        self._own_log = own_log

    async def read(self, server_id: str | None, count: int, *, whole_lines: bool) -> Page:
        """The last `count` lines, or as many of them as fit. `whole_lines`: without one that is still being written.

        Raises:
            NotFound: no such server, or it has no log.
        """
        past = self._of_the_past(server_id)
        path = self.path(server_id) if past is None else past
        if path is None:
            raise NotFound(f"{server_id} has no log: it was not started yet, or not by this daemon")
        try:
            page = await self._context.platform.lanes.do(partial(read_page, path, count, whole_lines=whole_lines))
            return replace(page, ended=past is not None)
        except FileNotFoundError:
            return Page(path, (), 0)
        except OSError as error:
            raise StateNotWritable(f"the log cannot be read: {error}", hint="make it readable") from error

    def follow(
        self, server_id: str | None, page: Page, more: More, room: Callable[[], bool] = lambda: True
    ) -> Callable[[], None]:
        """Tell of what comes after a page, through new launches, until the server has gone or the answer is called.

        `room` says whether the receiver keeps up: the log waits for it.
        """
        return _Follower(self, self._context, server_id, page, more, room).close

    def _of_the_past(self, server_id: str | None) -> Path | None:
        """The log of the last launch of a server that has ended; None: it has not, or left none."""
        if server_id is None or server_id in self._context.records.servers:
            return None
        ended = self._context.records.history.get(server_id)
        if ended is not None and ended.log is not None and Path(ended.log).exists():
            return Path(ended.log)
        # Logs stay for longer than anybody remembers their servers.
        folders = self._context.logs / "servers"
        try:
            # An id names a folder only as it is listed: "..", "C:" or "toy." would lead to others.
            logs = [log for folder in folders.iterdir() if folder.name == server_id for log in folder.glob("*.log")]
        except OSError:
            return None
        return max(logs, key=written_at, default=None)

    def path(self, server_id: str | None) -> Path | None:
        """The log of a server's newest launch; the daemon's own without one. None: it has none.

        Raises:
            NotFound: no such server.
        """
        if server_id is None:
            return self._own_log
        log = self._context.records.server(server_id).log
        return None if log is None else Path(log)


class _Follower:
    """One who follows one log. The file is kept open: what was begun anew behind our back is read to its end first."""

    def __init__(
        self,
        logs: LogTail,
        context: EngineContext,
        server_id: str | None,
        page: Page,
        more: More,
        room: Callable[[], bool],
    ) -> None:
        self._logs = logs
        self._context = context
        self._server_id = server_id
        self._path = page.path
        self._offset = page.offset
        self._file: FileIO | None = None
        self._more = more
        self._room = room
        self._watch: Watch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._unreadable_since: float | None = None
        self._unsubscribe = context.events.subscribe(self._happened)
        self._look()

    def close(self) -> None:
        """Follow no longer."""
        self._closed = True
        self._unsubscribe()
        self._leave()
        if self._timer is not None:
            self._timer.cancel()

    def _happened(self, event: Event) -> None:
        """A launch may have begun or ended, or the daemon's own log have been begun anew."""
        if self._server_id is None or event.details.get("server") == self._server_id:
            if event.name == "log.cut" and event.details["log"] == str(self._path):
                self._find_place_again(event.details["was_bytes"], event.details["bytes"])
            self._soon(0.0)

    def _soon(self, pause_s: float) -> None:
        if not self._closed and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._look)

    def _look(self) -> None:
        """Read what is there, then see whether this still is the log to follow."""
        self._timer = None
        if not self._room():
            self._soon(REST_S)
            return
        if self._closed:
            return
        watched = self._arm()
        # Armed before it is read: what is written in between fires.
        try:
            more = self._read()
        except OSError as error:
            self._cannot_read(error)
            return
        self._unreadable_since = None
        if more:
            self._soon(0.0)
            return
        try:
            path = self._logs.path(self._server_id) or self._path
        except NotFound:
            self._tell_the_rest()
            self._end()
            return
        if path != self._path or self._begun_anew():
            self._tell_the_rest()
            self._leave()
            self._path, self._offset = path, 0
            self._soon(0.0)
        elif not watched:
            self._soon(UNWATCHED_PAUSE_S)

    def _arm(self) -> bool:
        """Whether anybody will tell of what is written."""
        self._disarm()
        try:
            self._watch = self._context.platform.files.watch(self._path, lambda: self._soon(PAUSE_S))
        except FileNotFoundError:
            # Not there yet: an event comes when that changes. If it was removed, its writer may go on in what is open.
            return self._file is None
        except OSError:
            return False
        return True

    def _cannot_read(self, error: OSError) -> None:
        """Try again for a while, then end with the reason: the server runs, but nobody would see what it writes."""
        now = asyncio.get_running_loop().time()
        self._unreadable_since = now if self._unreadable_since is None else self._unreadable_since
        if now - self._unreadable_since < UNREADABLE_FOR_S:
            self._soon(UNWATCHED_PAUSE_S)
        else:
            self._end(f"its log cannot be read: {error.strerror or error}")

    def _disarm(self) -> None:
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    def _leave(self) -> None:
        self._disarm()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self, reason: str | None = None) -> None:
        self._more((), str(self._path), True, reason)
        self.close()

    def _read(self) -> bool:
        """Tell of the lines that were completed; whether there is more.

        Raises:
            OSError: it is there and cannot be read.
        """
        data = self._unread()
        whole = data.rfind(b"\n") + 1
        if not whole and len(data) == CHUNK_BYTES:
            # A line without an end is told in pieces.
            whole = len(data)
        if whole:
            self._offset += whole
            self._more(split(data[:whole]), str(self._path), False, None)
        return len(data) == CHUNK_BYTES

    def _tell_the_rest(self) -> None:
        """A last line without an end: nothing will be added to it."""
        try:
            data = self._unread()
        except OSError:
            return
        if data:
            self._more(split(data), str(self._path), False, None)

    def _unread(self) -> bytes:
        try:
            if self._file is None:
                self._file = FileIO(self._path)
            if os.fstat(self._file.fileno()).st_size < self._offset:
                # Somebody else has emptied it.
                self._offset = 0
            self._file.seek(self._offset)
            return self._file.read(CHUNK_BYTES)
        except FileNotFoundError:
            return b""

    def _begun_anew(self) -> bool:
        """Whether another file lies there now."""
        if self._file is None:
            return False
        try:
            return not os.path.samestat(os.fstat(self._file.fileno()), self._path.stat())
        except OSError:
            return False

    def _find_place_again(self, was_bytes: int, left_bytes: int) -> None:
        """Our own cut has moved what we have not told yet. Where some of it is lost, the mark tells that."""
        place = left_bytes - (was_bytes - self._offset)
        self._offset = place if place >= len(CUT_MARK) else 0


def read_page(path: Path, count: int, *, whole_lines: bool) -> Page:
    """The last lines of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - PAGE_BYTES)
        file.seek(start)
        data = file.read(size - start)
    if start:
        data = data[data.find(b"\n") + 1 :]
    end = size
    if whole_lines:
        whole = data.rfind(b"\n") + 1
        end -= len(data) - whole
        data = data[:whole]
    return Page(path, fitting(split(data)[-count:] if count else []), end)


def split(data: bytes) -> list[str]:
    """The lines of some output, each cut where it is too long for people."""
    return [line[:LINE_LENGTH] for line in data.decode(errors="replace").splitlines()]


def fitting(lines: Sequence[str]) -> tuple[str, ...]:
    """As many of the last lines as fit into one answer."""
    room = PAGE_BYTES
    for number, line in enumerate(reversed(lines)):
        room -= len(dumps(line)) + 2
        if room < 0:
            return tuple(lines[len(lines) - number :])
    return tuple(lines)
