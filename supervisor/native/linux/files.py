"""What Linux adds for files: exchanging two of them, and telling on which file systems inotify misses writes."""

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
"""The other file is missing, or the file system or kernel cannot exchange: renameat2(2)."""

# <linux/magic.h>, and headers of file systems outside the kernel. inotify(7) reports no writes from another machine,
# nor those that bypass the kernel's table of files.
MISSING_WRITES = {
    0x6969: "nfs",
    0x517B: "smb",
    0xFF534D42: "cifs",
    0xFE534D42: "smb2",
    0x65735546: "fuse",
    0x01021997: "9p",
    0x00C36400: "ceph",
    0x6B414653: "afs",
    0x5346414F: "openafs",
    0x73757245: "coda",
    0x564C: "ncp",
    0x7461636F: "ocfs2",
    0x01161970: "gfs2",
    0x47504653: "gpfs",
    0x0BD00BD0: "lustre",
    0x19830326: "beegfs",
    0x786F4256: "vboxsf",
    0xBACBACBC: "vmhgfs",
}
STATFS_SIZE = 256
"""Exceeds the size of `struct statfs` on every architecture. Its first word is the type."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.renameat2.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_libc.renameat2.restype = ctypes.c_int
_libc.statfs.argtypes = (ctypes.c_char_p, ctypes.c_char_p)
_libc.statfs.restype = ctypes.c_int


def exchange(new: Path, old: Path) -> None:
    """Put `new` in the place of `old`, atomically. If `old` exists, it lies in the place of `new` afterwards.

    A rename over a file makes ext4 write the data out first (`auto_da_alloc`), which can take milliseconds on a busy
    disk. With an exchange, a repeated writer alternates two files, and the kernel neither makes nor frees one.

    Raises:
        OSError: the system refused. Both files are unchanged.
    """
    if _libc.renameat2(AT_FDCWD, os.fsencode(new), AT_FDCWD, os.fsencode(old), RENAME_EXCHANGE) == 0:
        return
    number = ctypes.get_errno()
    if number not in NOT_THERE:
        raise OSError(number, os.strerror(number), str(old))
    new.replace(old)


def why_writes_are_missed(path: Path) -> str | None:
    """Return why inotify misses some writes to a file, for people; None if it misses none, or if that is not known."""
    buffer = ctypes.create_string_buffer(STATFS_SIZE)
    if _libc.statfs(os.fsencode(path), buffer) != 0:
        return None
    name = MISSING_WRITES.get(ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF)
    return f"{name} does not tell of every write" if name else None
