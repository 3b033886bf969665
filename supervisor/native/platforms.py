"""Chooses the platform of this system, and offers what is needed without one."""

import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from ..errors import PlatformUnsupported
from . import private_files
from .api import Platform, Watch


def open_platform(child_descriptors: tuple[int, int] | None = None) -> Platform:
    """Return the platform of this system.

    `child_descriptors` is the limit of open files for spawned processes, soft and hard; None leaves the daemon's own.

    Raises:
        PlatformUnsupported: this system is not supported.
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
    """Return a function that puts its first file in the place of its second one, atomically, or raises OSError.

    Afterwards the former second file may lie in the place of the first one, because Linux exchanges the two.
    """
    if sys.platform == "linux":
        from .linux.files import exchange

        return exchange
    return private_files.replace


def watch_paths(paths: Iterable[Path], on_change: Callable[[], None]) -> Watch | None:
    """Call back once, on the running loop, when one of these paths is removed, replaced or moved.

    Returns None on a system that reports no such changes.

    Raises:
        OSError: the system has no more watches of this kind.
    """
    if sys.platform == "linux":
        from .linux.path_watch import PathWatch

        return PathWatch(paths, on_change)
    return None


def parent_pid() -> int:
    """Return the pid of the process that started this one; 0 if that process has ended.

    Raises:
        OSError: the system does not tell.
    """
    if sys.platform == "win32":
        # os.getppid() does not check whether the number was given to another process. Under Wine it crashes.
        from .windows.processes import parent

        return parent.starter()
    return os.getppid()


def raise_descriptor_limit() -> tuple[int, int] | None:
    """Raise this process's limit of open files; return the former soft and hard limit, for `open_platform`.

    Returns None on Windows, which has no such limit.
    """
    if sys.platform != "win32":
        from .posix import processes

        return processes.raise_descriptor_limit()
    return None
