"""A lock that the system releases with its process, and that detects a replaced lock file."""

import errno
import os
import sys
from pathlib import Path

ATTEMPTS = 5
"""The number of times that the file may be replaced between opening and locking it."""


class LockFile:
    """A file that is locked until this process ends or calls `release`. Children do not inherit its descriptor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._place: tuple[int, int] | None = None

    def take(self) -> bool:
        """Lock the file at the path, made if missing, and give up a lock on an earlier file.

        Returns whether this process holds the lock of the file that now lies there.

        Raises:
            OSError: the file cannot be made or opened, or is a link.
        """
        if self.intact():
            return True
        for _ in range(ATTEMPTS):
            descriptor = _open(self._path)
            try:
                taken = _lock(descriptor)
                place = _place(os.fstat(descriptor))
            except BaseException:
                os.close(descriptor)
                raise
            if not taken:
                os.close(descriptor)
                return False
            if place == self._at_path():
                self.release()
                self._descriptor, self._place = descriptor, place
                return True
            # The file was replaced between opening and locking it, so this lock excludes no process.
            os.close(descriptor)
        return False

    def intact(self) -> bool:
        """Return whether this process holds the lock, and the locked file still lies at the path. Cheap: one stat."""
        return self._place is not None and self._place == self._at_path()

    def release(self) -> None:
        """Release the lock. Repeated calls are harmless."""
        if self._descriptor is not None:
            descriptor, self._descriptor, self._place = self._descriptor, None, None
            os.close(descriptor)

    def _at_path(self) -> tuple[int, int] | None:
        """Return device and inode of the file at the path; None if no file can be seen."""
        try:
            return _place(os.lstat(self._path))
        except OSError:
            return None


def _place(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _open(path: Path) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags, 0o600)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> bool:
        # The first byte need not exist. The system unlocks it when the descriptor is closed.
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as problem:
            # Windows reports EACCES; Wine reports no number at all.
            if problem.errno in (errno.EBADF, errno.EINVAL):
                raise
            return False
        return True

else:
    import fcntl

    def _lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
