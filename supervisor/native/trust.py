"""Checks whether another user could have written a file or folder, before it is believed. Cheap to import."""

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from . import private_files
from .facts import SYSTEM

if TYPE_CHECKING:
    import socket
    from pathlib import Path

ROOT = 0

# unix(7): struct ucred is pid, uid, gid.
UCRED = "iII"

# <sys/un.h>: SOL_LOCAL, LOCAL_PEERCRED; <sys/ucred.h>: struct xucred is version, uid, a count and 16 groups.
SOL_LOCAL, LOCAL_PEERCRED = 0, 1
XUCRED, XUCRED_SIZE, XUCRED_VERSION = "II", 76, 0


class DistrustedError(Exception):
    """Another user could have written the file or folder, or put it there. The text is for people.

    `fix` is the command that mends this; None if no command does. `foreign`: the owner is another user.
    """

    def __init__(self, problem: str, fix: str | None = None, *, foreign: bool = False) -> None:
        super().__init__(problem)
        self.fix = fix
        self.foreign = foreign


def contents(path: "Path | str", limit: int) -> bytes:
    """Return the content of a file that only this user or root could have written. A link is refused.

    Raises:
        DistrustedError: the file could have been written by others, is no file, or is longer than `limit` bytes.
        OSError: the file cannot be read.
    """
    # Without O_NONBLOCK, opening a FIFO would wait for a writer. Without O_BINARY, Windows translates line ends.
    flags = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"))
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise DistrustedError(f"{path} is a link", f"rm '{path}'") from error
        raise
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise DistrustedError(f"{path} is no regular file", f"rm -r '{path}'")
        _check_writers(path, info)
        with open(handle, "rb", closefd=False) as file:
            found = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(found) > limit:
        raise DistrustedError(f"{path} is longer than {limit} bytes", f"rm '{path}'")
    return found


def make_folder(path: "Path") -> None:
    """Make a folder for this user alone, or check that the existing one is.

    Raises:
        DistrustedError: another user owns the folder or may write to it.
        OSError: the folder cannot be made.
    """
    if SYSTEM == "windows":
        private_files.make_folder(path)
    elif not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(0o700)
    check_folder(path)


def check_folder(path: "Path | str") -> None:
    """Check that this user or root owns a folder, and a link to it, and that no other user may write to the folder.

    Raises:
        DistrustedError: another user owns it or may write to it.
        OSError: the folder is missing or hidden.
    """
    link = os.lstat(path)
    if stat.S_ISLNK(link.st_mode):
        _check_owner(path, link, what="is a link that belongs")
    info = os.stat(path)  # noqa: PTH116 (queries load no pathlib)
    if not stat.S_ISDIR(info.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if SYSTEM != "windows":
        _check_writers(path, info, verb="write into")
        return
    from pathlib import Path

    distrust = private_files.why_distrusted(Path(path))
    if distrust is not None:
        raise DistrustedError(f"{path}: {distrust.reason}", distrust.fix)


def problem_of_folder(folder: "Path | str") -> DistrustedError | None:
    """Return the DistrustedError that `check_folder` would raise; None if it would raise none."""
    try:
        check_folder(folder)
    except DistrustedError as problem:
        return problem
    except OSError:
        return None
    return None


def same_user(connection: "socket.socket") -> bool:
    """Return whether the peer of a unix socket runs as this user; False where the system does not tell."""
    return bool(peer_uid(connection, SYSTEM) == os.getuid())  # type: ignore[attr-defined, unused-ignore]


def peer_uid(connection: "socket.socket", system: str) -> int | None:
    """Return the uid that the peer of a unix socket had when it connected; None if the system does not tell."""
    import socket
    import struct

    try:
        if system == "macos":
            version, uid = struct.unpack_from(XUCRED, connection.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, XUCRED_SIZE))
            return int(uid) if version == XUCRED_VERSION else None
        option = getattr(socket, "SO_PEERCRED", None)
        if option is None:
            return None
        _, uid, _ = struct.unpack(UCRED, connection.getsockopt(socket.SOL_SOCKET, option, struct.calcsize(UCRED)))
        return int(uid)
    except (OSError, struct.error):
        return None


def _check_writers(path: "Path | str", info: os.stat_result, *, verb: str = "write") -> None:
    """Raise DistrustedError if another user owns this file or folder, or may write to it."""
    _check_owner(path, info)
    # On Windows modes mean nothing; access lists keep other users out.
    if SYSTEM != "windows" and info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DistrustedError(f"others may {verb} {path}", f"chmod go-w {path}")


def _check_owner(path: "Path | str", info: os.stat_result, *, what: str = "belongs") -> None:
    """Raise DistrustedError if neither this user nor root owns this file, folder or link."""
    if SYSTEM != "windows" and info.st_uid not in (ROOT, os.geteuid()):  # type: ignore[attr-defined, unused-ignore]
        problem = f"{path} {what} to another user (uid {info.st_uid})"
        raise DistrustedError(problem, _fix_of_other_owner(info.st_uid), foreign=True)


def _fix_of_other_owner(owner: int) -> str | None:
    """Return what root has to do if it runs with a user's HOME, which `sudo` keeps on some systems; None for others."""
    if SYSTEM == "windows" or os.geteuid() != ROOT:  # type: ignore[attr-defined, unused-ignore]
        return None
    import pwd

    try:
        name = pwd.getpwuid(owner).pw_name  # type: ignore[attr-defined, unused-ignore]
    except KeyError:
        return None
    return f"run it as {name}, without sudo"
