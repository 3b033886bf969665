"""Keeps one armed exit watch for each editor and each server."""

from collections.abc import Callable

from ...core.model import ProcessIdentity
from ...native.api import ExitWatcher, Watch


class ExitWatches:
    """Exit watches by name. Arming a name again replaces its watch."""

    def __init__(self, exits: ExitWatcher) -> None:
        self._exits = exits
        self._watches: dict[str, tuple[ProcessIdentity, Watch]] = {}
        self._watched: dict[ProcessIdentity, int] = {}
        self.revision = 0
        """Rises with every change of the answers of `is_watched`."""

    def is_watched(self, identity: ProcessIdentity) -> bool:
        """Return whether a process is watched and its end has not been reported. Does not ask the system."""
        return identity in self._watched

    def arm(self, name: str, identity: ProcessIdentity, on_exit: Callable[[], None]) -> None:
        """Call `on_exit` when this process has ended. Arming the same process again changes nothing."""
        known = self._watches.get(name)
        if known is not None and known[0] == identity:
            return
        self.disarm(name)

        def ended() -> None:
            self._forget(name)
            on_exit()

        self._watches[name] = (identity, self._exits.watch(identity, ended))
        self._watched[identity] = self._watched.get(identity, 0) + 1
        self.revision += 1

    def disarm(self, name: str) -> None:
        """Close the watch of this name, if there is one."""
        known = self._forget(name)
        if known is not None:
            known.close()

    def close(self) -> None:
        """Close all watches."""
        for name in list(self._watches):
            self.disarm(name)

    def _forget(self, name: str) -> Watch | None:
        identity, watch = self._watches.pop(name, (None, None))
        if identity is not None:
            self.revision += 1
            self._watched[identity] -= 1
            if not self._watched[identity]:
                del self._watched[identity]
        return watch
