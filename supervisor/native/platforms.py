"""Chooses the platform wing, and what is needed before there is one."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import PlatformUnsupported
from . import private_files
from .api import Platform, Watch


def open_platform(child_descriptors: tuple[int, int] | None = None) -> Platform:
    """The wing of this system. `child_descriptors`: the limit of open files that spawned processes get back.

    Raises:
        PlatformUnsupported: there is no wing for this system.
    """
    if sys.platform == "linux":
        from .linux.system import linux_platform

        return linux_platform(child_descriptors)
    if sys.platform == "win32":
        from .windows.system import windows_platform

        return windows_platform()
    if sys.platform == "darwin":
        from .darwin.system import darwin_platform

        return darwin_platform(child_descriptors)
    raise PlatformUnsupported(f"no support for {sys.platform}", hint="use Linux, Windows or macOS")


def file_replacer() -> Callable[[Path, Path], None]:
    """Puts its first file in the place of its second, atomically; what it raises is an OSError.

    Where the first one was there may be the second now.
    """
    if sys.platform == "linux":
        from .linux.files import exchange

        return exchange
    return private_files.replace


def watch_places(paths: Iterable[Path], on_change: Callable[[], None]) -> Watch | None:
    """Call back once, on the running loop, when one of these is removed, replaced or moved; None: nothing tells here.

    Raises:
        OSError: the system gives no more of these watches.
    """
    if sys.platform == "linux":
        from .linux.places import PlaceWatch

        return PlaceWatch(paths, on_change)
    return None


def parent_pid() -> int:
    """The process that started this one; 0 where that has gone.

    Raises:
        OSError: the system does not tell.
    """
    if sys.platform == "win32":
        # os.getppid() compares nothing: the number that it returns may be another's. Under Wine it ends the process.
        from .windows.processes import parent

        return parent.starter()
    return os.getppid()


def raise_descriptor_limit() -> tuple[int, int] | None:
    """Let this process open more files; returns what `open_wing` gives back to children. None: there is no limit."""
    if sys.platform != "win32":
        from .posix import processes

        return processes.raise_descriptor_limit()
    return None
