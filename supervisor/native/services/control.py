"""Windows' service control manager, and the right to use it."""

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
    """Return whether this process may change the machine, as an elevated prompt of Windows may."""
    if sys.platform == "win32":
        from ..windows.services.account import elevated as look

        return look()
    return False


def account_name() -> str:
    """Return the user's name with its domain, as Windows writes it.

    Raises:
        OSError: the system does not tell.
    """
    if sys.platform == "win32":
        from ..windows.services.account import account_name as look

        return look()
    raise PlatformUnsupported(f"{sys.platform} has no accounts with domains")
