"""Reading of small files that other programs have written, without hanging on what may lie in their place. Blocking."""

import os
import stat
from pathlib import Path


class UnusableFileError(Exception):
    """The path is not a regular file, or the file is too long. The text is for people, and follows the file's name."""


def read_regular(path: Path, limit: int, *, follow_links: bool) -> tuple[bytes, os.stat_result]:
    """Return the content of a regular file, and its status at the time of reading.

    Raises:
        OSError: the file does not exist, or cannot be read; or it is a link and `follow_links` is False.
        UnusableFileError: the path is not a regular file, or the file is longer than `limit` bytes.
    """
    # O_NONBLOCK, because a FIFO in the file's place must not hang the reader. O_BINARY, because Windows translates line
    # ends without it.
    names = ("O_NONBLOCK", "O_BINARY", "O_CLOEXEC", *(() if follow_links else ("O_NOFOLLOW",)))
    handle = os.open(path, os.O_RDONLY | sum(getattr(os, name, 0) for name in names))
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise UnusableFileError("is not a regular file")
        with open(handle, "rb", closefd=False) as file:
            data = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(data) > limit:
        raise UnusableFileError(f"is longer than {limit} bytes")
    return data, status
