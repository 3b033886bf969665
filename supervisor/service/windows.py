"""The service on Windows: a logon task, a service for each user, or a service with an account."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

from ..errors import ServiceRefused
from ..native.service_api import OWN_PROCESS, USER_OWN_PROCESS, InstalledService, ServiceControl, ServiceDefinition
from .differences import COMMAND, VERSION, differences
from .installation import Installation
from .report import ServiceReport
from .steps import Steps
from .templates import for_xml, render
from .windows_modes import Mode

TEMPLATE = "task.xml"
TASK_NAMESPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
DESCRIPTION = "Owns the life of MCP servers for Godot editors"
WINDOWLESS = "pythonw.exe"

ACCESS_DENIED = 5
LOGON_FAILED = 1069

_VERSION = re.compile(r"\(godot-supervisor ([^)]+)\)")

_MODE_OF_TYPE = {USER_OWN_PROCESS: Mode.USER_SERVICE, OWN_PROCESS: Mode.ACCOUNT_SERVICE}


class WindowsService:
    """The service of one installation, in one of the modes. `account` and `password` are for an account-service.

    `user` includes the domain. `folder` is for the file with the task's settings.
    """

    name = "windows"
    # Every way to stop a task ends the task's whole job, with every server in it.
    removal_ends_servers = True

    def __init__(
        self,
        installation: Installation,
        steps: Steps,
        control: ServiceControl,
        folder: Path,
        user: str,
        *,
        mode: Mode = Mode.TASK,
        account: str | None = None,
        password: str | None = None,
    ) -> None:
        self._installation = installation
        self._steps = steps
        self._control = control
        self._user = user
        self._mode = mode
        self._account = account
        self._password = password
        self.file = folder / "task.xml"

    @property
    def starts_daemon(self) -> bool:
        """Whether `start` starts a daemon. A user-service starts only at the user's next logon."""
        return self._mode is not Mode.USER_SERVICE

    def text(self) -> str:
        """Return the task as this installation would write it."""
        program, *arguments = self._command()
        return render(
            TEMPLATE,
            {
                "version": self._installation.version,
                "name": for_xml(self._installation.name),
                "user": for_xml(self._user),
                "program": for_xml(program),
                "arguments": for_xml(subprocess.list2cmdline(arguments)),
            },
        )

    def definition(self) -> ServiceDefinition:
        """Return the service as this installation would create it."""
        as_account = self._mode is Mode.ACCOUNT_SERVICE
        return ServiceDefinition(
            name=self._installation.name,
            display_name="Godot Supervisor",
            description=f"{DESCRIPTION} (godot-supervisor {self._installation.version})",
            command_line=subprocess.list2cmdline(self._command()),
            type=OWN_PROCESS if as_account else USER_OWN_PROCESS,
            account=self._account if as_account else None,
            password=self._password if as_account else None,
            delayed=as_account,
        )

    def main_pid(self) -> int | None:
        """Return the pid of the process that the service control manager watches, or None."""
        found = self._query()
        return found.pid if found else None

    def install(self) -> None:
        """Install the service in this mode, and remove it in the others.

        Raises:
            ServiceRefused: Windows refused.
            StateNotWritable: the task's settings cannot be written.
        """
        if self._mode is Mode.TASK:
            self._remove_service()
            self._install_task()
        else:
            self._remove_task()
            self._install_service()

    def start(self) -> None:
        """Start the service now, if its mode allows that.

        Raises:
            ServiceRefused: Windows refused.
        """
        name = self._installation.name
        if self._mode is Mode.TASK:
            self._steps.run("schtasks", "/Run", "/TN", name)
        elif self._mode is Mode.ACCOUNT_SERVICE:
            self._steps.note("the daemon runs in session 0, where windows are invisible")
            self._act("started", f"service {name}", lambda: self._control.start(name))
        else:
            self._steps.note(
                "the daemon starts at your next logon; until then: godot-supervisor start, in a normal prompt"
            )
            self._steps.note(
                "every user of this machine gets a daemon at logon, from this installation; --mode task is only for you"
            )

    def remove(self) -> None:
        """Remove the task and the service. The daemon was ended before; servers keep running.

        Raises:
            ServiceRefused: Windows refused.
        """
        self._remove_task()
        self._remove_service()

    def report(self) -> ServiceReport:
        """Return the state of the service."""
        service, task = self._query(), self._task()
        if service is not None:
            mode = _MODE_OF_TYPE.get(service.type)
            return ServiceReport(
                manager=self.name,
                name=self._installation.name,
                installed=True,
                mode=mode.value if mode else hex(service.type),
                enabled=service.automatic,
                state=service.state,
                pid=service.pid,
                differences=self._service_differences(service),
            )
        return ServiceReport(
            manager=self.name,
            name=self._installation.name,
            installed=task is not None,
            file=str(self.file) if task is not None else None,
            mode=Mode.TASK.value if task is not None else None,
            enabled=None if task is None else _text_of(task, "Settings/Enabled") != "false",
            differences=() if task is None else differences(_task_settings(task), _task_settings(self.text())),
        )

    def start_if_installed(self) -> bool:
        """Start the task if there is one. Return whether Windows accepted that. Services start at logon or boot."""
        if not self.file.exists():
            return False
        return self._steps.run("schtasks", "/Run", "/TN", self._installation.name, may_fail=True).status == 0

    def _command(self) -> tuple[str, ...]:
        """Return the command with an interpreter without a console, whose window would open at every logon."""
        windowless = Path(self._installation.program).with_name(WINDOWLESS)
        return (str(windowless) if windowless.exists() else self._installation.program, *self._installation.arguments)

    def _install_task(self) -> None:
        name = self._installation.name
        # schtasks reads XML files as UTF-16.
        changed = self._steps.write(self.file, self.text(), encoding="utf-16")
        known = self._task()
        if changed or known is None or differences(_task_settings(known), _task_settings(self.text())):
            self._steps.run("schtasks", "/Create", "/TN", name, "/XML", str(self.file), "/F")

    def _install_service(self) -> None:
        wanted, found = self.definition(), self._query()
        what = f"service {wanted.name}, type {wanted.type:#x}: {wanted.command_line}"
        if found is None:
            self._act("created", what, lambda: self._control.create(wanted))
        elif found.type != wanted.type:
            self._remove_service()
            self._act("created", what, lambda: self._control.create(wanted))
        elif self._service_differences(found) or wanted.account:
            self._act("changed", what, lambda: self._control.change(wanted))

    def _remove_task(self) -> None:
        if self._task() is not None:
            # There is no /End before it, because that would end every server; see `removal_ends_servers`.
            self._steps.run("schtasks", "/Delete", "/TN", self._installation.name, "/F")
        self._steps.remove(self.file)

    def _remove_service(self) -> None:
        name, found = self._installation.name, self._query()
        if found is None:
            return
        if found.type == OWN_PROCESS and found.state != "stopped":
            self._act("stopped", f"service {name}", lambda: self._control.stop(name))
        self._act("deleted", f"service {name}", lambda: self._control.delete(name))

    def _service_differences(self, found: InstalledService) -> tuple[str, ...]:
        version = _VERSION.search(found.description)
        wanted = {VERSION: self._installation.version, COMMAND: subprocess.list2cmdline(self._command())}
        return differences({VERSION: version[1] if version else "", COMMAND: found.command_line}, wanted)

    def _query(self) -> InstalledService | None:
        try:
            return self._control.query(self._installation.name)
        except OSError as problem:
            raise _refusal(problem) from problem

    def _task(self) -> str | None:
        """Return the task's settings as Windows has them, or None if there is no such task."""
        ran = self._steps.ask("schtasks", "/Query", "/TN", self._installation.name, "/XML")
        return ran.out if ran.status == 0 else None

    def _act(self, action: str, what: str, do: Callable[[], None]) -> None:
        try:
            self._steps.act(action, what, do)
        except OSError as problem:
            raise _refusal(problem) from problem


def _refusal(problem: OSError) -> ServiceRefused:
    """Return the error for users, with a hint where the number of Windows' error is known."""
    hints = {
        ACCESS_DENIED: "in an elevated prompt, or: service install --mode task",
        LOGON_FAILED: 'check the password, and that the account may "log on as a service" (secpol.msc)',
    }
    number = getattr(problem, "winerror", None)
    return ServiceRefused(f"Windows refused: {problem}", hint=hints.get(number or 0), data={"winerror": number})


def _task_settings(xml: str) -> dict[str, str]:
    """Return the settings of a task that are compared. Windows writes all others in its own form."""
    command = f"{_text_of(xml, 'Actions/Exec/Command')} {_text_of(xml, 'Actions/Exec/Arguments')}".strip()
    return {VERSION: _text_of(xml, "RegistrationInfo/Version"), COMMAND: command}


def _text_of(xml: str, path: str) -> str:
    try:
        # The text is decoded already, whatever encoding its first line names.
        task = ET.fromstring(xml.partition("?>")[2] or xml)  # noqa: S314 (the system's own, or ours)
    except ET.ParseError:
        return ""
    return task.findtext("/".join(f"{TASK_NAMESPACE}{name}" for name in path.split("/")), "").strip()
