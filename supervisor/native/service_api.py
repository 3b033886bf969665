"""The contracts of service managers: towards a daemon that they have started, and, on Windows, for installing one."""

from collections.abc import Callable
from dataclasses import field
from typing import Protocol

from ..values import frozen

OWN_PROCESS = 0x10
"""One process for the whole machine (winnt.h, SERVICE_WIN32_OWN_PROCESS)."""

USER_OWN_PROCESS = 0x50
"""A template of which every user gets an instance at logon (winnt.h, SERVICE_USER_OWN_PROCESS)."""


@frozen
class ServiceDefinition:
    """A service as this program asks Windows to store it.

    `type` is one of the numbers above. `account` and `password`: None for the type that has the user's own account.
    `delayed`: start some minutes after boot. `restart_after_ms`: the pauses after the first crash, the second and so
    on; the last one counts for all further crashes.
    """

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
class InstalledService:
    """A service as Windows has stored it, and its state: "running", "stopped", or a transition between the two.

    `automatic`: Windows starts it at boot or logon. `pid`: None while it does not run.
    """

    type: int
    command_line: str
    account: str
    description: str
    automatic: bool
    state: str
    pid: int | None


class ServiceControl(Protocol):
    """The service control manager. Every method raises OSError, with the `winerror` of the system."""

    def query(self, name: str) -> InstalledService | None:
        """Return the stored state; None if there is no such service."""

    def create(self, definition: ServiceDefinition) -> None:
        """Create a service."""

    def change(self, definition: ServiceDefinition) -> None:
        """Change a service to this definition."""

    def start(self, name: str) -> None:
        """Start the service, unless it runs."""

    def stop(self, name: str) -> None:
        """Stop the service and wait for its end, unless it is stopped."""

    def delete(self, name: str) -> None:
        """Delete the service."""


class ServiceManager(Protocol):
    """What the daemon tells the service manager that has started it. Called on the event loop."""

    async def begin(self, stop: Callable[[], object]) -> None:
        """Report that the loop runs. From here on `stop` may be called from any thread."""

    def ready(self) -> None:
        """Report that the daemon answers clients, or that another daemon does and this one has nothing to do."""

    def stopping(self) -> None:
        """Report that the daemon was asked to end."""


class NoServiceManager:
    """The substitute for a daemon that was started by hand: it does nothing."""

    async def begin(self, stop: Callable[[], object]) -> None:
        """Do nothing."""

    def ready(self) -> None:
        """Do nothing."""

    def stopping(self) -> None:
        """Do nothing."""
