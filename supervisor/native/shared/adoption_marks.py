"""Adoption marks: files by which the daemons of one user tell each other which home looks after a process."""

import contextlib
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...core.model import Liveness, ProcessIdentity
from ...values import frozen

FOLDER = "godot-supervisor-adopted"

SINCE = ".since"
"""The name of the file whose time is that of the folder's creation. Marks that are older may have been lost."""

REMOVED = ".removed"
"""The name of the file whose time is that of the last removal by a daemon. If a folder has changed after that, and
after its newest mark was made, another program has removed something from the folder."""

TOGETHER_S = 0.5
"""The largest difference between the time of a new file and the time that its folder gets by it."""

REMADE_WITHIN_S = 60.0
"""The time after a loss in which all daemons make their marks again: three times the pause between two looks."""


@frozen
class _Mark:
    """One mark. `namespace`: the pid namespace of the daemon that made it; empty if it is not known."""

    path: Path
    process: ProcessIdentity
    home: str
    namespace: str


class FileMarks:
    """An empty file for each process and home, in folders that every daemon of this user finds, whatever its HOME.

    A mark outlives its daemon, because an adoption holds while no daemon runs. Marks of ended processes are removed
    when another mark is made, by a daemon of the same pid namespace: in another one the pid means another process.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        sample: Callable[[ProcessIdentity], Liveness],
        started_at: Callable[[ProcessIdentity], float | None],
        namespace: Callable[[], str | None],
        now: Callable[[], float] = time.time,
    ) -> None:
        """Call `namespace` for the name of this process's pid namespace, without "@", or None if it is not known."""
        self._folders = folders
        self._sample = sample
        self._started_at = started_at
        self._namespace = namespace
        self._now = now
        self._problem: str | None = None

    def note(self) -> str | None:
        """Return why marks cannot be used, so that adopted servers are not reaped; None if they can be."""
        return self._problem

    def prepare(self) -> None:
        """Make the folders, so that marks of processes that start from now on are known to be complete."""
        with contextlib.suppress(OSError):
            self._usable_folders()

    def put(self, process: ProcessIdentity, home: str) -> None:
        """Mark that a home looks after a process.

        Raises:
            OSError: no other daemon would see the mark.
        """
        ours = self._namespace_now()
        for folder in self._usable_folders():
            mark = folder / _file_name(process, home, ours)
            if not mark.exists():
                mark.touch(mode=0o600)
                self._remove_old(folder, ours)

    def drop(self, process: ProcessIdentity, home: str) -> None:
        """Remove the mark of a home that no longer needs a process.

        Raises:
            OSError: the mark cannot be removed.
        """
        for folder in self._usable_folders():
            for mark in list(_marks(folder)):
                if (mark.process, mark.home) == (process, home):
                    mark.path.unlink(missing_ok=True)
                    _refresh(folder / REMOVED)

    def homes(self, process: ProcessIdentity) -> frozenset[str]:
        """Return the homes that look after a process.

        Raises:
            OSError: the homes are not known. Marks may have been lost a moment ago; their daemons make them again.
        """
        folders = self._usable_folders()
        found = frozenset(mark.home for folder in folders for mark in _marks(folder) if mark.process == process)
        lost = min(_lost_at(folder) for folder in folders)
        started = self._started_at(process)
        if not found and (started is None or started < lost) and self._now() < lost + REMADE_WITHIN_S:
            raise BlockingIOError(f"marks in {folders[0].parent} may have been removed; daemons make them again soon")
        return found

    def _remove_old(self, folder: Path, ours: str | None) -> None:
        """Remove the marks of ended processes of this pid namespace."""
        for mark in list(_marks(folder)):
            if ours is not None and mark.namespace == ours and self._sample(mark.process) is Liveness.DEAD:
                with contextlib.suppress(OSError):
                    mark.path.unlink()
                    _refresh(folder / REMOVED)

    def _namespace_now(self) -> str | None:
        try:
            return self._namespace()
        except OSError:
            return None

    def _usable_folders(self) -> list[Path]:
        """Return the folders, made where there is none yet.

        Raises:
            OSError: there is no folder, or one that another user or program could fill.
        """
        try:
            found = [folder for folder in self._folders if folder.parent.is_dir()]
            for folder in found:
                with contextlib.suppress(FileExistsError):
                    folder.mkdir(mode=0o700)
                if not _is_private(folder):
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


def _is_private(folder: Path) -> bool:
    if sys.platform == "win32":
        return folder.is_dir()
    facts = folder.lstat()
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o022


def _file_name(process: ProcessIdentity, home: str, namespace: str | None) -> str:
    return f"{process.pid}@{process.start_token.replace(':', '_')}@{home}@{namespace or ''}"


def _marks(folder: Path) -> Iterator[_Mark]:
    """Yield the marks in a folder. Files with other names are skipped."""
    for path in folder.iterdir():
        pid, _, rest = path.name.partition("@")
        token, _, rest = rest.partition("@")
        home, _, namespace = rest.partition("@")
        if pid.isdecimal() and home:
            yield _Mark(path, ProcessIdentity(int(pid), token.replace("_", ":")), home, namespace)


def _refresh(file: Path) -> None:
    """Give a file the present time, and make it if it is missing. Its folder then gets the same time."""
    file.touch(mode=0o600)
    os.utime(file)


def _lost_at(folder: Path) -> float:
    """Return the time of the last possible loss, in seconds since 1970: marks that are older may be missing."""
    changed = folder.stat().st_mtime
    times = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            times.append(path.stat().st_mtime)
    since = folder.joinpath(SINCE).stat().st_mtime
    # Every change by a daemon leaves a file with its time (see `REMOVED`), so a later change was made by others.
    return changed if changed > max(times, default=0.0) + TOGETHER_S else since
