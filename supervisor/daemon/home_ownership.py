"""From start to end: one daemon owns the home, even if the home's files are moved or removed.

Two locks make a daemon the owner. The home's lock file shuts out every daemon that sees this very folder. The daemon's
presence lies outside the home and shuts out every daemon of this path. A daemon acts only while no other can hold both.
"""

import time
from collections.abc import Callable, Collection
from enum import Enum
from typing import Protocol

from ..errors import SupervisorError
from ..native.presence_api import HeldError, Presence

POLL_S = 0.02


class HomeState(Enum):
    """The result of a look at the home: it is whole, was restored, cannot be used, or belongs to another daemon."""

    WHOLE = "whole"
    RESTORED = "restored"
    UNUSABLE = "unusable"
    LOST = "lost"


class HomeLostError(OSError):
    """The home is another daemon's, or it is unknown whose it is: nothing may be started, ended or written."""


class HomeStorage(Protocol):
    """The home folder on the disk, and the presences of the system."""

    def home_id(self) -> str:
        """Return the id of the folder that the home's path leads to now."""
        ...

    def path_id(self) -> str:
        """Return the id of the home's path itself. Without a link in the path it is the id of the folder."""
        ...

    def make(self) -> None:
        """Make the home folder, or check that only this user can write into it. Raises SupervisorError, OSError."""
        ...

    def registry_homes(self) -> Collection[str]:
        """Return the home ids that the registry names; none if there is no registry. Raises OSError."""
        ...

    def holds_lock(self) -> bool:
        """Return whether the file at the lock's path is the one that this process has locked. Cheap."""
        ...

    def take_lock(self) -> bool:
        """Lock the file at the lock's path. Return False if another process holds it. Raises NotOurs, OSError."""
        ...

    def release_lock(self) -> None:
        """Release the lock for the next daemon."""
        ...

    def take_presence(self, home_id: str) -> Presence:
        """Take the presence of a home. Raises HeldError, OSError."""
        ...


class HomeOwnership:
    """This daemon's ownership of its home. Every act checks it first."""

    def __init__(self, storage: HomeStorage) -> None:
        self._storage = storage
        self._presences: dict[str, Presence] = {}
        self._only_path: str | None = None
        """The id of the home's path if the path is a link, None otherwise. The registry never names this id."""
        self._answer: Callable[[], bytes] | None = None
        self.lost: str | None = None
        """Why the home belongs to another daemon, or None."""
        self.trouble: str | None = None
        """Why the home cannot be used at the moment, or None."""
        self.without_presence: str | None = None
        """Why the system gives no presence, or None."""
        self.on_restored: Callable[[], None] = _nothing
        self.on_lost: Callable[[], None] = _nothing

    @property
    def homes(self) -> tuple[str, ...]:
        """The ids of all homes whose presence this daemon holds: its own, and earlier ones of the same folder."""
        return tuple(home for home in self._presences if home != self._only_path)

    def take(self, timeout_s: float = 0.0) -> bool:
        """Try for `timeout_s` to make this process the daemon of its home. Return False if another daemon is.

        Raises:
            NotOurs: other users may write into the home, or the lock's path is a link.
            OSError: the home or its lock cannot be made.
        """
        self._storage.make()
        until = time.monotonic() + timeout_s
        while not (self._take_presence(self._storage.home_id()) and self._claim_path() and self._storage.take_lock()):
            if time.monotonic() >= until:
                self.release()
                return False
            time.sleep(POLL_S)
        return True

    def inherit(self, homes: Collection[str]) -> bool:
        """Take the presences of the other homes that the registry names, because the folder was moved.

        Returns:
            False if a daemon of one of these homes is running, because the registry is that daemon's.
        """
        if self._only_path in homes:
            self._only_path = None
        return all(self._take_presence(home) for home in homes)

    def listen(self, answer: Callable[[], bytes]) -> None:
        """Answer, on the running loop, clients that ask through a presence."""
        self._answer = answer
        for presence in self._presences.values():
            presence.listen(answer)

    def check_may_act(self) -> None:
        """Return if this daemon may act. Files of the home that are missing are made again first.

        Raises:
            HomeLostError: the daemon may not act.
        """
        if self.lost is None and self._storage.holds_lock():
            self.trouble = None
            return
        match self.look():
            case HomeState.LOST:
                raise HomeLostError(self.lost)
            case HomeState.UNUSABLE if not self._presences:
                # Neither lock nor presence proves that no other daemon acts.
                raise HomeLostError(self.trouble)

    def check_may_write(self) -> None:
        """Return if this daemon may write into the home.

        Raises:
            HomeLostError: the daemon may not write.
        """
        self.check_may_act()
        if self.trouble is not None:
            raise HomeLostError(self.trouble)

    def look(self) -> HomeState:
        """Check whether the home is still this daemon's, and take it again if no other daemon has taken it."""
        if self.lost is not None:
            return HomeState.LOST
        if self._storage.holds_lock():
            self.trouble = None
            return HomeState.WHOLE
        try:
            self._storage.make()
            problem = self._take_again()
        except (OSError, SupervisorError) as error:
            self.trouble = f"the home folder cannot be used: {error}"
            return HomeState.UNUSABLE
        if problem is not None:
            self.lost = problem
            self.on_lost()
            return HomeState.LOST
        self.trouble = None
        self.on_restored()
        return HomeState.RESTORED

    def release(self) -> None:
        """Give up the home, for the next daemon."""
        self._storage.release_lock()
        presences, self._presences = self._presences, {}
        for presence in presences.values():
            presence.close()

    def note(self) -> str | None:
        """Return a note for users, or None."""
        return self.trouble or self.without_presence

    def _take_again(self) -> str | None:
        """Take the home again. Return why that cannot be, or None if the home is this daemon's again."""
        now = self._storage.home_id()
        if now not in self._presences and set(self._storage.registry_homes()) - {*self._presences}:
            # The folder of another home lies there. Writing here would overwrite its registry.
            return "its path leads to another home now"
        if now == self._only_path:
            self._only_path = None
        if not self._take_presence(now):
            return "another daemon uses the folder that its path leads to now"
        if not self._storage.take_lock():
            return "another daemon has locked it"
        return None

    def _claim_path(self) -> bool:
        """Take the presence of the path too: a daemon may run that started before the path was made a link."""
        path = self._storage.path_id()
        if path not in self._presences:
            self._only_path = path
        return self._take_presence(path)

    def _take_presence(self, home_id: str) -> bool:
        """Take a presence. Return False if another daemon holds it.

        If the system gives no presence at all, the lock alone has to keep other daemons away.
        """
        if home_id in self._presences:
            return True
        try:
            presence = self._presences[home_id] = self._storage.take_presence(home_id)
        except HeldError:
            return False
        except OSError as problem:
            self.without_presence = f"only its lock keeps a second daemon away from the home: {problem}"
            return True
        if self._answer is not None:
            presence.listen(self._answer)
        return True


def _nothing() -> None:
    pass
