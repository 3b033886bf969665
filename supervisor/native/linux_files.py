"""Replacing a file on Linux, without what a rename over another file costs."""

import ctypes
import errno
import os
import sys
from pathlib import Path

assert sys.platform == "linux"  # noqa: S101 (tells type checkers whose file this is)

# <linux/fs.h>, <fcntl.h>
RENAME_EXCHANGE = 1 << 1
AT_FDCWD = -100

NOT_THERE = (errno.ENOENT, errno.EINVAL, errno.ENOSYS)
"""Nothing to change places with, or a file system or kernel that cannot: renameat2(2)."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_libc.renameat2.restype = ctypes.c_int


def exchange(new: Path, old: Path) -> None:
    """Put one file in the place of another, atomically; the other takes its place, where there is one.

    A rename over it makes ext4 write the data out first (`auto_da_alloc`), which can take milliseconds on a busy disk.
    Whoever writes again and again has two files that take turns, and the kernel makes and frees none.

    Raises:
        OSError: the old one stands.
    """
    if _libc.renameat2(AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(old), RENAME_EXCHANGE) == 0:
        return
    number = ctypes.get_errno()
    if number not in NOT_THERE:
        raise OSError(number, os.strerror(number), str(old))
    new.replace(old)
