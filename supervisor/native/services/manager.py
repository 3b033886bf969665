"""The service manager of a running daemon. A daemon that no service manager has started has a substitute."""

import sys
from collections.abc import Callable, MutableMapping

from ..service_api import NoServiceManager, ServiceManager


def background_manager() -> ServiceManager:
    """Return the substitute for a daemon that a plugin or a shell has started in the background.

    On Linux it moves the daemon out of the control group of its starter.
    """
    if sys.platform == "linux":
        from ..linux.scope import Scope

        return Scope()
    return NoServiceManager()


def manager_from(environment: MutableMapping[str, str]) -> ServiceManager:
    """Return the service manager that has started this process, as its variables tell; `NoServiceManager` without them.

    The variables are removed from the environment, because they are not meant for children of this process.
    """
    manager: ServiceManager = NoServiceManager()
    if sys.platform == "linux":
        from ..linux.systemd import VARIABLES, SystemdNotifier, notify_address

        address = notify_address(environment)
        manager = SystemdNotifier(address, environment) if address else manager
        for name in VARIABLES:
            environment.pop(name, None)
    return manager


def run_as_service(name: str, body: Callable[[ServiceManager], int]) -> int | None:
    """Run `body` as a service of Windows, and return its exit status; None if this process was not started as one.

    Raises:
        OSError: the service control manager does not answer this process.
    """
    if sys.platform == "win32":
        from ..windows.services import service

        return service.run_as_service(name, body)
    return None


def refused_account() -> str | None:
    """Return the name of the account that this process runs as, if no daemon may run as it."""
    if sys.platform == "win32":
        from ..windows.services import account

        return account.refused_account()
    return None
