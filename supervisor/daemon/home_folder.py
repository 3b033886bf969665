"""At the start: the home's folder is made, which only its user can write. It has the lock, registry and presence."""

from ..errors import NotOurs
from ..native import presence, trust
from ..native.facts import HOME_VARIABLE, Folders
from ..native.presence_api import Presence
from ..native.startup import homes
from ..registry.store import read_homes
from .home_lock import HomeLock


def make_home(where: Folders) -> None:
    """Make the home folder, or check that no other user could have written into it.

    Raises:
        NotOurs: the folder or a link to it belongs to another user, or other users may write into it.
        StateNotWritable: the folder's path leads through a file.
        OSError: the folder cannot be made.
    """
    homes.check(where)
    try:
        trust.make_folder(where.home)
    except trust.DistrustedError as problem:
        raise NotOurs(str(problem), hint=problem.fix or f"choose another folder: {HOME_VARIABLE}") from problem


class HomeFolder:
    """The real home: its folder, its lock, its registry, and its presence outside of the folder."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._lock = HomeLock(folders.lock)

    def home_id(self) -> str:
        """See `HomeStorage`."""
        return Folders(self._folders.home, moved=self._folders.moved).home_id

    def path_id(self) -> str:
        """See `HomeStorage`."""
        return self._folders.path_id

    def make(self) -> None:
        """See `HomeStorage`."""
        make_home(self._folders)

    def registry_homes(self) -> tuple[str, ...]:
        """See `HomeStorage`. An unreadable registry names no home. The store sets it aside at the next write."""
        return read_homes(self._folders.registry)

    def holds_lock(self) -> bool:
        """See `HomeStorage`."""
        return self._lock.holds()

    def take_lock(self) -> bool:
        """See `HomeStorage`."""
        taken = self._lock.take()
        if taken:
            self._lock.write_pid()
        return taken

    def release_lock(self) -> None:
        """See `HomeStorage`."""
        self._lock.release()

    def take_presence(self, home_id: str) -> Presence:
        """See `HomeStorage`."""
        return presence.take(home_id)
