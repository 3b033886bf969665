"""Reports writes to files by inotify, which makes polling unnecessary. The standard library does not wrap it."""

import asyncio
import ctypes
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from ..api import Watch

assert sys.platform == "linux"  # noqa: S101 (tells type checkers whose file this is)

# <sys/inotify.h>
IN_MODIFY = 0x00000002
IN_UNMOUNT = 0x00002000
IN_Q_OVERFLOW = 0x00004000
IN_IGNORED = 0x00008000
IN_ONESHOT = 0x80000000
IN_NONBLOCK = os.O_NONBLOCK
IN_CLOEXEC = os.O_CLOEXEC
_EVENT = struct.Struct("iIII")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_init1.argtypes = (ctypes.c_int,)
_libc.inotify_init1.restype = ctypes.c_int
_libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_libc.inotify_add_watch.restype = ctypes.c_int
_libc.inotify_rm_watch.argtypes = (ctypes.c_int, ctypes.c_int)
_libc.inotify_rm_watch.restype = ctypes.c_int


class _InotifyWatch:
    def __init__(self, watcher: "InotifyWatcher", number: int, on_write: Callable[[], None]) -> None:
        self._watcher = watcher
        self._number = number
        self.on_write = on_write

    def close(self) -> None:
        self._watcher.forget(self._number, self)


class InotifyWatcher:
    """Uses one inotify descriptor for all files; the first watch opens it."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._watches: dict[int, list[_InotifyWatch]] = {}

    def watch(self, path: Path, on_write: Callable[[], None]) -> Watch:
        """See `FileWatcher`."""
        descriptor = self._open()
        # The same file gets the same number again (inotify(7)), so all watches of a file share it.
        number = _checked(_libc.inotify_add_watch(descriptor, os.fsencode(path), IN_MODIFY | IN_ONESHOT), path)
        armed = _InotifyWatch(self, number, on_write)
        self._watches.setdefault(number, []).append(armed)
        return armed

    def forget(self, number: int, watch: _InotifyWatch) -> None:
        """Disarm a watch. Harmless after its event."""
        sharing = self._watches.get(number, [])
        if watch in sharing:
            sharing.remove(watch)
            if not sharing and self._descriptor is not None:
                del self._watches[number]
                _libc.inotify_rm_watch(self._descriptor, number)

    def note(self) -> str | None:
        """See `FileWatcher`."""
        return None

    def _open(self) -> int:
        if self._descriptor is None:
            descriptor = _checked(_libc.inotify_init1(IN_NONBLOCK | IN_CLOEXEC), None)
            try:
                asyncio.get_running_loop().add_reader(descriptor, self._read, descriptor)
            except OSError:
                # If the descriptor were kept, it would accept watches and report nothing.
                os.close(descriptor)
                raise
            self._descriptor = descriptor
        return self._descriptor

    def _read(self, descriptor: int) -> None:
        data = os.read(descriptor, 64 * 1024)
        offset = 0
        while offset < len(data):
            number, mask, _, name_length = _EVENT.unpack_from(data, offset)
            offset += _EVENT.size + name_length
            for watch in self._take_fired(number, mask):
                watch.on_write()

    def _take_fired(self, number: int, mask: int) -> list[_InotifyWatch]:
        """Disarm and return the watches that an event is for: all watches if the system has lost events."""
        if mask & IN_Q_OVERFLOW:
            armed = [watch for sharing in self._watches.values() for watch in sharing]
            for watch in armed:
                watch.close()
            return armed
        return self._watches.pop(number, []) if mask & (IN_MODIFY | IN_UNMOUNT | IN_IGNORED) else []


def _checked(result: int, path: Path | None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), None if path is None else str(path))
    return result
