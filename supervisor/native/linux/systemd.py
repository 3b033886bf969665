"""The protocol between systemd and its services: sd_notify(3), sd_watchdog_enabled(3). It needs no library."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Mapping

assert sys.platform == "linux"  # noqa: S101 (tells type checkers whose file this is)

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")


def notify_address(environment: Mapping[str, str]) -> str | bytes | None:
    """Return the address to which this service sends notifications; None if systemd has not started it."""
    path = environment.get("NOTIFY_SOCKET", "")
    if path.startswith("@"):
        return b"\0" + os.fsencode(path[1:])
    return path if path.startswith("/") else None


def watchdog_s(environment: Mapping[str, str], pid: int) -> float | None:
    """Return how long systemd waits for a sign of life before it ends this process; None if it does not wait."""
    meant = environment.get("WATCHDOG_PID", str(pid))
    length = environment.get("WATCHDOG_USEC", "")
    if meant != str(pid) or not length.isdecimal() or int(length) == 0:
        return None
    return int(length) / 1e6


class SystemdNotifier:
    """Notifies systemd when the daemon is ready, and regularly that the event loop runs."""

    def __init__(self, address: str | bytes, environment: Mapping[str, str]) -> None:
        self._address = address
        patience = watchdog_s(environment, os.getpid())
        # Half of it is what sd_watchdog_enabled(3) recommends.
        self._every_s = patience / 2 if patience else None

    async def begin(self, stop: Callable[[], object]) -> None:  # noqa: ARG002 (systemd asks by SIGTERM)
        """Send signs of life from here on."""
        if self._every_s is not None:
            self._sign_of_life(asyncio.get_running_loop(), self._every_s)

    def ready(self) -> None:
        """Report that the daemon answers clients."""
        self._notify("READY=1")

    def stopping(self) -> None:
        """Report the end in `status` only: after STOPPING=1, TimeoutStopSec would kill a daemon with many servers."""
        self._notify("STATUS=stopping")

    def _sign_of_life(self, loop: asyncio.AbstractEventLoop, every_s: float) -> None:
        self._notify("WATCHDOG=1")
        loop.call_later(every_s, self._sign_of_life, loop, every_s)

    def _notify(self, message: str) -> None:
        # A lost message does no harm: systemd sees the end of the process itself, and signs of life are repeated.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode(), self._address)
