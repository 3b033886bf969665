"""Files and folders of the user alone: by mode, on Windows by access list. Cheap to import.

And the patience that Windows wants of all who read and replace a file.
"""

import contextlib
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")

OWNER_ONLY = 0o700

PAUSES_S = (*[0.01] * 10, *[0.02] * 10, *[0.05] * 5)
"""Over half a second in all, which is more than virus scanners and readers take."""

_ROOT = 0
_IN_USE = (5, 32, 33)
"""ERROR_ACCESS_DENIED, _SHARING_VIOLATION, _LOCK_VIOLATION: what Windows says of a file that somebody has open."""


def create(path: "Path", *, fresh: bool) -> int:
    """A descriptor to write a file that only the user may open. `fresh`: there must be none yet.

    Raises:
        OSError: the system refused.
    """
    if sys.platform == "win32":
        from .windows import files

        return patiently(lambda: files.create(path, fresh=fresh))
    # A link in its place would have us write elsewhere.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | (os.O_EXCL if fresh else 0)
    return os.open(path, flags, 0o600)


def write(path: "Path", data: bytes) -> None:
    """Make this all that is in a file, which only the user may open.

    Raises:
        OSError: it is not; what is in it now is anybody's guess.
    """
    descriptor = create(path, fresh=False)
    if _shared(descriptor):
        os.close(descriptor)
        os.unlink(path)  # noqa: PTH108 (also where no Path has been loaded)
        descriptor = create(path, fresh=True)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        # Written over and cut off: a file that is emptied first gives back its memory, and is three times as slow.
        if os.fstat(descriptor).st_size > len(data):
            os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def _shared(descriptor: int) -> bool:
    """Whether others may open this file, or it has another name: it is not to be written over then."""
    if sys.platform == "win32":
        return False
    status = os.fstat(descriptor)
    foreign = status.st_uid != os.geteuid() or bool(status.st_mode & 0o077)
    return stat.S_ISREG(status.st_mode) and (foreign or status.st_nlink > 1)


def make_folder(path: "Path") -> None:
    """A folder that only the user may open. One that is there is left as it is.

    Raises:
        OSError: it cannot be made.
    """
    if path.is_dir():
        return
    if sys.platform == "win32":
        from .windows import files

        files.make_folder(path)
        return
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(OWNER_ONLY)


def distrust(
    path: "Path", status: os.stat_result | None = None, *, written_by_hand: bool = False
) -> tuple[str, str] | None:
    """Why somebody else could have written this file or folder, and what mends that; None: nobody could.

    `status` is what is known of it, where that is to count, and not what lies there by now. `written_by_hand`: a group
    may write it that nobody else is in, as editors leave it where every user has a group (Debian, Fedora: umask 002).

    Raises:
        OSError: the system does not tell.
    """
    if sys.platform == "win32":
        from .windows import files

        return files.distrust(path)
    status = status or path.stat()
    me = os.geteuid()
    if status.st_uid not in {_ROOT, me}:
        return f"it belongs to another user (uid {status.st_uid})", f"sudo chown {me} '{path}'"
    by_group = status.st_mode & stat.S_IWGRP and not (written_by_hand and nobody_else_by_group(path, status.st_gid))
    if by_group or status.st_mode & stat.S_IWOTH:
        return "other users may write it", f"chmod go-w '{path}'"
    return None


def exposed(path: "Path", status: os.stat_result) -> str | None:
    """Return why this file of secrets may have been written or read by another user; None if it is private.

    Raises:
        OSError: the system does not tell.
    """
    if sys.platform == "win32":
        # Access lists in a user's own folders let administrators read as well, so only the right to write counts.
        from .windows import files

        trouble = files.distrust(path)
        return trouble[0] if trouble is not None else None
    if status.st_uid != os.geteuid():
        return f"it belongs to another user (uid {status.st_uid})"
    if status.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return "other users may read or write it"
    return None


def nobody_else_by_group(path: "Path", group: int) -> bool:
    """Whether what its group may do to a file, this user alone may: as OpenSSH on Debian asks it."""
    if sys.platform == "win32":
        return False
    import grp
    import pwd

    try:
        if sys.platform == "linux" and "system.posix_acl_access" in os.listxattr(path):
            # The bits of the group stand for whoever is in the list then: acl(5).
            return False
        members = set(grp.getgrgid(group).gr_mem)
        me = pwd.getpwuid(os.geteuid()).pw_name
    except (KeyError, OSError):
        return False
    return members | {user.pw_name for user in pwd.getpwall() if user.pw_gid == group} == {me}


def replace(new: "Path", old: "Path") -> None:
    """Put the first file in the place of the second, atomically.

    Raises:
        OSError: the second one stands.
    """
    patiently(lambda: os.replace(new, old))  # noqa: PTH105 (also where no Path has been loaded)


def in_use(problem: OSError) -> bool:
    """Whether Windows refuses because somebody has the file open, or may: only Python's `winerror` tells."""
    return getattr(problem, "winerror", None) in _IN_USE


def patiently(action: Callable[[], T]) -> T:
    """What the action returns. On Windows a file that somebody has open for a moment refuses to be read or replaced.

    Raises:
        OSError: what the action raised, after its last try.
    """
    for pause_s in PAUSES_S:
        try:
            return action()
        except PermissionError as problem:
            # `open` goes through the C runtime, which makes EACCES of them all.
            if sys.platform != "win32" or (problem.winerror or _IN_USE[0]) not in _IN_USE:
                raise
            time.sleep(pause_s)
    return action()


@contextlib.contextmanager
def locked(path: "Path") -> Iterator[None]:
    """Hold the advisory lock of a file that others take turns by, while inside. The file stays: they have it open.

    It is the lock of the whole file (flock), on Windows of its first byte.

    Raises:
        OSError: it cannot be opened, or another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        # Closing gives the lock back, on every system.
        os.close(descriptor)
