"""Keeps each server's log below a cap. A quiet server costs nothing, because the system reports writes to its log.

If the system does not report writes, the file watcher checks the file at intervals; if that fails too, `LogCap` does.
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
"""How much of a log that has reached its cap is kept: its end."""
CUT_MARK = b"--- cut by godot-supervisor: the log had reached its cap ---\n"
SHORTEST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
"""The limits of the pause between two checks of a log that is being written to."""

UNWATCHED_PAUSE_S = 5.0
"""The pause between two attempts to watch a log that cannot be watched: it was removed, or cannot be read."""


@dataclass(slots=True)
class _WatchedLog:
    """The current log of a server: its size at the last check, when that was (monotonic), and why it is not capped."""

    path: Path
    size: int
    checked_at: float
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
        self._logs: dict[str, _WatchedLog] = {}
        self._unsubscribe = events.subscribe(self._on_event)

    def watch(self, server_id: str, path: Path) -> None:
        """Watch the current log of a server, instead of an older one."""
        known = self._logs.get(server_id)
        if known is not None and known.path == path:
            return
        self.forget(server_id)
        self._logs[server_id] = _WatchedLog(path, 0, self._clock.monotonic())
        self._watch_writes(server_id)

    def forget(self, server_id: str) -> None:
        """Stop watching the log of a server that has gone."""
        log = self._logs.pop(server_id, None)
        if log is not None:
            if log.watch is not None:
                log.watch.close()
            if log.timer is not None:
                log.timer.cancel()

    def close(self) -> None:
        """Stop watching all logs."""
        self._unsubscribe()
        for server_id in list(self._logs):
            self.forget(server_id)

    def _on_event(self, event: Event) -> None:
        """Watch a server's log from its start, because a server may write a lot before it is ready."""
        if event.name == "server.spawned" and event.details.get("log"):
            self.watch(event.details["server"], Path(event.details["log"]))

    def note(self) -> str | None:
        """Return which logs are not capped at the moment, and why, for the user; None if all are."""
        unwatched = [f"{server}: {log.trouble}" for server, log in self._logs.items() if log.trouble]
        return f"logs that cannot be kept short: {'; '.join(unwatched)}" if unwatched else None

    def _watch_writes(self, server_id: str) -> None:
        """Have the next write to a log reported, and check the size of one that is over the cap already."""
        log = self._logs[server_id]
        log.timer = None
        try:
            log.watch = self._files.watch(log.path, lambda: self._check_size(server_id))
        except OSError as error:
            self._warn_once(server_id, "log.not_watched", error)
            log.timer = asyncio.get_running_loop().call_later(UNWATCHED_PAUSE_S, self._check_unwatched, server_id)
        else:
            log.trouble = None
            if self._is_over_cap(log):
                # The log has grown before the watch: while the server was starting, or under an earlier daemon.
                log.timer = asyncio.get_running_loop().call_later(0.0, self._check_size, server_id)

    def _is_over_cap(self, log: _WatchedLog) -> bool:
        try:
            return log.path.stat().st_size > self._cap_bytes
        except OSError:
            return False

    def _check_unwatched(self, server_id: str) -> None:
        """Check a log whose writes the system does not report."""
        log = self._logs[server_id]
        log.timer = None
        if log.path.exists():
            self._check_size(server_id)
        else:
            self._watch_writes(server_id)

    def _warn_once(self, server_id: str, event: str, error: OSError) -> None:
        log = self._logs[server_id]
        reason = error.strerror or str(error)
        if log.trouble != reason:
            log.trouble = reason
            self._events.warn(event, server=server_id, log=str(log.path), reason=str(error))

    def _check_size(self, server_id: str) -> None:
        """Check the size now, cut the log if it is over the cap, and plan the next check.

        That is after half the time that the log would take to reach the cap.
        """
        log = self._logs[server_id]
        if log.watch is not None:
            log.watch.close()
        if log.timer is not None:
            log.timer.cancel()
        log.watch = log.timer = None
        now = self._clock.monotonic()
        grown = 0
        try:
            size = log.path.stat().st_size
            grown = size - log.size
            if size > self._cap_bytes:
                was, size = cut(log.path, min(KEPT_BYTES, self._cap_bytes // 2))
                self._events.publish("log.cut", server=server_id, log=str(log.path), was_bytes=was, bytes=size)
        except OSError as error:
            self._warn_once(server_id, "log.not_cut", error)
            size = log.size
        # Compute the rate from what was written, not from what a cut has left.
        bytes_per_s = max(0, grown) / max(now - log.checked_at, SHORTEST_PAUSE_S)
        log.size, log.checked_at = size, now
        half_time_s = (self._cap_bytes - size) / bytes_per_s / 2 if bytes_per_s > 0 else LONGEST_PAUSE_S
        pause = min(max(half_time_s, SHORTEST_PAUSE_S), LONGEST_PAUSE_S)
        # Check a loud log by timer instead of by watch, because a polling watcher would add its own pause.
        next_step = self._check_size if grown > 0 else self._watch_writes
        log.timer = asyncio.get_running_loop().call_later(pause, next_step, server_id)


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
