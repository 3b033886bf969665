"""Measures the files of a build, and watches whether the build makes progress."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from ...native.lane import Lane, Lanes

MEASURE_EVERY_S = 5.0


def measure(folders: Iterable[Path]) -> tuple[int, int]:
    """Return how many files lie below these folders, and their bytes, as far as they can be counted. Blocks."""
    files = size = 0
    for top in folders:
        for folder, _, names in os.walk(top):
            for name in names:
                with contextlib.suppress(OSError):
                    size += (Path(folder) / name).lstat().st_size
                    files += 1
    return files, size


class BuildWatch:
    """Watches whether a build makes progress: whether what `measure_build` returns changes.

    `no_progress_s` limits how long a build may show no progress, seconds.
    """

    def __init__(self, measure_build: Callable[[], tuple[int, int]], lanes: Lanes, no_progress_s: float) -> None:
        self._measure_build = measure_build
        self._lanes = lanes
        self._no_progress_s = no_progress_s
        self._measured: tuple[int, int] | None = None
        self._last_progress = self._last_measured = asyncio.get_running_loop().time()

    def note_progress(self) -> None:
        """Note progress that does not show in the files."""
        self._last_progress = asyncio.get_running_loop().time()

    async def stalled(self) -> bool:
        """Return whether there was no progress for `no_progress_s`. To be called repeatedly while the build runs."""
        now = asyncio.get_running_loop().time()
        if self._measured is None or now - self._last_measured > min(MEASURE_EVERY_S, self._no_progress_s / 4):
            before, self._measured = self._measured, await self._lanes.do(self._measure_build, lane=Lane.FILES)
            self._last_measured = now
            if self._measured != before:
                self._last_progress = now
        return now - self._last_progress > self._no_progress_s
