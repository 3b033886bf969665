"""At the start: the lock of the home is taken and held to the end, or the daemon that holds it is described."""

import contextlib
import os
import time
from pathlib import Path

from ..client import endpoint
from ..errors import DaemonNotRunning, DaemonUnreachable, NotOurs
from ..native import presence, private_files, trust
from ..native.facts import HAS_HANGUP_SIGNAL, Folders
from ..native.shared.lock_file import LockFile
from ..values import frozen

PID_FILE_LIMIT = 32
"""Bytes."""

POLL_S = 0.02
LOCK_TEST_S = 0.5
"""How long the lock may be held although no daemon runs: by a process that only tests the lock, or by a forked child of
a killed daemon before its exec."""

ASK_S = 1.0
"""Seconds for the running daemon to identify itself."""

STARTS_WITHIN_S = 20.0
"""Seconds for a daemon to start, before a process that started it gives up."""


class HomeLock:
    """The lock of a home. The system releases it when the process ends, in whatever way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = LockFile(path)

    def take(self, timeout_s: float = 0.0) -> bool:
        """Try for `timeout_s` to take the lock. Return False if another process holds it.

        Raises:
            NotOurs: the path is a link, whose target would be emptied.
            OSError: the lock file cannot be made.
        """
        until = time.monotonic() + timeout_s
        while True:
            if self._path.is_symlink():
                raise NotOurs(f"{self._path} is a link", hint=f"rm '{self._path}'")
            if self._lock.take():
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(POLL_S)

    def holds(self) -> bool:
        """Return whether the file at the path is the one that this process has locked. Cheap."""
        return self._lock.intact()

    def write_pid(self) -> None:
        """Write this process's pid for people, into a file of its own: Windows lets no process read a locked file."""
        with contextlib.suppress(OSError):
            private_files.write(_pid_file(self._path), f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Release the lock. The pid file is left if another process holds the lock at this path."""
        if self._lock.intact():
            with contextlib.suppress(OSError):
                _pid_file(self._path).unlink(missing_ok=True)
        self._lock.release()


@frozen
class LockHolder:
    """The process that holds the lock, as its pid file says. To be shown; no proof that would justify a signal.

    `since` is wall time in seconds. A field is None if it is unknown.
    """

    pid: int | None
    since: float | None

    def held_for_s(self, now: float) -> float:
        """Return for how many seconds the process has held the lock: infinity if that is unknown."""
        return float("inf") if self.since is None else now - self.since

    def unreachable(self, why: str) -> DaemonUnreachable:
        """Return the error for a client that can neither reach the daemon nor replace it."""
        who = "a daemon" if self.pid is None else f"a daemon (pid {self.pid})"
        name = "its process" if self.pid is None else f"pid {self.pid}"
        if HAS_HANGUP_SIGNAL and self.pid is not None:
            hint = f"to make it reachable again: kill -HUP {self.pid}"
        else:
            hint = f"end {name}, then: godot-supervisor start. Servers keep running"
        return DaemonUnreachable(f"{who} runs and cannot be reached: {why}", hint=hint, data={"pid": self.pid})


def lock_holder(path: Path) -> LockHolder | None:
    """Return the process that holds this lock, or None if it is free. A free lock is taken for a moment to test it.

    Raises:
        NotOurs: the path is a link.
        OSError: the lock file cannot be opened.
    """
    if not path.exists():
        return None
    lock = HomeLock(path)
    if lock.take():
        lock.release()
        return None
    return holder_by_pid_file(path)


def holder_by_pid_file(path: Path) -> LockHolder:
    """Return the process that the pid file beside this lock names."""
    try:
        pid = int(trust.contents(_pid_file(path), PID_FILE_LIMIT))
        return LockHolder(pid, min(_pid_file(path).stat().st_mtime, time.time()))
    except (OSError, ValueError, trust.DistrustedError):
        return LockHolder(None, None)


def describe_running(folders: Folders) -> str:
    """Describe the running daemon of this home in a few words. The question makes it restore its missing files.

    Raises:
        DaemonUnreachable: the daemon had enough time to publish its endpoint, but the endpoint cannot be used.
    """
    said = presence.ask(folders.home_id, ASK_S)
    if said is None and folders.path_id != folders.home_id:
        said = presence.ask(folders.path_id, ASK_S)
    reply = endpoint.decode_presence_reply(said) if said else None
    if reply is not None and reply.endpoint is not None:
        return f"pid {reply.pid}, version {reply.version}"
    holder, published = holder_by_pid_file(folders.lock), None
    problem = "its endpoint file is gone"
    try:
        published = endpoint.read(folders.endpoint)
    except DaemonNotRunning as error:
        problem = error.message
    if published is not None and holder.pid in (None, published.pid):
        return f"pid {published.pid}, version {published.version}"
    if reply is not None:
        holder, problem = LockHolder(reply.pid, holder.since), reply.problem or problem
    if holder.held_for_s(time.time()) < STARTS_WITHIN_S:
        return "starting up"
    raise holder.unreachable(
        problem if published is None else f"another daemon (pid {published.pid}) published in its place"
    )


def _pid_file(path: Path) -> Path:
    return path.with_suffix(".pid")
