"""The service manager of this system, and what the command line wants of it."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from ..errors import InvalidParams, PlatformUnsupported, ServiceRefused
from ..native import facts
from ..native.facts import Folders
from ..native.services import control
from ..values import frozen
from . import handover
from .installation import this_installation
from .report import Report
from .steps import Runner, Steps, system_runner

ANSWER_PATIENCE_S = 20.0
_POLL_S = 0.1

RUNTIME_VARIABLE = "XDG_RUNTIME_DIR"


class Manager(Protocol):
    """One service manager, for one installation."""

    name: str

    @property
    def takes_over(self) -> bool:
        """Whether `begin` starts a daemon."""

    @property
    def removal_ends_servers(self) -> bool:
        """Whether servers would end with the service, unless the daemon has ended by itself before."""

    def main_pid(self) -> int | None:
        """The process that it watches; None: none."""

    def prepare(self) -> None:
        """Have the service installed."""

    def begin(self) -> None:
        """Have it run, as it is installed now."""

    def remove(self) -> None:
        """Have it stopped, and no longer installed."""

    def report(self) -> Report:
        """How it is."""

    def start_if_installed(self) -> bool:
        """Start it where it is installed; whether it was."""


@frozen
class OperationRequest:
    """What the user said of how to install it. Windows only: nobody else has a choice."""

    mode: str | None = None
    account: str | None = None
    password: str | None = None


def install(where: Folders, manager: Manager, steps: Steps) -> None:
    """Have the service installed and running, and it alone. Repeating it repairs what is not as it should be.

    Raises:
        ServiceRefused: the service manager is not there, or refused.
        StateNotWritable: its settings cannot be written.
        TimedOut: the daemon that ran was asked to make way, and is still at it.
    """
    manager.prepare()
    if manager.takes_over:
        handover.make_way(where, steps, unless=manager.main_pid())
    manager.begin()
    if manager.takes_over and not steps.dry_run:
        _see_it_answer(where)


def uninstall(where: Folders, manager: Manager, steps: Steps, *, stop_servers: bool) -> None:
    """Have the service stopped and removed. Servers go on, unless they shall be stopped.

    Raises:
        ServiceRefused: the service manager refused.
        StopFailed: a server could not be stopped; the service is as it was.
    """
    if stop_servers:
        handover.stop_servers(where, steps)
    elif manager.removal_ends_servers and manager.report().installed:
        handover.make_way(where, steps, unless=None, for_another=False)
    manager.remove()


def status(where: Folders, manager: Manager) -> tuple[Report, Mapping[str, Any] | None]:
    """How the service is, and the daemon that answers, whoever has started it."""
    report = manager.report()
    running = handover.running(where)
    daemon = {"pid": running.pid, "version": running.version} if running else None
    return report, daemon


def open_manager(
    where: Folders,
    version: str,
    steps: Steps,
    wish: OperationRequest = OperationRequest(),  # noqa: B008 (frozen)
    environment: Mapping[str, str] = os.environ,
) -> Manager:
    """The service manager of this system.

    Raises:
        PlatformUnsupported: there is none that we know.
        InvalidParams: what is wished for cannot be.
        ServiceRefused: this user may not have it so.
    """
    installation = this_installation(where, version, environment)
    system = facts.SYSTEM
    if system == "linux":
        from .systemd import Systemd

        settings = Path(environment.get("XDG_CONFIG_HOME") or installation.user_home / ".config")
        return Systemd(installation, steps, settings / "systemd" / "user", _user())
    if system == "macos":
        from .launchd import Launchd

        return Launchd(installation, steps, installation.user_home / "Library" / "LaunchAgents", _user())
    if system == "windows":
        return _windows(where, version, steps, wish)
    raise PlatformUnsupported(f"no service manager of {system} is known", hint="godot-supervisor start --foreground")


def runner(environment: Mapping[str, str] = os.environ) -> Runner:
    """Runs the service manager's own commands. A shell without a session is shown the way to the user's manager."""
    folder = facts.user_runtime_folder()
    if folder is not None and not environment.get(RUNTIME_VARIABLE) and Path(folder).is_dir():
        environment = {**environment, RUNTIME_VARIABLE: folder}
    return system_runner(environment)


def start_if_installed(where: Folders, version: str) -> bool:
    """Have the service start the daemon, where there is one; whether it has. For whoever is about to start a daemon."""
    try:
        return open_manager(where, version, Steps(runner())).start_if_installed()
    except (ServiceRefused, PlatformUnsupported, InvalidParams):
        return False


def _windows(where: Folders, version: str, steps: Steps, wish: OperationRequest) -> Manager:
    from .windows import Mode, Windows, checked_account, chosen

    mode, why = chosen(wish.mode, elevated=control.elevated())
    if wish.mode is None:
        steps.note(f"mode {mode}: {why}")
    return Windows(
        this_installation(where, version),
        steps,
        control.open_service_control(),
        where.home,
        control.account_name(),
        mode=mode,
        account=checked_account(wish.account) if mode is Mode.ACCOUNT_SERVICE else None,
        password=wish.password,
    )


def _see_it_answer(where: Folders) -> None:
    deadline = time.monotonic() + ANSWER_PATIENCE_S
    while handover.running(where) is None:
        if time.monotonic() > deadline:
            raise ServiceRefused(
                f"the service is installed, and after {ANSWER_PATIENCE_S:g} s no daemon answers",
                hint="godot-supervisor service status",
            )
        time.sleep(_POLL_S)


def _user() -> int:
    return getattr(os, "getuid", lambda: 0)()
