"""Installing a service of Windows: the service control manager, and the account and rights of this process."""

import sys

from ...errors import PlatformUnsupported
from ..service_api import ServiceControl


def open_service_control() -> ServiceControl:
    """Return the service control manager.

    Raises:
        PlatformUnsupported: this system has none.
    """
    if sys.platform == "win32":
        from ..windows.services.scm import WindowsServiceControl

        return WindowsServiceControl()
    raise PlatformUnsupported(f"{sys.platform} has no service control manager")


def elevated() -> bool:
    """Return whether this process may change the whole machine, as an elevated prompt of Windows may."""
    if sys.platform == "win32":
        from ..windows.services import account

        return account.elevated()
    return False


def account_name() -> str:
    """Return the user's name with its domain, as Windows writes it.

    Raises:
        PlatformUnsupported: this system has no such names.
        OSError: the system does not tell.
    """
    if sys.platform == "win32":
        from ..windows.services import account

        return account.account_name()
    raise PlatformUnsupported(f"{sys.platform} has no accounts with domains")
