"""The systemd user unit."""

import time
from pathlib import Path

from ..errors import ServiceRefused
from .differences import COMMAND, VERSION, differences, marked_version
from .installation import Installation
from .report import ServiceReport
from .steps import CommandResult, Steps
from .templates import command_for_systemd, for_systemd, render

TEMPLATE = "godot-supervisor.service"
SYSTEMCTL = ("systemctl", "--user")
STOPPING_TIMEOUT_S = 3.0
_POLL_S = 0.02
_VOLATILE = "Environment"
"""A setting that depends on the shell from which the unit was written, so it is not compared."""


class SystemdUnit:
    """The service of one installation, as a unit of the user's service manager."""

    name = "systemd"
    starts_daemon = True
    removal_ends_servers = False

    def __init__(self, installation: Installation, steps: Steps, folder: Path, uid: int) -> None:
        self._installation = installation
        self._steps = steps
        self._uid = str(uid)
        self._changed = False
        self._new = False
        self._unit = f"{installation.name}.service"
        self.file = folder / self._unit

    def text(self) -> str:
        """Return the unit as this installation would write it."""
        installation = self._installation
        variables = (for_systemd(f"{name}={value}") for name, value in installation.variables.items())
        return render(
            TEMPLATE,
            {
                "version": installation.version,
                "command": command_for_systemd(installation.command),
                "variables": "\n".join(f"{_VOLATILE}={assignment}" for assignment in variables),
            },
        )

    def main_pid(self) -> int | None:
        """Return the pid of the process that systemd watches, or None."""
        return int(self._properties().get("MainPID", "0") or 0) or None

    def install(self) -> None:
        """Write the unit, and enable it for every login.

        Raises:
            ServiceRefused: the user's service manager does not answer, or refused.
            StateNotWritable: the unit cannot be written.
        """
        self._require_answer()
        self._new = not self.file.exists()
        self._changed = self._steps.write(self.file, self.text())
        if self._changed:
            self._systemctl("daemon-reload")
        if self._properties().get("UnitFileState") != "enabled":
            self._systemctl("enable", self._unit)
        self._enable_lingering()

    def start(self) -> None:
        """Start the unit, or restart it if it has changed. Returns when the daemon answers.

        Raises:
            ServiceRefused: the unit did not start.
        """
        state = self._properties().get("ActiveState")
        runs = state in ("active", "reloading")
        if runs and not self._changed:
            return
        # A unit that was just written has no starts that count, unless a unit of this name has failed before.
        if state == "failed" or not self._new:
            self._reset_failures()
        try:
            self._systemctl("restart" if runs else "start", self._unit)
        except ServiceRefused as problem:
            problem.hint = f"journalctl --user -u {self._unit}"
            raise

    def remove(self) -> None:
        """Stop the service, and remove its unit. Servers keep running.

        Raises:
            ServiceRefused: the service manager refused.
            StateNotWritable: the unit cannot be removed.
        """
        if not self.file.exists():
            return
        if self._why_silent() is None:
            self._systemctl("disable", "--now", self._unit)
        else:
            self._steps.note("the user's service manager does not answer, so nothing was stopped")
        self._steps.remove(self.file)
        if self._why_silent() is None:
            self._systemctl("daemon-reload")
            self._reset_failures()
        if self._lingering():
            self._steps.note("lingering stays enabled; to end it: loginctl disable-linger")

    def report(self) -> ServiceReport:
        """Return the state of the service."""
        installed = self.file.exists()
        shown = self._properties()
        silence = self._why_silent()
        if silence is not None:
            self._steps.note(f"the user's service manager does not answer: {silence}")
        return ServiceReport(
            manager=self.name,
            name=self._unit,
            installed=installed,
            file=str(self.file),
            enabled=shown["UnitFileState"] == "enabled" if shown.get("UnitFileState") else None,
            state=shown.get("ActiveState"),
            pid=int(shown.get("MainPID", "0") or 0) or None,
            differences=self._differences() if installed else (),
            lingering=self._lingering(),
        )

    def start_if_installed(self) -> bool:
        """Start the service if it is installed. Return whether it runs now."""
        if not self.file.exists():
            return False
        self._wait_while_stopping()
        self._reset_failures()
        return self._systemctl("start", self._unit, may_fail=True).status == 0

    def _wait_while_stopping(self) -> None:
        """Wait for a daemon that has removed its endpoint to end, because starting a unit that runs has no effect."""
        deadline = time.monotonic() + STOPPING_TIMEOUT_S
        first = found = self._properties()
        while found.get("ActiveState") in ("active", "deactivating") and found["MainPID"] == first["MainPID"]:
            if time.monotonic() > deadline:
                return
            time.sleep(_POLL_S)
            found = self._properties()

    def _reset_failures(self) -> None:
        """Reset the count of starts, because its limit is meant for crashes, not for starts that a user wants."""
        self._systemctl("reset-failed", self._unit, may_fail=True)

    def _differences(self) -> tuple[str, ...]:
        found = self.file.read_text(encoding="utf-8", errors="replace")
        return differences(_settings(found), _settings(self.text()))

    def _properties(self) -> dict[str, str]:
        """Return what systemd tells of the unit; empty if it does not answer."""
        ran = self._steps.ask(*SYSTEMCTL, "show", "--property=ActiveState,MainPID,UnitFileState", self._unit)
        pairs = (line.partition("=") for line in ran.out.splitlines() if ran.status == 0)
        return {name: value for name, _, value in pairs}

    def _why_silent(self) -> str | None:
        """Return why the user's service manager does not answer, or None if it does."""
        ran = self._steps.ask(*SYSTEMCTL, "show", "--property=Version")
        return None if ran.status == 0 else ran.last_line

    def _require_answer(self) -> None:
        silence = self._why_silent()
        if silence is not None:
            problem = f"the user's service manager does not answer: {silence}"
            if not self._steps.dry_run:
                raise ServiceRefused(problem, hint="the daemon runs without a service too: godot-supervisor start")
            self._steps.note(f"{problem}; nothing can be installed from here")

    def _enable_lingering(self) -> None:
        """Enable lingering: a user's services, and all that they started, would end with the user's last session."""
        if self._lingering():
            return
        ran = self._steps.run("loginctl", "--no-ask-password", "enable-linger", may_fail=True)
        if ran.status != 0:
            self._steps.note(
                f"lingering is off, so the daemon and its servers end with your last session ({ran.last_line}). "
                f"To switch lingering on: sudo loginctl enable-linger {self._uid}"
            )

    def _lingering(self) -> bool | None:
        """Return whether this user's services outlive the last session; None if loginctl does not tell."""
        ran = self._steps.ask("loginctl", "show-user", "--property=Linger", "--value", self._uid)
        return {"yes": True, "no": False}.get(ran.out.strip()) if ran.status == 0 else None

    def _systemctl(self, *words: str, may_fail: bool = False) -> CommandResult:
        return self._steps.run(*SYSTEMCTL, *words, may_fail=may_fail)


def _settings(unit: str) -> dict[str, str]:
    """Return the settings of a unit, without those that depend on the shell from which it was written."""
    lines = (line.partition("=") for line in unit.splitlines() if not line.startswith(("#", "[")))
    settings = {name.strip(): value.strip() for name, _, value in lines if name.strip() and name != _VOLATILE}
    command = settings.pop("ExecStart", "")
    return {VERSION: marked_version(unit), COMMAND: command, **settings}
