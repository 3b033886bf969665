"""A home folder and the system's presences, as daemons see them, without files."""

from collections.abc import Callable
from dataclasses import dataclass, field

from supervisor.native.presence_api import HeldError


@dataclass
class FakeFolder:
    """The file at a home's path. `lock`: which daemon has locked the file there; `lock_file`: which file that is.

    `path_id`: that of the path, where a link leads from it; None: none does.
    """

    home_id: str = "home"
    path_id: str | None = None
    lock_file: int = 0
    lock: object = None
    owners: tuple[str, ...] = ()
    trouble: OSError | None = None

    def replace_lock(self) -> None:
        """Put another file there, or none, which no daemon has locked."""
        self.lock_file += 1
        self.lock = None


@dataclass
class FakeSystem:
    """The presences of one machine: home id to daemon."""

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
    """The view that one daemon has of them."""

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
