"""The daemon's presence as a listening unix socket: in Linux's abstract namespace, else in a folder of the system."""

import contextlib
import errno
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from .. import trust
from ..presence_api import ANSWER_LIMIT, HeldError
from ..shared.lock_file import LockFile

if TYPE_CHECKING:
    import asyncio

assert sys.platform != "win32"  # noqa: S101 (tells type checkers whose file this is)

BACKLOG = 64
AT_ONCE = 16
"""The largest number of questions that are answered in one loop iteration."""

EXHAUSTED_PAUSE_S = 1.0
"""The pause before the next answer after the process ran out of descriptors."""

DARWIN_USER_DIR = 65536
"""<unistd.h> of macOS: `_CS_DARWIN_USER_DIR`, the user's own folder.

No variable moves it, and no cleaner empties it.
"""


def take(home_id: str) -> "SocketPresence":
    """See `presence.take`."""
    if sys.platform == "linux":
        return SocketPresence(_bound(_abstract(home_id)))
    return take_in_folder(_system_folder(), home_id)


def ask(home_id: str, timeout_s: float) -> bytes | None:
    """See `presence.ask`."""
    if sys.platform == "linux":
        return ask_at(_abstract(home_id), timeout_s)
    with contextlib.suppress(OSError):
        return ask_at(os.fspath(_socket_in(_system_folder(), home_id)), timeout_s)
    return None


def take_in_folder(folder: Path, home_id: str) -> "SocketPresence":
    """Take the name by a lock in this folder, and a socket beside the lock.

    Raises:
        HeldError, OSError: see `presence.take`.
    """
    try:
        trust.make_folder(folder)
    except trust.DistrustedError as problem:
        raise OSError(errno.EACCES, str(problem)) from problem
    lock = LockFile(folder / f"{home_id}.lock")
    if not lock.take():
        raise HeldError
    path = _socket_in(folder, home_id)
    try:
        # A dead daemon left the file: its lock is ours.
        path.unlink(missing_ok=True)
        return SocketPresence(_bound(os.fspath(path)), lock, path)
    except BaseException:
        lock.release()
        raise


class SocketPresence:
    """A listening socket. `lock` and `path`: where the name is a file, the lock beside it and the file itself."""

    def __init__(self, listening: socket.socket, lock: LockFile | None = None, path: Path | None = None) -> None:
        self._socket = listening
        self._lock = lock
        self._path = path
        self._loop: asyncio.AbstractEventLoop | None = None
        self._answer: Callable[[], bytes] = bytes

    def listen(self, answer: Callable[[], bytes]) -> None:
        """See `Presence`."""
        import asyncio  # Clients load this module too, and have no loop.

        self._answer = answer
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._serve)

    def close(self) -> None:
        """See `Presence`."""
        if self._loop is not None:
            loop, self._loop = self._loop, None
            if not loop.is_closed():
                loop.remove_reader(self._socket)
        if self._path is not None and self._socket.fileno() != -1:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
        self._socket.close()
        if self._lock is not None:
            self._lock.release()

    def _serve(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                self._pause(problem)
                return
            with connection:
                connection.setblocking(False)
                # A client that has left gets no answer. Any user may connect, but only this user is answered.
                with contextlib.suppress(OSError):
                    if trust.same_user(connection):
                        connection.sendall(self._answer())

    def _pause(self, problem: OSError) -> None:
        """Pause the reader: without descriptors, the same connection would wake the loop again and again."""
        if problem.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM) or self._loop is None:
            return
        self._loop.remove_reader(self._socket)
        self._loop.call_later(EXHAUSTED_PAUSE_S, self._resume)

    def _resume(self) -> None:
        if self._loop is not None:
            self._loop.add_reader(self._socket, self._serve)


def ask_at(address: str, timeout_s: float) -> bytes | None:
    """Return the answer of the daemon that listens at a unix address; see `presence.ask`."""
    deadline = time.monotonic() + timeout_s
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(address)
        except TimeoutError:
            return b""
        except OSError:
            return None
        if not trust.same_user(connection):
            return None
        answer = b""
        with contextlib.suppress(OSError):
            while len(answer) < ANSWER_LIMIT and (left := deadline - time.monotonic()) > 0:
                connection.settimeout(left)
                piece = connection.recv(ANSWER_LIMIT)
                if not piece:
                    return answer
                answer += piece
        return b""


def _abstract(home_id: str) -> str:
    """Return an abstract name: it begins with NUL, lies in no file system, and goes with its last socket (unix(7))."""
    return f"\0godot-supervisor/{os.geteuid()}/{home_id}"


def _socket_in(folder: Path, home_id: str) -> Path:
    return folder / f"{home_id}.socket"


def _system_folder() -> Path:
    if sys.platform == "darwin":
        return Path(os.confstr(DARWIN_USER_DIR) or "") / "godot-supervisor"
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


def _bound(address: str) -> socket.socket:
    """Return a socket that alone listens at this address.

    Raises:
        HeldError: another process of this user listens there.
        OSError: the system refuses, or another user's process listens there.
    """
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(address)
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError as problem:
        bound.close()
        if problem.errno == errno.EADDRINUSE and not _is_foreign(address):
            raise HeldError from problem
        raise
    return bound


def _is_foreign(address: str) -> bool:
    """Return whether another user's process listens at this address.

    Returns False if the connection fails: then a daemon of this user is just starting, and does not listen yet.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        try:
            connection.connect(address)
        except OSError:
            return False
        return not trust.same_user(connection)
