"""Talking to systemd as a service of it: sd_notify(3), sd_watchdog_enabled(3). There is nothing in it to depend on."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Mapping

assert sys.platform == "linux"  # noqa: S101 (tells type checkers whose file this is)

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC")


def address(environment: Mapping[str, str]) -> str | bytes | None:
    """Where systemd listens to this service; None: it does not."""
    path = environment.get("NOTIFY_SOCKET", "")
    if path.startswith("@"):
        return b"\0" + os.fsencode(path[1:])
    return path if path.startswith("/") else None


def watchdog_s(environment: Mapping[str, str], pid: int) -> float | None:
    """How long systemd waits for a sign of life before it ends this process; None: it does not wait for any."""
    meant = environment.get("WATCHDOG_PID", str(pid))
    length = environment.get("WATCHDOG_USEC", "")
    if meant != str(pid) or not length.isdecimal() or int(length) == 0:
        return None
    return int(length) / 1e6


class Systemd:
    """Says when the daemon is ready, and, from the loop itself, that the loop turns."""

    def __init__(self, listens: str | bytes, environment: Mapping[str, str]) -> None:
        self._listens = listens
        patience = watchdog_s(environment, os.getpid())
        # Half of it is what sd_watchdog_enabled(3) recommends.
        self._every_s = patience / 2 if patience else None

    async def begin(self, stop: Callable[[], object]) -> None:  # noqa: ARG002 (systemd asks by SIGTERM)
        """Give signs of life from now on."""
        if self._every_s is not None:
            self._sign_of_life(asyncio.get_running_loop(), self._every_s)

    def ready(self) -> None:
        """The daemon answers."""
        self._notify("READY=1")

    def stopping(self) -> None:
        """Only shown: after STOPPING=1 systemd would kill a daemon that has many servers to stop at TimeoutStopSec."""
        self._notify("STATUS=stopping")

    def _sign_of_life(self, loop: asyncio.AbstractEventLoop, every_s: float) -> None:
        self._notify("WATCHDOG=1")
        loop.call_later(every_s, self._sign_of_life, loop, every_s)

    def _notify(self, message: str) -> None:
        # A manager that does not listen will see by itself what becomes of us; a full queue is tried again next time.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(message.encode(), self._listens)
