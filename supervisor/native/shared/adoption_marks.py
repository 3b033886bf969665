"""Marks that the daemons of one user leave for each other: which home looks after a process that others started."""

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ...core.model import Liveness, ProcessIdentity

FOLDER = "godot-supervisor-adopted"


class FileMarks:
    """An empty file for each process and home, in folders that every daemon of this user finds, whatever its HOME.

    A mark outlives its daemon: an adoption holds while none runs. One of a process that has ended says nothing, and is
    removed when another one is made.
    """

    def __init__(self, folders: Sequence[Path], sample: Callable[[ProcessIdentity], Liveness]) -> None:
        self._folders = folders
        self._sample = sample

    def put(self, process: ProcessIdentity, home: str) -> None:
        """A home looks after a process. Raises OSError where no other daemon would see it."""
        for folder in self._usable():
            folder.joinpath(_name(process, home)).touch(mode=0o600)
            for path, other, _ in _marks(folder):
                if self._sample(other) is Liveness.DEAD:
                    with contextlib.suppress(OSError):
                        path.unlink()

    def drop(self, process: ProcessIdentity, home: str) -> None:
        """A home no longer needs a process. Raises OSError where its mark cannot be removed."""
        for folder in self._usable():
            folder.joinpath(_name(process, home)).unlink(missing_ok=True)

    def homes(self, process: ProcessIdentity) -> frozenset[str]:
        """The homes that look after a process. Raises OSError where that cannot be told."""
        marks = [mark for folder in self._usable() for mark in _marks(folder)]
        return frozenset(home for _, other, home in marks if other == process)

    def _usable(self) -> list[Path]:
        """The folders, made where there is none yet. One that others could write into, or that is none, is refused."""
        found = [folder for folder in self._folders if folder.parent.is_dir()]
        for folder in found:
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            if not _private(folder):
                raise PermissionError(f"{folder} is no folder that this user alone may write")
        if not found:
            raise FileNotFoundError("there is no folder that all daemons of this user find")
        return found


def _private(folder: Path) -> bool:
    if sys.platform == "win32":
        return folder.is_dir()
    facts = folder.lstat()
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid() and not facts.st_mode & 0o022


def _name(process: ProcessIdentity, home: str) -> str:
    return f"{process.pid}@{process.start_token.replace(':', '_')}@{home}"


def _marks(folder: Path) -> Iterator[tuple[Path, ProcessIdentity, str]]:
    for path in folder.iterdir():
        pid, _, rest = path.name.partition("@")
        token, _, home = rest.partition("@")
        if pid.isdecimal() and home:
            yield path, ProcessIdentity(int(pid), token.replace("_", ":")), home
