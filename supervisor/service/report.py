"""What `service status` says of a service."""

from dataclasses import asdict
from typing import Any

from ..values import frozen


@frozen
class Report:
    """One service, as its manager and its settings tell of it.

    `mode`: how, where a manager knows several ways. `state`: in the manager's own word; None: nobody told. `pid`: of
    the process that the manager watches. `differences`: what this installation would write otherwise. `lingering`:
    whether it outlives the user's last session; None: the system has no such thing, or nobody told.
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
        """As JSON shows it."""
        return {**asdict(self), "differences": [*self.differences]}
