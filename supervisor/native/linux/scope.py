"""Moves a daemon that a plugin or a shell started into a control group of its own, if systemd can do that.

Otherwise the end of its starter's control group (a service, a terminal's scope) would end the daemon and every server.
"""

import asyncio
import contextlib
import os
import secrets
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

assert sys.platform == "linux"  # noqa: S101 (tells type checkers whose file this is)

# This stands below the assertion, because type checkers of other platforms stop there.
if TYPE_CHECKING:
    from .dbus import Bus, Writer

PATIENCE_S = 0.5
"""The longest delay of the daemon's start by a bus that does not answer."""

_POLL_S = 0.002
_SENDER = 0
"""The process id that stands for the sender (systemd, dbus-scope.c).

In a sandbox, our pid may be another one outside.
"""


class Scope:
    """The substitute for a service manager, if none has started the daemon. It gives the daemon its own control group.

    `bus` is the path of the bus of this user's systemd; None: the path that the variables tell.
    """

    def __init__(self, bus: str | None = None) -> None:
        self._bus_path = bus_path(os.environ) if bus is None else bus

    async def begin(self, stop: Callable[[], object]) -> None:  # noqa: ARG002 (a scope asks nothing)
        """Leave the starter's control group before any child starts in it. If that fails, the daemon stays."""
        if not is_socket(self._bus_path):
            return
        with contextlib.suppress(OSError):
            async with asyncio.timeout(PATIENCE_S):
                await move_to_new_scope(self._bus_path)

    def ready(self) -> None:
        """Do nothing."""

    def stopping(self) -> None:
        """Do nothing."""


def bus_path(environment: Mapping[str, str]) -> str:
    """Return where the bus of this user's systemd listens, if there is one."""
    folder = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    return f"{folder}/bus"


def is_socket(path: str) -> bool:
    """Return whether a socket lies at this path, so that a bus may answer there."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)  # noqa: PTH116 (this is asked at every start)
    except OSError:
        return False


async def move_to_new_scope(path_of_bus: str) -> str:
    """Move this process to a new scope (systemd.scope(5)), and return the name of the scope.

    Raises:
        OSError: systemd does not move it.
    """
    # Imported only where there is a bus, so that an idle daemon does not carry it without need.
    from .dbus import Bus, DBusError

    name = f"app-godotsupervisor-{secrets.token_hex(8)}.scope"
    bus = await Bus.connect(path_of_bus)
    try:
        try:
            await _start(bus, name, {"OOMPolicy": "continue"})
        except DBusError:
            # Before systemd 253 a scope lacks this property, and always behaves as the property says.
            await _start(bus, name, {})
    finally:
        bus.close()
    # The answer arrives when systemd has decided, not when it has acted.
    while f"/{name}" not in control_group():  # noqa: ASYNC110 (the kernel has no event for it)
        await asyncio.sleep(_POLL_S)
    return name


def control_group() -> str:
    """Return the control group of this process, as the kernel reports it."""
    return Path("/proc/self/cgroup").read_text(encoding="utf-8")


async def _start(bus: "Bus", name: str, properties: Mapping[str, str]) -> None:
    """Ask systemd for a scope of this name with this process in it. `properties` are further ones, with texts."""
    from .dbus import Writer

    texts = {"Description": "Godot Supervisor", "Slice": "app.slice", "CollectMode": "inactive-or-failed", **properties}

    def append_properties(writer: "Writer") -> None:
        for key, value in texts.items():
            writer.align(8).text(key).signature("s").text(value)
        writer.align(8).text("PIDs").signature("au").array(4, lambda pids: pids.number(_SENDER))

    body = Writer().text(name).text("fail").array(8, append_properties).array(8, lambda _: None)
    await bus.call(
        "org.freedesktop.systemd1",
        "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager.StartTransientUnit",
        "ssa(sv)a(sa(sv))",
        bytes(body.data),
    )
