"""The file watcher that needs nothing of the system but the size of a file."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from .api import Watch

LOOK_EVERY_S = 0.5

Stamp = tuple[int, int, int]
"""Which file it is, its size, and when it was written to last."""


class _ArmedWatch:
    def __init__(self, watcher: "PollingFileWatcher", path: Path, on_write: Callable[[], None]) -> None:
        self._watcher = watcher
        self.path = path
        self.stamp = stamp_of(path)
        self.on_write = on_write

    def close(self) -> None:
        self._watcher.forget(self)


class PollingFileWatcher:
    """Looks at everything watched, once in an interval; with nothing to watch it does not wake.

    Windows' own notices of changes come late or never for a file that its writer keeps open.
    """

    def __init__(self, interval_s: float = LOOK_EVERY_S) -> None:
        self._interval_s = interval_s
        self._watches: dict[_ArmedWatch, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, path: Path, on_write: Callable[[], None]) -> Watch:
        """See `FileWatcher`."""
        loop = asyncio.get_running_loop()
        watch = _ArmedWatch(self, path, on_write)
        self._watches[watch] = None
        if self._timer is None:
            self._timer = loop.call_later(self._interval_s, self._look, loop)
        return watch

    def forget(self, watch: _ArmedWatch) -> None:
        """It was closed."""
        self._watches.pop(watch, None)
        if not self._watches and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self._interval_s, self._look, loop)
        for watch in tuple(self._watches):
            try:
                written = stamp_of(watch.path) != watch.stamp
            except OSError:
                # It has gone: whoever watches finds that out.
                written = True
            if written and watch in self._watches:
                self.forget(watch)
                watch.on_write()


def stamp_of(path: Path) -> Stamp:
    """What changes when a file is written to.

    Raises:
        OSError: it is not there, or cannot be looked at.
    """
    status = os.stat(path)  # noqa: PTH116 (several times a second)
    return status.st_ino, status.st_size, status.st_mtime_ns
