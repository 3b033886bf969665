"""Keeps each server's log below a hard cap. A quiet server costs nothing, because the system reports writes to its log.

Where the system does not report writes, the file watcher checks the file; where that fails too, the cap itself does.
"""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from ...core.exhaustion import NO_DESCRIPTORS
from ...native.api import Clock, FileWatcher, Watch
from ..state.events import Event, Events

CAP_BYTES = 50 * 1024 * 1024
KEPT_BYTES = 1024 * 1024
CUT_MARK = b"--- cut by godot-supervisor: the log had reached its cap ---\n"
SHORTEST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
UNWATCHED_PAUSE_S = 5.0
"""Between two attempts to watch a log that cannot be watched: it was removed, or cannot be read."""


@dataclass(slots=True)
class _Kept:
    path: Path
    size: int
    looked: float
    trouble: str | None = None
    watch: Watch | None = None
    timer: asyncio.TimerHandle | None = None


class LogCap:
    """Cuts logs that have grown too long. The server goes on writing at the end of the rest."""

    def __init__(self, files: FileWatcher, clock: Clock, events: Events, cap_bytes: int = CAP_BYTES) -> None:
        self._cap_bytes = cap_bytes
        self._files = files
        self._clock = clock
        self._events = events
        self._kept: dict[str, _Kept] = {}
        self._unsubscribe = events.subscribe(self._on_event)

    def keep(self, server_id: str, path: Path) -> None:
        """Watch the current log of a server, and no longer an older one."""
        known = self._kept.get(server_id)
        if known is not None and known.path == path:
            return
        self.forget(server_id)
        self._kept[server_id] = _Kept(path, 0, self._clock.monotonic())
        self._arm(server_id)

    def forget(self, server_id: str) -> None:
        """Stop watching the log of a server that has gone."""
        kept = self._kept.pop(server_id, None)
        if kept is not None:
            if kept.watch is not None:
                kept.watch.close()
            if kept.timer is not None:
                kept.timer.cancel()

    def close(self) -> None:
        """Stop watching all logs."""
        self._unsubscribe()
        for server_id in list(self._kept):
            self.forget(server_id)

    def _on_event(self, event: Event) -> None:
        """Watch a server's log from its start, because a server may write a lot before it is ready."""
        if event.name == "server.spawned" and event.details.get("log"):
            self.keep(event.details["server"], Path(event.details["log"]))

    def note(self) -> str | None:
        """Return which logs are not capped at the moment, and why, for the user; None if all are."""
        unwatched = [f"{server}: {kept.trouble}" for server, kept in self._kept.items() if kept.trouble]
        return f"logs that cannot be kept short: {'; '.join(unwatched)}" if unwatched else None

    def _arm(self, server_id: str) -> None:
        kept = self._kept[server_id]
        kept.timer = None
        try:
            kept.watch = self._files.watch(kept.path, lambda: self._written(server_id))
        except OSError as error:
            self._warn_once(server_id, "log.not_watched", error)
            kept.timer = asyncio.get_running_loop().call_later(UNWATCHED_PAUSE_S, self._look, server_id)
        else:
            kept.trouble = None
            if self._over(kept):
                # The log has grown before the watch: while the server was starting, or under an earlier daemon.
                kept.timer = asyncio.get_running_loop().call_later(0.0, self._written, server_id)

    def _over(self, kept: _Kept) -> bool:
        try:
            return kept.path.stat().st_size > self._cap_bytes
        except OSError:
            return False

    def _look(self, server_id: str) -> None:
        """Check a log whose writes the system does not report."""
        kept = self._kept[server_id]
        kept.timer = None
        if kept.path.exists():
            self._written(server_id)
        else:
            self._arm(server_id)

    def _warn_once(self, server_id: str, event: str, error: OSError) -> None:
        kept = self._kept[server_id]
        reason = error.strerror or str(error)
        if kept.trouble != reason:
            kept.trouble = reason
            self._events.warn(event, server=server_id, log=str(kept.path), reason=str(error))

    def _written(self, server_id: str) -> None:
        """Check the size now, and again after half the time that the log would take to reach the cap."""
        kept = self._kept[server_id]
        if kept.watch is not None:
            kept.watch.close()
        if kept.timer is not None:
            kept.timer.cancel()
        kept.watch = kept.timer = None
        now = self._clock.monotonic()
        grown = 0
        try:
            size = kept.path.stat().st_size
            grown = size - kept.size
            if size > self._cap_bytes:
                was, size = cut(kept.path, min(KEPT_BYTES, self._cap_bytes // 2))
                self._events.publish("log.cut", server=server_id, log=str(kept.path), was_bytes=was, bytes=size)
        except OSError as error:
            self._warn_once(server_id, "log.not_cut", error)
            size = kept.size
        # Compute the rate from what was written, not from what a cut has left.
        rate = max(0, grown) / max(now - kept.looked, SHORTEST_PAUSE_S)
        kept.size, kept.looked = size, now
        left_s = (self._cap_bytes - size) / rate / 2 if rate > 0 else LONGEST_PAUSE_S
        pause = min(max(left_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
        # Check a loud log by timer instead of by watch, because a polling watcher would add its own pause.
        follow = self._written if grown > 0 else self._arm
        kept.timer = asyncio.get_running_loop().call_later(pause, follow, server_id)


def cut(path: Path, kept_bytes: int) -> tuple[int, int]:
    """Cut a log that another process is appending to down to its last bytes. Return its size before and after.

    Lines written between the read and the cut are lost.

    Raises:
        OSError: the log cannot be read or written.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_APPEND)
    except OSError as error:
        if error.errno not in NO_DESCRIPTORS:
            raise
        # Empty the log: without a free descriptor its last lines cannot be read, and a full disk would be worse.
        was = path.stat().st_size
        os.truncate(path, 0)
        return was, 0
    with open(handle, "r+b", buffering=0) as file:  # noqa: PTH123 (a descriptor, opened to append)
        was = file.seek(-kept_bytes, os.SEEK_END) + kept_bytes
        tail = file.read(kept_bytes)
        file.truncate(0)
        file.write(CUT_MARK + tail.partition(b"\n")[2])
        # Not the file's length, because the writer may have appended before the mark was written.
        return was, file.tell()
