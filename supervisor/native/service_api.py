"""The contracts of what looks after the daemon: a service manager, and the service control manager of Windows."""

from collections.abc import Callable
from dataclasses import field
from typing import Protocol

from ..values import frozen

OWN_PROCESS = 0x10
"""One process for the whole machine (winnt.h, SERVICE_WIN32_OWN_PROCESS)."""

USER_OWN_PROCESS = 0x50
"""A template: every user who logs on gets an instance of it (winnt.h, SERVICE_USER_OWN_PROCESS)."""


@frozen
class Definition:
    """A service as the service control manager of Windows keeps it. `restart_after_ms`: after a crash, one by one."""

    name: str
    display_name: str
    description: str
    command_line: str
    type: int
    account: str | None = None
    password: str | None = field(default=None, repr=False)
    delayed: bool = False
    restart_after_ms: tuple[int, ...] = (1000, 5000, 30000)
    forget_crashes_after_s: int = 60


@frozen
class Installed:
    """What it knows of a service. `state`: "running", "stopped", or on the way."""

    type: int
    command_line: str
    account: str
    description: str
    automatic: bool
    state: str
    pid: int | None


class ServiceControl(Protocol):
    """The service control manager. Everything raises OSError, with the `winerror` of the system."""

    def query(self, name: str) -> Installed | None:
        """What it knows; None: nothing."""

    def create(self, definition: Definition) -> None:
        """Have a new service."""

    def change(self, definition: Definition) -> None:
        """Have a service as this says."""

    def start(self, name: str) -> None:
        """Start it; does nothing where it runs."""

    def stop(self, name: str) -> None:
        """Stop it, and wait for its end; does nothing where it does not run."""

    def delete(self, name: str) -> None:
        """Forget it."""


class ServiceManager(Protocol):
    """What the daemon says to whoever looks after it. Called on the event loop."""

    async def begin(self, stop: Callable[[], object]) -> None:
        """The loop turns. `stop` may be called from any thread, from now on."""

    def ready(self) -> None:
        """The daemon answers its clients; or another one does, and this one has nothing to do."""

    def stopping(self) -> None:
        """It was told to end."""


class NoServiceManager:
    """Started by hand: nobody wants to know."""

    async def begin(self, stop: Callable[[], object]) -> None:
        """Nothing."""

    def ready(self) -> None:
        """Nothing."""

    def stopping(self) -> None:
        """Nothing."""
