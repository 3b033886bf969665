"""Reports by inotify when a file or folder is removed, replaced or moved."""

import asyncio
import contextlib
import ctypes
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

assert sys.platform == "linux"  # noqa: S101 (tells type checkers whose file this is)

# <sys/inotify.h>
IN_ATTRIB = 0x00000004
IN_DELETE_SELF = 0x00000400
IN_MOVE_SELF = 0x00000800
IN_DONT_FOLLOW = 0x02000000
FLAGS = os.O_NONBLOCK | os.O_CLOEXEC

FOLDER_EVENTS = IN_DELETE_SELF | IN_MOVE_SELF | IN_DONT_FOLLOW
FILE_EVENTS = FOLDER_EVENTS | IN_ATTRIB
"""While a process has a file open, removing its name does not delete it: only its link count changes, an attribute."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_init1.argtypes = (ctypes.c_int,)
_libc.inotify_init1.restype = ctypes.c_int
_libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_libc.inotify_add_watch.restype = ctypes.c_int


class PathWatch:
    """Calls back once, on the running loop, when one of these paths may have lost the file or folder that it names.

    The call is a hint: the caller checks the paths, and makes a new watch.
    """

    def __init__(self, paths: Iterable[Path], on_change: Callable[[], None]) -> None:
        """Arm the watch.

        Raises:
            OSError: the system has no more watches of this kind.
        """
        self._on_change = on_change
        self._descriptor = _libc.inotify_init1(FLAGS)
        if self._descriptor == -1:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._loop = asyncio.get_running_loop()
        for path in paths:
            mask = FOLDER_EVENTS if path.is_dir() and not path.is_symlink() else FILE_EVENTS
            # The result is not checked, because a missing path cannot be watched, and that is no error.
            _libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask)
        self._loop.add_reader(self._descriptor, self._fire)

    def close(self) -> None:
        """Disarm. Repeated calls are harmless."""
        if self._descriptor != -1:
            descriptor, self._descriptor = self._descriptor, -1
            self._loop.remove_reader(descriptor)
            os.close(descriptor)

    def _fire(self) -> None:
        with contextlib.suppress(OSError):
            os.read(self._descriptor, 64 * 1024)
        self.close()
        self._on_change()
