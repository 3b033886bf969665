"""One daemon for each home: a folder that is ours alone, and a lock that is held for life."""

from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import NotOurs
from ..native import trust
from ..native.facts import HOME_VARIABLE


def own_home(home: Path) -> None:
    """Make the home folder, or see that nobody else could have written into it.

    Raises:
        NotOurs: it belongs to another user, or others may write into it, or a link of another user's leads there.
        OSError: it cannot be made.
    """
    try:
        trust.make_folder(home)
    except trust.DistrustedError as problem:
        raise NotOurs(str(problem), hint=problem.fix or f"choose another folder: {HOME_VARIABLE}") from problem


class Instance:
    """The lock. The system releases it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = FileLock(path, blocking=False, mode=0o600)

    def take(self) -> bool:
        """Whether this process is the daemon of its home from now on.

        Raises:
            NotOurs: a link lies in its place: what it leads to would be emptied.
            OSError: the lock file cannot be made.
        """
        if self._path.is_symlink():
            raise NotOurs(f"{self._path} is a link", hint=f"rm '{self._path}'")
        try:
            self._lock.acquire()
        except Timeout:
            return False
        return True

    def release(self) -> None:
        """Let the next one in."""
        self._lock.release()
