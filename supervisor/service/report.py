"""The report of `service status`."""

from dataclasses import asdict
from typing import Any

from ..values import frozen


@frozen
class ServiceReport:
    """The state of one service, from its service manager and its settings.

    `mode` is the way of starting, for a manager that has several. `state` is the manager's own word, or None if the
    manager did not report it. `pid` is the process that the manager watches. `differences` are settings that this
    installation would write differently. `lingering` is whether the service outlives the user's last session, or None
    if the system has no lingering or did not report it.
    """

    manager: str
    name: str
    installed: bool
    file: str | None = None
    mode: str | None = None
    enabled: bool | None = None
    state: str | None = None
    pid: int | None = None
    differences: tuple[str, ...] = ()
    lingering: bool | None = None

    def document(self) -> dict[str, Any]:
        """Return the report as a JSON-ready object."""
        return {**asdict(self), "differences": [*self.differences]}
