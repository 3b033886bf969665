"""The file watcher that polls, which works on every system, and the one that polls only where the system refuses."""

import asyncio
import math
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

from ..api import FileWatcher, Watch

LOOK_EVERY_S = 0.5
LOOK_AT_LEAST_EVERY_S = 2.0
"""A file without writes for a while is checked less often."""

TRY_AGAIN_EVERY_S = 30.0
"""The interval in which the system's own watcher is tried again after a refusal."""

REARMED_WITHIN_S = 10.0
"""Watches fire once. A caller that continues to watch arms the next one within this time."""

Stamp = tuple[int, int, int]
"""The identity of a file, its size, and the time of its last write."""


class _PolledFile:
    def __init__(self, watcher: "PollingFileWatcher", path: Path, on_write: Callable[[], None]) -> None:
        self._watcher = watcher
        self.path = path
        self.stamp = stamp_of(path)
        self.on_write = on_write

    def written(self) -> bool:
        """Return whether the file has changed since the watch was armed. A missing file counts as changed."""
        try:
            return stamp_of(self.path) != self.stamp
        except OSError:
            return True

    def close(self) -> None:
        self._watcher.forget(self)


class PollingFileWatcher:
    """Checks all watched files in an interval; without watches it does not wake.

    Windows' own notices of changes come late or never for a file that its writer keeps open.
    """

    def __init__(self, interval_s: float = LOOK_EVERY_S, longest_s: float = LOOK_AT_LEAST_EVERY_S) -> None:
        self._interval_s = interval_s
        self._longest_s = max(interval_s, longest_s)
        self._pause_s = interval_s
        self._watches: dict[_PolledFile, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, path: Path, on_write: Callable[[], None]) -> Watch:
        """See `FileWatcher`."""
        loop = asyncio.get_running_loop()
        watch = _PolledFile(self, path, on_write)
        self._watches[watch] = None
        if self._timer is None or self._pause_s > self._interval_s:
            self._set_timer(loop, self._interval_s)
        return watch

    def note(self) -> str | None:
        """Return None: polling is what this watcher is for."""
        return None

    def forget(self, watch: _PolledFile) -> None:
        """Forget a closed watch."""
        self._watches.pop(watch, None)
        if not self._watches and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check_files(self, loop: asyncio.AbstractEventLoop) -> None:
        self._set_timer(loop, min(self._pause_s * 2, self._longest_s))
        for watch in tuple(self._watches):
            if watch in self._watches and watch.written():
                self.forget(watch)
                watch.on_write()

    def _set_timer(self, loop: asyncio.AbstractEventLoop, pause_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._pause_s = pause_s
        self._timer = loop.call_later(pause_s, self._check_files, loop)


class _FallbackWatch:
    """A watch that is served by polling, and by the system once the system accepts it."""

    def __init__(self, path: Path, reason: str, on_write: Callable[[], None]) -> None:
        self.path = path
        self.reason = reason
        self.on_write = on_write
        self.inner: Watch | None = None
        self.on_close: Callable[[_FallbackWatch], None] = _do_nothing

    def close(self) -> None:
        if self.inner is not None:
            self.inner.close()
            self.inner = None
        self.on_close(self)


class FallbackFileWatcher:
    """Lets the system report writes. Polls a file if the system refuses to watch it, or misses writes to it.

    `why_missed` returns why the system would miss writes to a file, for people; None if it would miss none.
    """

    def __init__(
        self,
        system: FileWatcher,
        polling: PollingFileWatcher,
        why_missed: Callable[[Path], str | None] = lambda _: None,
    ) -> None:
        self._system = system
        self._polling = polling
        self._why_missed = why_missed
        self._polled: dict[_FallbackWatch, None] = {}
        self._troubles: dict[Path, tuple[str, float]] = {}
        """The reason why a file is polled, and until when it counts: loop time, infinite while a watch is armed."""
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, path: Path, on_write: Callable[[], None]) -> Watch:
        """See `FileWatcher`."""
        try:
            watch, reason = self._system_watch(path, on_write)
        except FileNotFoundError:
            self._troubles.pop(path, None)
            raise
        if watch is not None:
            self._troubles.pop(path, None)
            return watch
        polled = _FallbackWatch(path, reason, on_write)
        polled.inner = self._polling.watch(path, lambda: self._fire(polled))
        polled.on_close = self._forget
        self._polled[polled] = None
        self._troubles[path] = (reason, math.inf)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(TRY_AGAIN_EVERY_S, self._try_again, loop)
        return polled

    def note(self) -> str | None:
        """See `FileWatcher`."""
        now = asyncio.get_running_loop().time()
        self._troubles = {path: (why, until) for path, (why, until) in self._troubles.items() if until > now}
        if not self._troubles:
            return None
        reasons = ", ".join(sorted({why for why, _ in self._troubles.values()}))
        count = len(self._troubles)
        return (
            f"writes to {count} log{'s' if count > 1 else ''} are noticed by looking, "
            f"every {LOOK_EVERY_S:g} to {LOOK_AT_LEAST_EVERY_S:g} s: {reasons}"
        )

    def _system_watch(self, path: Path, on_write: Callable[[], None]) -> tuple[Watch | None, str]:
        """Return a watch of the system's own, or None and the reason why there is none.

        Raises:
            FileNotFoundError: the file is not there.
        """
        reason = self._why_missed(path)
        if reason is None:
            try:
                return self._system.watch(path, on_write), ""
            except FileNotFoundError:
                raise
            except OSError as error:
                reason = f"the system does not tell ({error.strerror or error})"
        return None, reason

    def _fire(self, polled: _FallbackWatch) -> None:
        self._polled.pop(polled, None)
        polled.inner = None
        self._troubles[polled.path] = (polled.reason, asyncio.get_running_loop().time() + REARMED_WITHIN_S)
        polled.on_write()

    def _forget(self, polled: _FallbackWatch) -> None:
        self._polled.pop(polled, None)
        if not any(other.path == polled.path for other in self._polled):
            self._troubles.pop(polled.path, None)
        if not self._polled and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _try_again(self, loop: asyncio.AbstractEventLoop) -> None:
        """Offer polled files to the system. Its watch is armed before polling stops, so that no write is lost."""
        self._timer = None
        for polled in tuple(self._polled):
            before = polled.inner
            if before is None or polled not in self._polled:
                continue
            try:
                watch, polled.reason = self._system_watch(polled.path, partial(_report_write, polled))
            except FileNotFoundError:
                # Polling reports that write, too.
                continue
            if watch is None:
                continue
            # The system's watch reports no write from before it was armed, and polling ends with `close`.
            written = isinstance(before, _PolledFile) and before.written()
            before.close()
            polled.inner = watch
            self._polled.pop(polled)
            self._troubles.pop(polled.path, None)
            if written:
                # A watch fires once, so the system's is closed before this write is reported.
                watch.close()
                polled.inner = None
                polled.on_write()
        if self._polled:
            self._timer = loop.call_later(TRY_AGAIN_EVERY_S, self._try_again, loop)


def _report_write(polled: _FallbackWatch) -> None:
    """Report a write that the system noticed, to a file that was polled before."""
    polled.inner = None
    polled.on_write()


def _do_nothing(polled: _FallbackWatch) -> None:
    """Do nothing, because the watch is not armed yet."""


def stamp_of(path: Path) -> Stamp:
    """Return values that change when a file is written to.

    Raises:
        OSError: the file is missing, or cannot be checked.
    """
    status = os.stat(path)  # noqa: PTH116 (several times a second)
    return status.st_ino, status.st_size, status.st_mtime_ns
