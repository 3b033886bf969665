"""A home folder and the system's presences, as daemons see them, without files."""

from collections.abc import Callable
from dataclasses import dataclass, field

from supervisor.native.presence_api import HeldError


@dataclass
class FakeFolder:
    """The folder at a home's path, which all daemons see.

    `home_id`: the id of the folder; `path_id`: the id of the path, if a link leads from it to the folder.
    `lock_file`: a number that tells which file is the lock now; `lock`: the daemon that has locked this file.
    `owners`: the ids of the homes that the registry was written for. `trouble`: why the folder cannot be used.
    """

    home_id: str = "home"
    path_id: str | None = None
    lock_file: int = 0
    lock: object = None
    owners: tuple[str, ...] = ()
    trouble: OSError | None = None

    def replace_lock(self) -> None:
        """Put another file in the place of the lock, or none; no daemon has locked it."""
        self.lock_file += 1
        self.lock = None


@dataclass
class FakeSystem:
    """The presences of one machine. `present`: home id to daemon; `refuses`: why no presence can be taken."""

    present: dict[str, object] = field(default_factory=dict)
    refuses: OSError | None = None


class FakePresence:
    def __init__(self, system: FakeSystem, home_id: str, daemon: object) -> None:
        self._system, self._home_id, self._daemon = system, home_id, daemon
        self.answer: Callable[[], bytes] | None = None

    def listen(self, answer: Callable[[], bytes]) -> None:
        self.answer = answer

    def close(self) -> None:
        if self._system.present.get(self._home_id) is self._daemon:
            del self._system.present[self._home_id]


class FakeHome:
    """The home folder and the presences as one daemon sees and takes them."""

    def __init__(self, folder: FakeFolder | None = None, system: FakeSystem | None = None) -> None:
        self.folder = folder or FakeFolder()
        self.system = system or FakeSystem()
        self.presences: list[FakePresence] = []
        self._locked: int | None = None

    def home_id(self) -> str:
        return self.folder.home_id

    def path_id(self) -> str:
        return self.folder.path_id or self.folder.home_id

    def make(self) -> None:
        if self.folder.trouble is not None:
            raise self.folder.trouble

    def registry_homes(self) -> tuple[str, ...]:
        return self.folder.owners

    def holds_lock(self) -> bool:
        return self._locked == self.folder.lock_file and self.folder.lock is self and self.folder.trouble is None

    def take_lock(self) -> bool:
        if self.folder.lock not in (None, self):
            return False
        self.folder.lock, self._locked = self, self.folder.lock_file
        return True

    def release_lock(self) -> None:
        if self.folder.lock is self:
            self.folder.lock = None
        self._locked = None

    def take_presence(self, home_id: str) -> FakePresence:
        if self.system.refuses is not None:
            raise self.system.refuses
        if self.system.present.setdefault(home_id, self) is not self:
            raise HeldError
        self.presences.append(FakePresence(self.system, home_id, self))
        return self.presences[-1]
