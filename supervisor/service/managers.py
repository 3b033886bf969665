"""Installing, removing and showing the service, and choosing the module for the service manager of this system."""

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
from .report import ServiceReport
from .steps import CommandRunner, Steps, system_runner

ANSWER_TIMEOUT_S = 20.0
_POLL_S = 0.1

RUNTIME_VARIABLE = "XDG_RUNTIME_DIR"


class ManagedService(Protocol):
    """The daemon of one installation as a service of this system's service manager. `name` is the manager's."""

    name: str

    @property
    def starts_daemon(self) -> bool:
        """Whether `start` starts a daemon, which then has to be the only one."""

    @property
    def removal_ends_servers(self) -> bool:
        """Whether `remove` would end the servers, unless the daemon has ended before."""

    def main_pid(self) -> int | None:
        """Return the pid of the process that the service manager watches; None if it watches none."""

    def install(self) -> None:
        """Write and register the settings of the service, so that it starts from the next logon or boot on."""

    def start(self) -> None:
        """Run the service as it is installed now."""

    def remove(self) -> None:
        """Stop and uninstall the service."""

    def report(self) -> ServiceReport:
        """Return the state of the service."""

    def start_if_installed(self) -> bool:
        """Start the service if it is installed; return whether that succeeded."""


@frozen
class InstallOptions:
    """How the user wants the service to be installed. Only Windows has a choice."""

    mode: str | None = None
    account: str | None = None
    password: str | None = None


def install(where: Folders, service: ManagedService, steps: Steps) -> None:
    """Install the service and run it as the only daemon. A repeated installation repairs what differs.

    Raises:
        ServiceRefused: the service manager does not answer, or refused.
        StateNotWritable: the settings of the service cannot be written.
        TimedOut: the running daemon was asked to end, and has not ended yet.
    """
    service.install()
    if service.starts_daemon:
        handover.end_running(where, steps, unless=service.main_pid())
    service.start()
    if service.starts_daemon and not steps.dry_run:
        _wait_for_answer(where)


def uninstall(where: Folders, service: ManagedService, steps: Steps, *, stop_servers: bool) -> None:
    """Stop and remove the service. Servers keep running unless `stop_servers` is given.

    Raises:
        ServiceRefused: the service manager refused.
        StopFailed: a server could not be stopped. The service stays.
    """
    if stop_servers:
        handover.stop_servers(where, steps)
    elif service.removal_ends_servers and service.report().installed:
        handover.end_running(where, steps, unless=None, for_another=False)
    service.remove()


def status(where: Folders, service: ManagedService) -> tuple[ServiceReport, Mapping[str, Any] | None]:
    """Return the state of the service, and the running daemon, whether or not the service has started it.

    The daemon is an object with `pid` and `version`, or None if no daemon answers.
    """
    report = service.report()
    running = handover.running_daemon(where)
    daemon = {"pid": running.pid, "version": running.version} if running else None
    return report, daemon


def open_service(
    where: Folders,
    version: str,
    steps: Steps,
    options: InstallOptions = InstallOptions(),  # noqa: B008 (frozen)
    environment: Mapping[str, str] = os.environ,
) -> ManagedService:
    """Return the service of this system for these folders.

    Raises:
        PlatformUnsupported: this system has no service manager that is supported.
        InvalidParams: the options are impossible.
        ServiceRefused: the options need rights that this user does not have.
    """
    installation = this_installation(where, version, environment)
    system = facts.SYSTEM
    if system == "linux":
        from .systemd import SystemdUnit

        settings = Path(environment.get("XDG_CONFIG_HOME") or installation.user_home / ".config")
        return SystemdUnit(installation, steps, settings / "systemd" / "user", _user_id())
    if system == "macos":
        from .launchd import LaunchdAgent

        return LaunchdAgent(installation, steps, installation.user_home / "Library" / "LaunchAgents", _user_id())
    if system == "windows":
        return _windows_service(where, version, steps, options)
    raise PlatformUnsupported(f"no service manager of {system} is known", hint="godot-supervisor start --foreground")


def command_runner(environment: Mapping[str, str] = os.environ) -> CommandRunner:
    """Return the runner of the service manager's commands.

    A shell without a session lacks the variable that leads to the user's service manager, so the runner adds it.
    """
    folder = facts.user_runtime_folder()
    if folder is not None and not environment.get(RUNTIME_VARIABLE) and Path(folder).is_dir():
        environment = {**environment, RUNTIME_VARIABLE: folder}
    return system_runner(environment)


def start_if_installed(where: Folders, version: str) -> bool:
    """Start the daemon through the service, if one is installed; return whether that succeeded.

    A client calls this before it starts a daemon itself.
    """
    try:
        return open_service(where, version, Steps(command_runner())).start_if_installed()
    except (ServiceRefused, PlatformUnsupported, InvalidParams):
        return False


def _windows_service(where: Folders, version: str, steps: Steps, options: InstallOptions) -> ManagedService:
    from .windows import WindowsService
    from .windows_modes import Mode, checked_account, choose_mode

    mode, why = choose_mode(options.mode, elevated=control.elevated())
    if options.mode is None:
        steps.note(f"mode {mode}: {why}")
    return WindowsService(
        this_installation(where, version),
        steps,
        control.open_service_control(),
        where.home,
        control.account_name(),
        mode=mode,
        account=checked_account(options.account) if mode is Mode.ACCOUNT_SERVICE else None,
        password=options.password,
    )


def _wait_for_answer(where: Folders) -> None:
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while handover.running_daemon(where) is None:
        if time.monotonic() > deadline:
            raise ServiceRefused(
                f"the service is installed, but no daemon answers after {ANSWER_TIMEOUT_S:g} s",
                hint="godot-supervisor service status",
            )
        time.sleep(_POLL_S)


def _user_id() -> int:
    """Return the uid of this user; 0 on Windows, which has none."""
    return getattr(os, "getuid", lambda: 0)()
