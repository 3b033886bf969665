"""The systemd user unit."""

import time
from pathlib import Path

from ..errors import ServiceRefused
from .differences import COMMAND, VERSION, differences, marked_version
from .installation import Installation
from .report import Report
from .steps import Ran, Steps
from .templates import command_for_systemd, for_systemd, render

TEMPLATE = "godot-supervisor.service"
SYSTEMCTL = ("systemctl", "--user")
LEAVING_PATIENCE_S = 3.0
_POLL_S = 0.02
VOLATILE = "Environment"
"""Depends on the shell from which the unit was written."""


class Systemd:
    """The service of one installation in the user's service manager."""

    name = "systemd"
    takes_over = True
    removal_ends_servers = False

    def __init__(self, installation: Installation, steps: Steps, folder: Path, user: int) -> None:
        self._installation = installation
        self._steps = steps
        self._user = str(user)
        self._changed = False
        self._new = False
        self._unit = f"{installation.name}.service"
        self.file = folder / self._unit

    def text(self) -> str:
        """The unit as this installation would write it."""
        installation = self._installation
        variables = (for_systemd(f"{name}={value}") for name, value in installation.variables.items())
        return render(
            TEMPLATE,
            {
                "version": installation.version,
                "command": command_for_systemd(installation.command),
                "variables": "\n".join(f"{VOLATILE}={assignment}" for assignment in variables),
            },
        )

    def main_pid(self) -> int | None:
        """The process that it watches; None: none."""
        return int(self._shown().get("MainPID", "0") or 0) or None

    def prepare(self) -> None:
        """Write the unit, and have it started at every login.

        Raises:
            ServiceRefused: no service manager of this user answers, or it refused.
            StateNotWritable: the unit cannot be written.
        """
        self._answers()
        self._new = not self.file.exists()
        self._changed = self._steps.write(self.file, self.text())
        if self._changed:
            self._systemctl("daemon-reload")
        if self._shown().get("UnitFileState") != "enabled":
            self._systemctl("enable", self._unit)
        self._linger()

    def begin(self) -> None:
        """Start it, anew if it runs and its unit has changed. Returns when the daemon answers.

        Raises:
            ServiceRefused: it did not start.
        """
        state = self._shown().get("ActiveState")
        runs = state in ("active", "reloading")
        if runs and not self._changed:
            return
        if state == "failed" or not self._new:
            self._forgive()
        try:
            self._systemctl("restart" if runs else "start", self._unit)
        except ServiceRefused as problem:
            problem.hint = f"journalctl --user -u {self._unit}"
            raise

    def remove(self) -> None:
        """Stop it, and remove its unit. Servers go on.

        Raises:
            ServiceRefused: the service manager refused.
            StateNotWritable: the unit cannot be removed.
        """
        if not self.file.exists():
            return
        if self._silence() is None:
            self._systemctl("disable", "--now", self._unit)
        else:
            self._steps.note("the user's service manager does not answer: nothing was stopped")
        self._steps.remove(self.file)
        if self._silence() is None:
            self._systemctl("daemon-reload")
            self._forgive()
        if self._lingers():
            self._steps.note("lingering is left as it is; to end it: loginctl disable-linger")

    def report(self) -> Report:
        """How it is."""
        installed = self.file.exists()
        shown = self._shown()
        silence = self._silence()
        if silence is not None:
            self._steps.note(f"the user's service manager does not answer: {silence}")
        return Report(
            manager=self.name,
            name=self._unit,
            installed=installed,
            file=str(self.file),
            enabled=shown["UnitFileState"] == "enabled" if shown.get("UnitFileState") else None,
            state=shown.get("ActiveState"),
            pid=int(shown.get("MainPID", "0") or 0) or None,
            differences=self._differences() if installed else (),
            lingering=self._lingers(),
        )

    def start_if_installed(self) -> bool:
        """Start it where it is installed; whether it runs now."""
        if not self.file.exists():
            return False
        self._see_it_leave()
        self._forgive()
        return self._systemctl("start", self._unit, may_fail=True).status == 0

    def _see_it_leave(self) -> None:
        """A daemon takes its endpoint away before it ends: until then its unit runs, and to start it does nothing."""
        deadline = time.monotonic() + LEAVING_PATIENCE_S
        first = found = self._shown()
        while found.get("ActiveState") in ("active", "deactivating") and found["MainPID"] == first["MainPID"]:
            if time.monotonic() > deadline:
                return
            time.sleep(_POLL_S)
            found = self._shown()

    def _forgive(self) -> None:
        """What it has done does not count any more: the limit on starts is for crashes, not for what a user wants."""
        self._systemctl("reset-failed", self._unit, may_fail=True)

    def _differences(self) -> tuple[str, ...]:
        found = self.file.read_text(encoding="utf-8", errors="replace")
        return differences(_settings(found), _settings(self.text()))

    def _shown(self) -> dict[str, str]:
        ran = self._steps.ask(*SYSTEMCTL, "show", "--property=ActiveState,MainPID,UnitFileState", self._unit)
        pairs = (line.partition("=") for line in ran.out.splitlines() if ran.status == 0)
        return {name: value for name, _, value in pairs}

    def _silence(self) -> str | None:
        """Why the user's service manager does not answer; None: it does."""
        ran = self._steps.ask(*SYSTEMCTL, "show", "--property=Version")
        return None if ran.status == 0 else ran.last_words

    def _answers(self) -> None:
        silence = self._silence()
        if silence is not None:
            told = f"the user's service manager does not answer: {silence}"
            if not self._steps.dry_run:
                raise ServiceRefused(told, hint="the daemon runs without a service too: godot-supervisor start")
            self._steps.note(f"{told}; nothing can be installed from here")

    def _linger(self) -> None:
        """Without it a service of a user ends with the user's last session, and with it all that it started."""
        if self._lingers():
            return
        ran = self._steps.run("loginctl", "--no-ask-password", "enable-linger", may_fail=True)
        if ran.status != 0:
            self._steps.note(
                f"it ends with your last session, and the servers with it: lingering is off ({ran.last_words}). "
                f"To switch it on: sudo loginctl enable-linger {self._user}"
            )

    def _lingers(self) -> bool | None:
        ran = self._steps.ask("loginctl", "show-user", "--property=Linger", "--value", self._user)
        return {"yes": True, "no": False}.get(ran.out.strip()) if ran.status == 0 else None

    def _systemctl(self, *words: str, may_fail: bool = False) -> Ran:
        return self._steps.run(*SYSTEMCTL, *words, may_fail=may_fail)


def _settings(unit: str) -> dict[str, str]:
    """What a unit says, but for what depends on the shell from which it was written."""
    lines = (line.partition("=") for line in unit.splitlines() if not line.startswith(("#", "[")))
    settings = {name.strip(): value.strip() for name, _, value in lines if name.strip() and name != VOLATILE}
    command = settings.pop("ExecStart", "")
    return {VERSION: marked_version(unit), COMMAND: command, **settings}
