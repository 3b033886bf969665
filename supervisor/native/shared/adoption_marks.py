"""Marks that the daemons of one user leave for each other: which home looks after a process that others started."""

import contextlib
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...core.model import Liveness, ProcessIdentity

FOLDER = "godot-supervisor-adopted"

SINCE = ".since"
"""The name of the file whose time is that of the folder's creation: marks that are older may have been removed."""

REMOVED = ".removed"
"""The name of the file whose time is that of the last removal by a daemon. A folder that has changed after this and
after its newest mark was emptied by another program."""

TOGETHER_S = 0.5
"""How far apart the times of a folder and of the file that was made in it may be."""

REMADE_WITHIN_S = 60.0
"""After a loss, how long the daemons have to make their marks again: three times the pause between two looks."""


class FileMarks:
    """An empty file for each process and home, in folders that every daemon of this user finds, whatever its HOME.

    A mark outlives its daemon: an adoption holds while none runs. A mark of a process that has ended says nothing, and
    is removed when another one is made, by a daemon of the same pid namespace: another one sees no such process.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        sample: Callable[[ProcessIdentity], Liveness],
        started_at: Callable[[ProcessIdentity], float | None],
        namespace: Callable[[], str | None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """`namespace` returns the name of the pid namespace, without "@"; None where the system does not tell."""
        self._folders = folders
        self._sample = sample
        self._started_at = started_at
        self._namespace = namespace
        self._now = now
        self._problem: str | None = None

    def note(self) -> str | None:
        """Return what keeps marks from being read, and so servers from being reaped; None if nothing does."""
        return self._problem

    def prepare(self) -> None:
        """Make the folders, so that marks of processes that start from now on are known to be complete."""
        with contextlib.suppress(OSError):
            self._usable()

    def put(self, process: ProcessIdentity, home: str) -> None:
        """Mark that a home looks after a process.

        Raises:
            OSError: no other daemon would see the mark.
        """
        ours = self._namespace_now()
        for folder in self._usable():
            mark = folder / _name(process, home, ours)
            if not mark.exists():
                mark.touch(mode=0o600)
                self._clean(folder, ours)

    def drop(self, process: ProcessIdentity, home: str) -> None:
        """Remove the mark of a home that no longer needs a process.

        Raises:
            OSError: the mark cannot be removed.
        """
        for folder in self._usable():
            for path, other, by, _ in list(_marks(folder)):
                if (other, by) == (process, home):
                    path.unlink(missing_ok=True)
                    _refresh(folder / REMOVED)

    def homes(self, process: ProcessIdentity) -> frozenset[str]:
        """Return the homes that look after a process.

        Raises:
            OSError: the homes are not known. Marks may have been lost a moment ago; their daemons make them again.
        """
        folders = self._usable()
        marks = [mark for folder in folders for mark in _marks(folder)]
        found = frozenset(home for _, other, home, _ in marks if other == process)
        lost = min(_lost_at(folder) for folder in folders)
        started = self._started_at(process)
        if not found and (started is None or started < lost) and self._now() < lost + REMADE_WITHIN_S:
            raise BlockingIOError(f"marks in {folders[0].parent} may have been removed; daemons make them again soon")
        return found

    def _clean(self, folder: Path, ours: str | None) -> None:
        """Remove the marks of ended processes of this pid namespace."""
        for path, other, _, namespace in list(_marks(folder)):
            if ours is not None and namespace == ours and self._sample(other) is Liveness.DEAD:
                with contextlib.suppress(OSError):
                    path.unlink()
                    _refresh(folder / REMOVED)

    def _namespace_now(self) -> str | None:
        try:
            return self._namespace()
        except OSError:
            return None

    def _usable(self) -> list[Path]:
        """Return the folders, made where there is none yet.

        Raises:
            OSError: there is no folder, or one that another user or program could fill.
        """
        try:
            found = [folder for folder in self._folders if folder.parent.is_dir()]
            for folder in found:
                with contextlib.suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
                if not _private(folder):
                    raise PermissionError(f"{folder} is no folder that this user alone may write")
                since = folder / SINCE
                if not since.exists() or since.stat().st_mtime > self._now():
                    _refresh(since)
            if not found:
                raise FileNotFoundError("there is no folder that all daemons of this user find")
        except OSError as error:
            self._problem = (
                f"servers that other programs started are not reaped: {error}; remove that, as root if need be"
            )
            raise
        self._problem = None
        return found


def _private(folder: Path) -> bool:
    if sys.platform == "win32":
        return folder.is_dir()
    facts = folder.lstat()
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o022


def _name(process: ProcessIdentity, home: str, namespace: str | None) -> str:
    return f"{process.pid}@{process.start_token.replace(':', '_')}@{home}@{namespace or ''}"


def _marks(folder: Path) -> Iterator[tuple[Path, ProcessIdentity, str, str]]:
    """Yield path, process, home and pid namespace of each mark; the namespace is empty where it is not known."""
    for path in folder.iterdir():
        pid, _, rest = path.name.partition("@")
        token, _, rest = rest.partition("@")
        home, _, namespace = rest.partition("@")
        if pid.isdecimal() and home:
            yield path, ProcessIdentity(int(pid), token.replace("_", ":")), home, namespace


def _refresh(file: Path) -> None:
    """Give a file the time of now. Made by `touch`, its time is that of the folder, too."""
    file.touch(mode=0o600)
    os.utime(file)


def _lost_at(folder: Path) -> float:
    """Return the wall time before which marks may have been removed by other programs than daemons."""
    changed = folder.stat().st_mtime
    times = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    since = folder.joinpath(SINCE).stat().st_mtime
    return changed if changed > max(times, default=0.0) + TOGETHER_S else since
