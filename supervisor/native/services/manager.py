"""The service manager that started the daemon, if there is one."""

import sys
from collections.abc import Callable, MutableMapping

from ..service_api import NoServiceManager, ServiceManager


def background_manager() -> ServiceManager:
    """Return the manager for a background daemon that a plugin or a shell started: it leaves their control group."""
    if sys.platform == "linux":
        from ..linux.scope import Scope

        return Scope()
    return NoServiceManager()


def manager_from(environment: MutableMapping[str, str]) -> ServiceManager:
    """Return the service manager that started this process, by its variables; without them an absent one.

    The variables are removed from the environment, because they are not meant for children of this process.
    """
    manager: ServiceManager = NoServiceManager()
    if sys.platform == "linux":
        from ..linux.systemd import VARIABLES, SystemdNotifier, address

        found = address(environment)
        manager = SystemdNotifier(found, environment) if found else manager
        for name in VARIABLES:
            environment.pop(name, None)
    return manager


def run_as_service(name: str, body: Callable[[ServiceManager], int]) -> int | None:
    """Run as the service that Windows' service control manager started. Returns the exit status; None: it started none.

    Raises:
        OSError: the service control manager does not answer this process.
    """
    if sys.platform == "win32":
        from ..windows.services.service import run_as_service as run

        return run(name, body)
    return None


def refused_account() -> str | None:
    """Return the name of the account that this process runs as, if no daemon may run as it."""
    if sys.platform == "win32":
        from ..windows.services.account import refused_account as look

        return look()
    return None
