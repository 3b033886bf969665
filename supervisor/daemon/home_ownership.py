"""Which daemon a home belongs to, whatever becomes of the home's files.

Two things say so: the home's lock, which shuts out every daemon that sees this very folder, and the daemon's presence,
which lies outside the home and shuts out every daemon of this path. A daemon acts only while nobody else can hold both.
"""

import time
from collections.abc import Callable, Collection
from enum import Enum
from typing import Protocol

from ..errors import SupervisorError
from ..native.presence_api import HeldError, Presence

POLL_S = 0.02


class Standing(Enum):
    """What a look at the home came to."""

    WHOLE = "whole"
    RESTORED = "restored"
    UNUSABLE = "unusable"
    LOST = "lost"


class HomeLostError(OSError):
    """The home is another daemon's now, or cannot be told: nothing may be started, ended or written."""


class Ground(Protocol):
    """The home as it lies on the disk, and the presences that the system gives."""

    def home_id(self) -> str:
        """The id of the folder that the home's path leads to now."""
        ...

    def path_id(self) -> str:
        """The id of the home's path itself, whatever it leads to; that of the folder where no link is on the way."""
        ...

    def make(self) -> None:
        """Make the home folder, or see that it is ours alone. Raises SupervisorError, OSError."""
        ...

    def owners(self) -> Collection[str]:
        """The home ids that the registry in it names; none where there is no registry. Raises OSError."""
        ...

    def holds_lock(self) -> bool:
        """Whether the file at the lock's path is the one that this process has locked. Cheap."""
        ...

    def take_lock(self) -> bool:
        """Lock the file that lies there. Raises NotOurs, OSError."""
        ...

    def release_lock(self) -> None:
        """Let the next daemon in."""
        ...

    def claim(self, home_id: str) -> Presence:
        """Be present for a home. Raises HeldError, OSError."""
        ...


class HomeOwnership:
    """This daemon's hold on its home. Every act asks it first."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._presences: dict[str, Presence] = {}
        self._only_path: str | None = None
        """The id of the home's path, where that leads elsewhere: it names no rows in the registry."""
        self._answer: Callable[[], bytes] | None = None
        self.lost: str | None = None
        """Why the home is another daemon's now."""
        self.trouble: str | None = None
        """Why the home cannot be used at the moment."""
        self.without_presence: str | None = None
        """Why the system gives no presence."""
        self.on_restored: Callable[[], None] = _nothing
        self.on_lost: Callable[[], None] = _nothing

    @property
    def homes(self) -> tuple[str, ...]:
        """The ids of all homes that this daemon is present for: its own, and earlier ones of the same folder."""
        return tuple(home for home in self._presences if home != self._only_path)

    def take(self, patience_s: float = 0.0) -> bool:
        """Whether this process is the daemon of its home from now on. `patience_s`: for how long to try.

        Raises:
            NotOurs: others may write into the home, or a link lies in the lock's place.
            OSError: the home cannot be made, or its lock.
        """
        self._ground.make()
        until = time.monotonic() + patience_s
        while not (self._claim(self._ground.home_id()) and self._claim_path() and self._ground.take_lock()):
            if time.monotonic() >= until:
                self.release()
                return False
            time.sleep(POLL_S)
        return True

    def inherit(self, homes: Collection[str]) -> bool:
        """Be present for the homes whose rows lie in the registry too, because the folder was moved.

        Returns:
            False if a daemon of one of them lives: the rows are that daemon's.
        """
        if self._only_path in homes:
            self._only_path = None
        return all(self._claim(home) for home in homes)

    def listen(self, answer: Callable[[], bytes]) -> None:
        """Answer, on the running loop, those who ask for this daemon outside its home."""
        self._answer = answer
        for presence in self._presences.values():
            presence.listen(answer)

    def assure(self) -> None:
        """Return if this daemon may act; where its files have gone, they are made again first.

        Raises:
            HomeLostError: it may not.
        """
        if self.lost is None and self._ground.holds_lock():
            self.trouble = None
            return
        match self.look():
            case Standing.LOST:
                raise HomeLostError(self.lost)
            case Standing.UNUSABLE if not self._presences:
                # Neither of the two proves that no other daemon acts.
                raise HomeLostError(self.trouble)

    def assure_writable(self) -> None:
        """The same for what is written into the home.

        Raises:
            HomeLostError: it may not be.
        """
        self.assure()
        if self.trouble is not None:
            raise HomeLostError(self.trouble)

    def look(self) -> Standing:
        """See whether the home is still this daemon's, and make it so again where no other daemon has taken it."""
        if self.lost is not None:
            return Standing.LOST
        if self._ground.holds_lock():
            self.trouble = None
            return Standing.WHOLE
        try:
            self._ground.make()
            problem = self._take_again()
        except (OSError, SupervisorError) as error:
            self.trouble = f"the home folder cannot be used: {error}"
            return Standing.UNUSABLE
        if problem is not None:
            self.lost = problem
            self.on_lost()
            return Standing.LOST
        self.trouble = None
        self.on_restored()
        return Standing.RESTORED

    def release(self) -> None:
        """Let the next daemon in."""
        self._ground.release_lock()
        presences, self._presences = self._presences, {}
        for presence in presences.values():
            presence.close()

    def note(self) -> str | None:
        """What a user should know."""
        return self.trouble or self.without_presence

    def _take_again(self) -> str | None:
        """Why the home cannot be this daemon's again; None: it is."""
        now = self._ground.home_id()
        if now not in self._presences and set(self._ground.owners()) - {*self._presences}:
            # Another home's folder lies there, with rows of its own: writing here would cost them.
            return "its path leads to another home now"
        if now == self._only_path:
            self._only_path = None
        if not self._claim(now):
            return "another daemon is at work in the folder that its path leads to now"
        if not self._ground.take_lock():
            return "another daemon has locked it"
        return None

    def _claim_path(self) -> bool:
        """Be present for the home's path too: a daemon may live that began before the path was made a link."""
        path = self._ground.path_id()
        if path not in self._presences:
            self._only_path = path
        return self._claim(path)

    def _claim(self, home_id: str) -> bool:
        """Be present; where the system gives no presence at all, the lock has to do. False: another daemon is."""
        if home_id in self._presences:
            return True
        try:
            presence = self._presences[home_id] = self._ground.claim(home_id)
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
