"""Loads the modules that are not needed for the first answers, but may be needed at any time later.

An upgrade replaces the files of this program while bridges run, and a module of another version may not fit.
"""

import contextlib
import threading
import time
from importlib import import_module

from ...native.facts import HAS_UNIX_SOCKETS

DELAY_S = 2.0
"""How long nothing is loaded, because the client may be waiting for an answer that needs other modules."""

POSIX_MODULES = ("native.posix.presence",)

WINDOWS_MODULES = ("native.windows.files", "native.windows.presence", "native.windows.user_variables")

MODULES = (
    "client.autostart",
    "client.discovery",
    "client.polled",
    "core.processes.runners",
    "mcp.bridge.call_link",
    "mcp.bridge.daemon_link",
    "mcp.bridge.daemon_variables",
    "mcp.bridge.editors",
    "mcp.bridge.server_connection",
    "native.presence",
    "native.shared.lock_file",
    "native.startup.inherited",
    "native.startup.login_variables",
    "native.startup.pipes",
    "native.startup.running",
    "native.trust",
    *(POSIX_MODULES if HAS_UNIX_SOCKETS else WINDOWS_MODULES),
)
"""The service manager's modules are left out: a daemon can be started without them, and they take 4 MiB."""


def load_late_modules() -> None:
    """Begin to load the modules, after a pause."""
    threading.Thread(target=_load_all, daemon=True).start()


def _load_all() -> None:
    time.sleep(DELAY_S)
    package = __package__.partition(".")[0]
    for name in MODULES:
        # The module that cannot be loaded is missed when it is needed, and the answer then says so.
        with contextlib.suppress(Exception):
            import_module(f"{package}.{name}")
