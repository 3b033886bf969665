"""The exit statuses of the daemon's children that have ended."""

from ...core.model import ProcessIdentity

KEPT = 256


class ExitStatuses:
    """The last statuses. Older ones are forgotten, because a daemon runs for weeks."""

    def __init__(self) -> None:
        self._statuses: dict[ProcessIdentity, int] = {}

    def add(self, identity: ProcessIdentity, status: int) -> None:
        """Keep the status of a child."""
        self._statuses[identity] = status
        while len(self._statuses) > KEPT:
            del self._statuses[next(iter(self._statuses))]

    def get(self, identity: ProcessIdentity) -> int | None:
        """Return the status of a child; None if it is not known."""
        return self._statuses.get(identity)
