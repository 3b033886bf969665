"""Locks on files, which the system releases with the process, and a lock file whose replacement is noticed."""

import errno
import os
import sys
from pathlib import Path

ATTEMPTS = 5
"""The number of times that the file may be replaced between opening and locking it."""


def lock(descriptor: int) -> None:
    """Take the advisory lock of an open file: of the whole file (flock), on Windows of its first byte.

    The first byte need not exist. The system releases the lock when the descriptor is closed.

    Raises:
        OSError: another process holds the lock (BlockingIOError, except on Windows), or the file cannot be locked.
    """
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class LockFile:
    """A file that is locked until this process ends or calls `release`. Children do not inherit its descriptor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._file_id: tuple[int, int] | None = None

    def take(self) -> bool:
        """Lock the file at the path, and make it if it is missing. A lock on an earlier file at the path is released.

        Returns False if another process holds the lock.

        Raises:
            OSError: the file cannot be made, opened or locked, or is a link.
        """
        if self.intact():
            return True
        for _ in range(ATTEMPTS):
            descriptor = _open(self._path)
            try:
                taken = _try_lock(descriptor)
                file_id = _file_id(os.fstat(descriptor))
            except BaseException:
                os.close(descriptor)
                raise
            if not taken:
                os.close(descriptor)
                return False
            if file_id == self._at_path():
                self.release()
                self._descriptor, self._file_id = descriptor, file_id
                return True
            # The file was replaced between opening and locking it, so this lock keeps no other process out.
            os.close(descriptor)
        return False

    def intact(self) -> bool:
        """Return whether this process holds the lock, and the locked file still lies at the path. Cheap: one stat."""
        return self._file_id is not None and self._file_id == self._at_path()

    def release(self) -> None:
        """Release the lock. Repeated calls are harmless."""
        if self._descriptor is not None:
            descriptor, self._descriptor, self._file_id = self._descriptor, None, None
            os.close(descriptor)

    def _at_path(self) -> tuple[int, int] | None:
        """Return device and inode of the file at the path; None if no file can be seen."""
        try:
            return _file_id(os.lstat(self._path))
        except OSError:
            return None


def _file_id(status: os.stat_result) -> tuple[int, int]:
    """Return device and inode, which tell a file from another one at the same path."""
    return status.st_dev, status.st_ino


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags, 0o600)


def _try_lock(descriptor: int) -> bool:
    """Lock an open file; return False if another process holds the lock."""
    try:
        lock(descriptor)
    except BlockingIOError:
        return False
    except OSError as problem:
        # Windows reports EACCES for a held lock; Wine reports no number at all.
        if sys.platform != "win32" or problem.errno in (errno.EBADF, errno.EINVAL):
            raise
        return False
    return True
