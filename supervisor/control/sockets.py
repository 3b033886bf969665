"""The two sockets that the daemon listens on, and the folder of the unix socket."""

import os
import socket
import stat
from pathlib import Path

from ..errors import NotOurs
from ..native.facts import LOOPBACK

BACKLOG = 128
OWNER_ONLY = 0o700


def bind_tcp(port: int = 0) -> socket.socket:
    """Listen on the literal 127.0.0.1; port 0 lets the system choose.

    Raises:
        OSError: the port is taken.
    """
    # The protocol is given by its number, because asyncio switches Nagle's algorithm off only where it sees TCP. With
    # Nagle the second of two messages waits for the peer's delayed acknowledgement, 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # On Windows SO_REUSEADDR would let another program listen on the same port; elsewhere it only skips TIME_WAIT.
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def bind_unix(path: Path) -> socket.socket:
    """Listen at this path, in a folder that only this user can enter. Replace a socket file that a dead daemon left.

    Raises:
        NotOurs: the folder is a link or another user's, or the path leads to something that is no socket.
        OSError: the system refused.
    """
    _make_own_folder(path.parent)
    _remove_old_socket(path)
    bound = socket.socket(socket.AddressFamily["AF_UNIX"], socket.SOCK_STREAM)
    try:
        bound.bind(os.fspath(path))
        path.chmod(0o600)
        bound.listen(BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound


def check_unix(path: Path) -> None:
    """Return if `bind_unix` could listen there. Nothing is made or replaced.

    Raises:
        NotOurs: the path, or its folder, leads to something that is not ours.
    """
    if os.path.lexists(path.parent):
        _check_folder(path.parent)
        _has_socket(path)


def device_and_inode(path: Path) -> tuple[int, int] | None:
    """Return device and inode of the file at the path, or None. They tell our socket file from a later one."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


def _make_own_folder(folder: Path) -> None:
    folder.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
    if stat.S_IMODE(_check_folder(folder).st_mode) != OWNER_ONLY:
        folder.chmod(OWNER_ONLY)


def _check_folder(folder: Path) -> os.stat_result:
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise _not_ours(folder, "is a link, not a folder")
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        raise _not_ours(folder, "belongs to another user")
    return status


def _remove_old_socket(path: Path) -> None:
    if _has_socket(path):
        path.unlink()


def _has_socket(path: Path) -> bool:
    """Return whether a socket file lies there. False means that the path is free."""
    try:
        status = path.lstat()
    except FileNotFoundError:
        return False
    if not stat.S_ISSOCK(status.st_mode):
        raise _not_ours(path, "is not a socket")
    return True


def _not_ours(path: Path, problem: str) -> NotOurs:
    return NotOurs(f"{path} {problem}", hint="move it away, or set GODOT_SUPERVISOR_HOME", data={"path": str(path)})
