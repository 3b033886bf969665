"""Whether anybody else could have written what we are about to believe. Cheap to import: queries pay for it."""

import contextlib
import errno
import os
import socket
import stat
import struct
from typing import TYPE_CHECKING

from . import private_files
from .facts import SYSTEM

if TYPE_CHECKING:
    from pathlib import Path

ROOT = 0

# unix(7): struct ucred is pid, uid, gid.
UCRED = struct.Struct("iII")

# <sys/un.h>: SOL_LOCAL, LOCAL_PEERCRED; <sys/ucred.h>: struct xucred is version, uid, a count and 16 groups.
SOL_LOCAL, LOCAL_PEERCRED = 0, 1
XUCRED, XUCRED_SIZE, XUCRED_VERSION = struct.Struct("II"), 76, 0


class DistrustedError(Exception):
    """Somebody else could have written it, or made it what it is. The text is for people.

    `fix` is the command that mends it; None: there is none. `foreign`: it is another user's.
    """

    def __init__(self, problem: str, fix: str | None = None, *, foreign: bool = False) -> None:
        super().__init__(problem)
        self.fix = fix
        self.foreign = foreign


def contents(path: "Path | str", limit: int) -> bytes:
    """The whole of a file that only we, or root, could have written.

    A link in its place is not followed, and nothing that lies there makes us wait.

    Raises:
        DistrustedError: it is no such file, or longer than `limit` bytes.
        OSError: it cannot be read.
    """
    # A FIFO hangs whoever opens it without O_NONBLOCK; Windows translates line ends without O_BINARY.
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
        _refuse_foreign(path, info)
        with open(handle, "rb", closefd=False) as file:
            found = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(found) > limit:
        raise DistrustedError(f"{path} is longer than {limit} bytes", f"rm '{path}'")
    return found


def make_folder(path: "Path") -> None:
    """Make a folder that is ours alone, or see that the one that is there is ours.

    Raises:
        DistrustedError, OSError: it is not.
    """
    if SYSTEM == "windows":
        private_files.make_folder(path)
    elif not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(0o700)
    own_folder(path)


def own_folder(path: "Path | str") -> None:
    """See that a folder is ours, or root's, and that nobody else may write into it. A link to it has to be ours too.

    Raises:
        DistrustedError: it is not.
        OSError: it is not there, or hidden.
    """
    link = os.lstat(path)
    if stat.S_ISLNK(link.st_mode):
        _refuse_other_owner(path, link, "is a link that")
    info = os.stat(path)  # noqa: PTH116 (queries load no pathlib)
    if not stat.S_ISDIR(info.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    if SYSTEM != "windows":
        _refuse_foreign(path, info, into=" into")
        return
    from pathlib import Path

    trouble = private_files.distrust(Path(path))
    if trouble is not None:
        reason, fix = trouble
        raise DistrustedError(f"{path}: {reason}", fix)


def problem_of(folder: "Path | str") -> DistrustedError | None:
    """What `own_folder` would raise; None: nothing is wrong with it, or it is not there."""
    try:
        own_folder(folder)
    except DistrustedError as problem:
        return problem
    except OSError:
        return None
    return None


def same_user(connection: socket.socket) -> bool:
    """Whether what is at the other end of a unix socket is of this user. Where no system tells, it is not."""
    return bool(peer_uid(connection, SYSTEM) == os.getuid())  # type: ignore[attr-defined, unused-ignore]


def peer_uid(connection: socket.socket, system: str) -> int | None:
    """The user at the other end of a unix socket, as the kernel kept it when they connected; None: it does not tell."""
    try:
        if system == "macos":
            version, uid = XUCRED.unpack_from(connection.getsockopt(SOL_LOCAL, LOCAL_PEERCRED, XUCRED_SIZE))
            return int(uid) if version == XUCRED_VERSION else None
        option = getattr(socket, "SO_PEERCRED", None)
        if option is None:
            return None
        _, uid, _ = UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, option, UCRED.size))
        return int(uid)
    except (OSError, struct.error):
        return None


def _refuse_foreign(path: "Path | str", info: os.stat_result, into: str = "") -> None:
    _refuse_other_owner(path, info, "")
    # Windows keeps others out by access lists; modes mean nothing there.
    if SYSTEM != "windows" and info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DistrustedError(f"others may write{into} {path}", f"chmod go-w {path}")


def _refuse_other_owner(path: "Path | str", info: os.stat_result, what: str) -> None:
    if SYSTEM != "windows" and info.st_uid not in (ROOT, os.geteuid()):  # type: ignore[attr-defined, unused-ignore]
        words = " ".join(word for word in (str(path), what, f"belongs to another user (uid {info.st_uid})") if word)
        raise DistrustedError(words, _fix_of_other_owner(info.st_uid), foreign=True)


def _fix_of_other_owner(owner: int) -> str | None:
    """What helps root, who has come with a user's HOME: `sudo` keeps it on some systems."""
    if SYSTEM == "windows" or os.geteuid() != ROOT:  # type: ignore[attr-defined, unused-ignore]
        return None
    import pwd

    try:
        name = pwd.getpwuid(owner).pw_name  # type: ignore[attr-defined, unused-ignore]
    except KeyError:
        return None
    return f"run it as {name}, without sudo"
