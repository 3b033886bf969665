"""Who looks after the daemon itself: the system's service manager, or nobody."""

import sys
from collections.abc import Callable, MutableMapping

from ..service_api import NoServiceManager, ServiceManager


def on_our_own() -> ServiceManager:
    """For a daemon in the background that a plugin or a shell has started: it leaves what ends with its starter."""
    if sys.platform == "linux":
        from ..linux.scope import Scope

        return Scope()
    return NoServiceManager()


def manager_of(environment: MutableMapping[str, str]) -> ServiceManager:
    """Who has started this process as its service, by what it was told; nobody where nothing was said.

    What was told goes from the environment: it is not meant for what this process starts.
    """
    manager: ServiceManager = NoServiceManager()
    if sys.platform == "linux":
        from ..linux.systemd import VARIABLES, Systemd, address

        found = address(environment)
        manager = Systemd(found, environment) if found else manager
        for name in VARIABLES:
            environment.pop(name, None)
    return manager


def as_service(name: str, body: Callable[[ServiceManager], int]) -> int | None:
    """Be the service that the service control manager of Windows started. The exit status; None: it started nothing.

    Raises:
        OSError: it does not talk to this process.
    """
    if sys.platform == "win32":
        from ..windows.services.service import as_service as run

        return run(name, body)
    return None


def refused_account() -> str | None:
    """The name of the account that this process runs as, where that is one that no daemon of ours shall run as."""
    if sys.platform == "win32":
        from ..windows.services.account import refused_account as look

        return look()
    return None
