"""Files and folders that only the user may open: by mode, on Windows by access list. Cheap to import.

`retry_while_open` belongs here because Windows refuses to replace or delete a file that a program has open.
"""

import contextlib
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

FOLDER_MODE = 0o700

PAUSES_S = (*[0.01] * 10, *[0.02] * 10, *[0.05] * 5)
"""Seconds between attempts. Their sum exceeds half a second: virus scanners and readers keep a file open for less."""

_ROOT = 0
_IN_USE = (5, 32, 33)
"""Windows' errors for a file that another program has open: ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION and
ERROR_LOCK_VIOLATION."""


class Distrust(NamedTuple):
    """Why another user could have written a file or folder, for people, and the command that mends it."""

    reason: str
    fix: str


def create(path: "Path", *, fresh: bool) -> int:
    """Open for writing a file that only the user may open, and return its descriptor.

    The file is made if it is missing. `fresh`: an existing file is an error.

    Raises:
        OSError: the system refused.
    """
    if sys.platform == "win32":
        from .windows import files

        return retry_while_open(lambda: files.create(path, fresh=fresh))
    # Following a link would write to another file.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_EXCL if fresh else 0)
    return os.open(path, flags, 0o600)


def write(path: "Path", data: bytes) -> None:
    """Replace the content of a file that only the user may open.

    Raises:
        OSError: the content is not written, and the file may hold a part of it.
    """
    descriptor = create(path, fresh=False)
    if _is_shared(descriptor):
        os.close(descriptor)
        os.unlink(path)  # noqa: PTH108 (also where no Path has been loaded)
        descriptor = create(path, fresh=True)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        # The content is overwritten and then cut: emptying the file first frees its blocks, and takes three times as
        # long.
        if os.fstat(descriptor).st_size > len(data):
            os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def _is_shared(descriptor: int) -> bool:
    """Return whether other users may open this file, or it has a second name. It must then be replaced instead."""
    if sys.platform == "win32":
        return False
    status = os.fstat(descriptor)
    foreign = status.st_uid != os.geteuid() or bool(status.st_mode & 0o077)
    return stat.S_ISREG(status.st_mode) and (foreign or status.st_nlink > 1)


def make_folder(path: "Path") -> None:
    """Make a folder that only the user may open. An existing folder is left as it is.

    Raises:
        OSError: the folder cannot be made.
    """
    if path.is_dir():
        return
    if sys.platform == "win32":
        from .windows import files

        files.make_folder(path)
        return
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(FOLDER_MODE)


def why_distrusted(
    path: "Path", status: os.stat_result | None = None, *, written_by_hand: bool = False
) -> Distrust | None:
    """Return why another user could have written this file or folder; None if no other user could.

    `status` is judged if it is given, otherwise what lies at the path. `written_by_hand`: a group without other members
    may write, because editors leave such files where every user has a group (Debian, Fedora: umask 002).

    Raises:
        OSError: the system does not tell.
    """
    if sys.platform == "win32":
        from .windows import files

        found = files.why_distrusted(path)
        return None if found is None else Distrust(*found)
    status = status or path.stat()
    me = os.geteuid()
    if status.st_uid not in {_ROOT, me}:
        return Distrust(f"it belongs to another user (uid {status.st_uid})", f"sudo chown {me} '{path}'")
    by_group = status.st_mode & stat.S_IWGRP and not (written_by_hand and is_own_group(path, status.st_gid))
    if by_group or status.st_mode & stat.S_IWOTH:
        return Distrust("other users may write it", f"chmod go-w '{path}'")
    return None


def why_exposed(path: "Path", status: os.stat_result) -> str | None:
    """Return why this file of secrets may have been written or read by another user; None if it is private.

    Raises:
        OSError: the system does not tell.
    """
    if sys.platform == "win32":
        # Access lists in a user's own folders let administrators read as well, so only the right to write counts.
        distrust = why_distrusted(path)
        return None if distrust is None else distrust.reason
    if status.st_uid != os.geteuid():
        return f"it belongs to another user (uid {status.st_uid})"
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return "other users may read or write it"
    return None


def is_own_group(path: "Path", group: int) -> bool:
    """Return whether a group that may write a file has no member but this user. OpenSSH on Debian checks the same."""
    if sys.platform == "win32":
        return False
    import grp
    import pwd

    try:
        if sys.platform == "linux" and "system.posix_acl_access" in os.listxattr(path):
            # With an access list, the bits of the group are a mask for all entries of the list: acl(5).
            return False
        members = set(grp.getgrgid(group).gr_mem)
        me = pwd.getpwuid(os.geteuid()).pw_name
    except (KeyError, OSError):
        return False
    return members | {user.pw_name for user in pwd.getpwall() if user.pw_gid == group} == {me}


def replace(new: "Path", old: "Path") -> None:
    """Put the first file in the place of the second one, atomically.

    Raises:
        OSError: the system refused. The second file is unchanged.
    """
    retry_while_open(lambda: os.replace(new, old))  # noqa: PTH105 (also where no Path has been loaded)


def is_open_elsewhere(problem: OSError) -> bool:
    """Return whether this error of Windows may mean that another program has the file open. False on other systems."""
    return getattr(problem, "winerror", None) in _IN_USE


def retry_while_open(action: Callable[[], T]) -> T:
    """Return the result of `action`, which is repeated while Windows refuses because another program has the file open.

    Raises:
        OSError: the error of the last attempt.
    """
    for pause_s in PAUSES_S:
        try:
            return action()
        except PermissionError as problem:
            # `open` goes through the C runtime, which reports all of these errors as EACCES, without `winerror`.
            if sys.platform != "win32" or (problem.winerror or _IN_USE[0]) not in _IN_USE:
                raise
            time.sleep(pause_s)
    return action()


@contextlib.contextmanager
def locked(path: "Path") -> Iterator[None]:
    """Hold the advisory lock of a file while inside. The file stays afterwards, because other processes have it open.

    Raises:
        OSError: it cannot be opened, or another process holds it.
    """
    from .shared.lock_file import lock

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        lock(descriptor)
        yield
    finally:
        # Closing the descriptor releases the lock, on every system.
        os.close(descriptor)
