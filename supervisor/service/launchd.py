"""The launchd agent: launchd.plist(5), launchctl(1)."""

import plistlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from ..errors import ServiceRefused
from .differences import COMMAND, VERSION, differences, marked_version
from .installation import NAME, Installation
from .report import ServiceReport
from .steps import CommandResult, Steps
from .templates import for_xml, render

TEMPLATE = "launchd.plist"
LABEL_PREFIX = "io.github."

ALREADY_LOADED = (5, 37)
"""Exit statuses of `bootstrap` for an agent that is loaded: "Input/output error", "Operation already in progress"."""
NO_SUCH_DOMAIN = (112, 125)
"""Exit statuses without a `gui` domain, because no user is logged in at the screen."""
NOT_LOADED = (3, 36, 113)
"""Exit statuses of `bootout` for an agent that is not loaded, or that is just being unloaded."""

UNLOAD_TIMEOUT_S = 30.0
_POLL_S = 0.2

_INDENT = "\t\t"
_VOLATILE = "EnvironmentVariables"
"""A key that depends on the shell from which the agent was written, so it is not compared."""


class LaunchdAgent:
    """The service of one installation, as a launchd agent of this user."""

    name = "launchd"
    starts_daemon = True
    removal_ends_servers = False

    def __init__(
        self,
        installation: Installation,
        steps: Steps,
        folder: Path,
        uid: int,
        *,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._installation = installation
        self._steps = steps
        self._uid = uid
        self._pause = pause
        self._changed = False
        self._label = LABEL_PREFIX + installation.name.replace(f"{NAME}-", f"{NAME}.")
        self.file = folder / f"{self._label}.plist"

    def text(self) -> str:
        """Return the agent as this installation would write it."""
        installation = self._installation
        words = [f"{_INDENT}<string>{for_xml(word)}</string>" for word in installation.command]
        variables = [
            f"{_INDENT}<key>{for_xml(name)}</key>\n{_INDENT}<string>{for_xml(value)}</string>"
            for name, value in installation.variables.items()
        ]
        return render(
            TEMPLATE,
            {
                "version": installation.version,
                "label": for_xml(self._label),
                "command": "\n".join(words),
                "variables": "\n".join(variables),
                "folder": for_xml(str(installation.user_home)),
                "log": for_xml(str(installation.logs / "launchd.log")),
            },
        )

    def main_pid(self) -> int | None:
        """Return the pid of the process that launchd watches, or None."""
        pid = self._printed().get("pid", "")
        return int(pid) if pid.isdecimal() else None

    def install(self) -> None:
        """Write the agent.

        Raises:
            ServiceRefused: launchctl does not work.
            StateNotWritable: the agent, or the folder of its log, cannot be written.
        """
        self._domain()
        self._steps.make_folder(self._installation.logs)
        self._changed = self._steps.write(self.file, self.text())

    def start(self) -> None:
        """Load the agent, again if it has changed. The daemon starts at once, and at every login.

        Raises:
            ServiceRefused: launchd did not load the agent.
        """
        domain = self._domain()
        target = f"{domain}/{self._label}"
        # Otherwise launchd would refuse an agent that was disabled by hand.
        self._launchctl("enable", target, may_fail=True)
        if self._loaded(target):
            if not self._changed:
                self._launchctl("kickstart", target)
                return
            self._unload(target)
        ran = self._bootstrap(domain, also_accepted=(*ALREADY_LOADED, *NO_SUCH_DOMAIN))
        if ran.status in NO_SUCH_DOMAIN:
            domain = self._background_domain()
            target = f"{domain}/{self._label}"
            ran = self._bootstrap(domain, also_accepted=ALREADY_LOADED)
        if ran.status in ALREADY_LOADED:
            self._unload(target)
            self._bootstrap(domain)

    def remove(self) -> None:
        """Unload the agent, which stops the daemon, and remove it. Servers keep running.

        Raises:
            ServiceRefused: launchd refused.
            StateNotWritable: the agent cannot be removed.
        """
        for domain in (f"gui/{self._uid}", f"user/{self._uid}"):
            if self._loaded(f"{domain}/{self._label}"):
                self._unload(f"{domain}/{self._label}")
        self._steps.remove(self.file)

    def report(self) -> ServiceReport:
        """Return the state of the service."""
        printed = self._printed()
        installed = self.file.exists()
        pid = printed.get("pid", "")
        return ServiceReport(
            manager=self.name,
            name=self._label,
            installed=installed,
            file=str(self.file),
            enabled=installed,
            state=printed.get("state"),
            pid=int(pid) if pid.isdecimal() else None,
            differences=self._differences() if installed else (),
        )

    def start_if_installed(self) -> bool:
        """Start the service if it is installed. Return whether launchd accepted that."""
        if not self.file.exists():
            return False
        ran = self._steps.run("launchctl", "kickstart", f"{self._domain()}/{self._label}", may_fail=True)
        return ran.status == 0

    def _bootstrap(self, domain: str, also_accepted: tuple[int, ...] = ()) -> CommandResult:
        return self._steps.run("launchctl", "bootstrap", domain, str(self.file), accepted=(0, *also_accepted))

    def _unload(self, target: str) -> None:
        """Unload the agent and wait for the end: `bootout` may return early, and `bootstrap` is refused until then."""
        self._steps.run("launchctl", "bootout", target, accepted=(0, *NOT_LOADED))
        waited = 0.0
        while not self._steps.dry_run and self._loaded(target):
            if waited >= UNLOAD_TIMEOUT_S:
                raise ServiceRefused(f"launchd does not unload {target}")
            self._pause(_POLL_S)
            waited += _POLL_S

    def _domain(self) -> str:
        """Return the domain of this user's agents: the one at the screen if the user is logged in there.

        Raises:
            ServiceRefused: launchctl does not answer.
        """
        ran = self._steps.ask("launchctl", "print", f"gui/{self._uid}")
        if ran.status == 0:
            return f"gui/{self._uid}"
        if self._steps.ask("launchctl", "version").status != 0:
            raise ServiceRefused("launchctl does not answer", data={"output": ran.last_line})
        return self._background_domain()

    def _background_domain(self) -> str:
        """Return the domain of a user who is not logged in at the screen, and note that for the user."""
        note = "you are not logged in at the screen, so the daemon runs in your background session until then"
        if note not in self._steps.notes:
            self._steps.note(note)
        return f"user/{self._uid}"

    def _loaded(self, target: str) -> bool:
        return self._steps.ask("launchctl", "print", target).status == 0

    def _printed(self) -> dict[str, str]:
        """Return what launchd prints of the agent: lines `name = value`. The first of a name is the agent's own."""
        for domain in (f"gui/{self._uid}", f"user/{self._uid}"):
            ran = self._steps.ask("launchctl", "print", f"{domain}/{self._label}")
            if ran.status == 0:
                pairs = [line.strip().partition(" = ") for line in ran.out.splitlines()]
                return {name: value for name, equals, value in reversed(pairs) if equals}
        return {}

    def _differences(self) -> tuple[str, ...]:
        found = self.file.read_bytes()
        try:
            return differences(_settings(found), _settings(self.text().encode()))
        except (plistlib.InvalidFileException, ExpatError, ValueError):
            return (f"{self.file} cannot be read",)

    def _launchctl(self, *words: str, may_fail: bool = False) -> CommandResult:
        return self._steps.run("launchctl", *words, may_fail=may_fail)


def _settings(plist: bytes) -> dict[str, str]:
    found: dict[str, Any] = plistlib.loads(plist)
    found.pop(_VOLATILE, None)
    command = found.pop("ProgramArguments", [])
    settings = {name: str(value) for name, value in found.items()}
    return {VERSION: marked_version(plist.decode(errors="replace")), COMMAND: " ".join(command), **settings}
