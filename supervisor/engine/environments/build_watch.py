"""Measures the files of a build, and watches whether the build makes progress."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from ...native.lane import Lane, Lanes

WEIGH_EVERY_S = 5.0


def weigh(folders: Iterable[Path]) -> tuple[int, int]:
    """Return the number of files below these folders and their bytes, as far as they can be counted. Blocking."""
    files = size = 0
    for top in folders:
        for folder, _, names in os.walk(top):
            for name in names:
                with contextlib.suppress(OSError):
                    size += (Path(folder) / name).lstat().st_size
                    files += 1
    return files, size


class BuildWatch:
    """Watches whether a build makes progress: whether what `weigh_build` returns changes.

    `no_progress_s` limits how long a build may show no progress, seconds.
    """

    def __init__(self, weigh_build: Callable[[], tuple[int, int]], lanes: Lanes, no_progress_s: float) -> None:
        self._weigh_build = weigh_build
        self._lanes = lanes
        self._no_progress_s = no_progress_s
        self._weight: tuple[int, int] | None = None
        self._last_progress = self._last_weighed = asyncio.get_running_loop().time()

    def progressed(self) -> None:
        """Note progress that does not show in the files."""
        self._last_progress = asyncio.get_running_loop().time()

    async def stalled(self) -> bool:
        """Return whether there was no progress for `no_progress_s`. Call it repeatedly."""
        now = asyncio.get_running_loop().time()
        if self._weight is None or now - self._last_weighed > min(WEIGH_EVERY_S, self._no_progress_s / 4):
            before, self._weight = self._weight, await self._lanes.do(self._weigh_build, lane=Lane.FILES)
            self._last_weighed = now
            if self._weight != before:
                self._last_progress = now
        return now - self._last_progress > self._no_progress_s
