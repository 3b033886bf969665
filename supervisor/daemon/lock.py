"""One daemon for each home: a folder that is ours alone, and a lock that is held for life."""

import contextlib
import os
import time
from pathlib import Path

from ..client import endpoint
from ..errors import DaemonNotRunning, DaemonUnreachable, NotOurs
from ..native import presence, private_files, trust
from ..native.facts import HAS_HANGUP_SIGNAL, HOME_VARIABLE, Folders
from ..native.presence_api import Presence
from ..native.shared.lock_file import LockFile
from ..native.startup import homes
from ..registry.store import homes_in
from ..values import frozen

NOTE_LIMIT = 32
POLL_S = 0.02
MOMENT_S = 0.5
"""For how long the lock may be held by no daemon: by who only looks, or by the child of one that was killed between its
fork and its exec."""

ASK_S = 1.0
"""How long the daemon that runs may take to say who it is."""

STARTS_WITHIN_S = 20.0
"""How long whoever starts a daemon waits for it."""


def own_home(where: Folders) -> None:
    """Make the home folder, or see that nobody else could have written into it.

    Raises:
        NotOurs: it belongs to another user, or others may write into it, or a link of another user's leads there.
        StateNotWritable: it lies in what is no folder.
        OSError: it cannot be made.
    """
    homes.refuse(where)
    try:
        trust.make_folder(where.home)
    except trust.DistrustedError as problem:
        raise NotOurs(str(problem), hint=problem.fix or f"choose another folder: {HOME_VARIABLE}") from problem


class HomeLock:
    """The lock. The system releases it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = LockFile(path)

    def take(self, patience_s: float = 0.0) -> bool:
        """Whether this process is the daemon of its home from now on. `patience_s`: for how long to try.

        Raises:
            NotOurs: a link lies in its place: what it leads to would be emptied.
            OSError: the lock file cannot be made.
        """
        until = time.monotonic() + patience_s
        while True:
            if self._path.is_symlink():
                raise NotOurs(f"{self._path} is a link", hint=f"rm '{self._path}'")
            if self._lock.take():
                return True
            if time.monotonic() >= until:
                return False
            time.sleep(POLL_S)

    def holds(self) -> bool:
        """Whether the file that this process has locked is the one at the path. Cheap."""
        return self._lock.intact()

    def sign(self) -> None:
        """Note who holds it, for people. Windows lets nobody read a locked file, so the note lies beside it."""
        with contextlib.suppress(OSError):
            private_files.write(_note(self._path), f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let the next one in. A note beside a lock that is another's by now is left."""
        if self._lock.intact():
            with contextlib.suppress(OSError):
                _note(self._path).unlink(missing_ok=True)
        self._lock.release()


class HomeFolder:
    """The real home: its folder, its lock, its registry, and what the system keeps outside of it."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._instance = HomeLock(folders.lock)

    def home_id(self) -> str:
        """See `Ground`."""
        return Folders(self._folders.home, moved=self._folders.moved).home_id

    def path_id(self) -> str:
        """See `Ground`."""
        return self._folders.path_id

    def make(self) -> None:
        """See `Ground`."""
        own_home(self._folders)

    def owners(self) -> tuple[str, ...]:
        """See `Ground`. A registry that cannot be read names nobody: the next write sets it aside for no one."""
        return homes_in(self._folders.registry)

    def holds_lock(self) -> bool:
        """See `Ground`."""
        return self._instance.holds()

    def take_lock(self) -> bool:
        """See `Ground`."""
        taken = self._instance.take()
        if taken:
            self._instance.sign()
        return taken

    def release_lock(self) -> None:
        """See `Ground`."""
        self._instance.release()

    def claim(self, home_id: str) -> Presence:
        """See `Ground`."""
        return presence.take(home_id)


@frozen
class Holder:
    """Whoever holds the lock, as far as it has noted: to be shown, never to be signalled on the strength of it.

    `since`: wall time, seconds. None for what is not known.
    """

    pid: int | None
    since: float | None

    def for_s(self, now: float) -> float:
        """For how long it has held it; for ever, if that is not known."""
        return float("inf") if self.since is None else now - self.since

    def unreachable(self, why: str) -> DaemonUnreachable:
        """What to tell somebody who can neither reach it nor take its place."""
        who = "a daemon" if self.pid is None else f"a daemon (pid {self.pid})"
        name = "its process" if self.pid is None else f"pid {self.pid}"
        if HAS_HANGUP_SIGNAL and self.pid is not None:
            hint = f"to make it reachable again: kill -HUP {self.pid}"
        else:
            hint = f"end {name}, then: godot-supervisor start. Servers keep running"
        return DaemonUnreachable(f"{who} runs and cannot be reached: {why}", hint=hint, data={"pid": self.pid})


def holder(path: Path) -> Holder | None:
    """Whoever holds this lock; None: nobody. To see that, it is taken for a moment.

    Raises:
        NotOurs: a link lies in its place.
        OSError: it cannot be opened.
    """
    if not path.exists():
        return None
    instance = HomeLock(path)
    if instance.take():
        instance.release()
        return None
    return noted(path)


def noted(path: Path) -> Holder:
    """What whoever holds this lock has noted."""
    try:
        pid = int(trust.contents(_note(path), NOTE_LIMIT))
        return Holder(pid, min(_note(path).stat().st_mtime, time.time()))
    except (OSError, ValueError, trust.DistrustedError):
        return Holder(None, None)


def who_runs(folders: Folders) -> str:
    """Whoever is the daemon of this home, in a few words. Asked, it makes again what has gone of its files.

    Raises:
        DaemonUnreachable: it has had time enough to publish where it is, and that cannot be used.
    """
    said = presence.ask(folders.home_id, ASK_S)
    if said is None and folders.path_id != folders.home_id:
        said = presence.ask(folders.path_id, ASK_S)
    present = endpoint.decode_present(said) if said else None
    if present is not None and present.endpoint is not None:
        return f"pid {present.pid}, version {present.version}"
    held, running = noted(folders.lock), None
    problem = "what it published has gone"
    try:
        running = endpoint.read(folders.endpoint)
    except DaemonNotRunning as error:
        problem = error.message
    if running is not None and held.pid in (None, running.pid):
        return f"pid {running.pid}, version {running.version}"
    if present is not None:
        held, problem = Holder(present.pid, held.since), present.problem or problem
    if held.for_s(time.time()) < STARTS_WITHIN_S:
        return "starting up"
    raise held.unreachable(problem if running is None else f"another daemon (pid {running.pid}) published in its place")


def _note(path: Path) -> Path:
    return path.with_suffix(".pid")
