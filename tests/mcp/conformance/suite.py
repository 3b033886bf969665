"""Runs scenarios of the official conformance suite of MCP, and reads what it found."""

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests import cache, npm
from tests.e2e.home import Home
from tests.lab.clients.packages import Package
from tests.mcp.steps import kill_server
from tests.ports import reach

NAME = "@modelcontextprotocol/conformance"
OLD, NEW = "0.1.16", "0.2.0-alpha.12"
LEGACY, MODERN = "2025-11-25", "2026-07-28"
SUITE_S = 300.0
SCENARIO_MS = "90000"
KIND = "suite"

FAILS_DIRECTLY = {
    # This version of the suite names a revision in its header in which there are no such events.
    (OLD, LEGACY): {"server-sse-polling"},
}
"""Scenarios that do not pass without the bridge either."""

IN_A_HURRY = ("server-stateless",)
"""Scenarios that wait for less than a second, which is not enough for a server that has to start."""

CONFIG = """
[daemon]
discover = "off"
environments = "{cache}"

[kinds.suite]
package = "mcp"
version = "2.3.0"
command = ["{{python}}", "-W", "ignore", "{server}", "{{http}}"]
ports = {{ http = "{http}" }}
identify = {{ http = "/health", match = {{ name = "suite-server" }}, version = "version" }}
sessions = {{ tcp = "http" }}
url = "http://127.0.0.1:{{http}}/mcp"
topology = "shared"
grace_s = 1
linger_s = 1
"""


class Found(NamedTuple):
    """The result of a scenario: how many checks have passed, and those that have not."""

    passed: int
    failed: tuple[str, ...]

    def __str__(self) -> str:
        """Return a cell of the table."""
        return str(self.passed) if not self.failed else f"{self.passed}, not {'; '.join(self.failed)}"


def config() -> str:
    """Return a configuration with the server of the suite as a kind of the user's own."""
    server = Path(__file__).with_name("suite_server.py")
    return CONFIG.format(cache=cache.environments(), server=server, http=reach(0))


def run(version: str, revision: str, url: str, folder: Path, *scenarios: str) -> dict[str, Found]:
    """Run these scenarios, or all of a revision, against a URL. Returns what each has found."""
    folder.mkdir(parents=True)
    for words in [("--scenario", name) for name in scenarios] or [("--suite", "all")]:
        _run(
            version,
            "server",
            "--url",
            url,
            *words,
            "--spec-version",
            revision,
            "--output-dir",
            str(folder),
            *(("--timeout", SCENARIO_MS) if version == NEW else ()),
        )
    return {
        path.parent.name[len("server-") : -len("-2026-11-30T00-00-00-000Z")]: _found(path) for path in _checks(folder)
    }


def url(home: Home) -> str:
    """Return the URL of the server itself."""
    row = home.server(KIND)
    assert row is not None
    return str(row["url"])


KILLS_MAX = 3
"""The kills in a scenario. The daemon waits longer before each restart, and the suite waits 10 s for an answer."""


class Killer:
    """Kills the server of a home, at most `KILLS_MAX` times from `begin` on. `kills` counts all of them."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._left = 0
        self.kills = 0

    def begin(self) -> None:
        """Begin a scenario: restart the server in order, so that the daemon counts exits anew, and then kill it."""
        if self._home.cli("restart", KIND).returncode != 0:
            # The server has ended, because no bridge has needed it.
            self._home.up(KIND)
        self._left = KILLS_MAX
        self.kill_if_ready()

    def kill_if_ready(self) -> None:
        """Kill the server, unless none runs, and wait until the daemon has noticed."""
        if self._left > 0 and self._home.server_in(KIND, "ready") is not None:
            kill_server(self._home, KIND)
            self._left -= 1
            self.kills += 1


def installed(version: str) -> Path:
    """Install the suite, unless it is there, and return its folder."""
    package = Package("npm", NAME, version)
    package.install()
    return package.folder / "node_modules" / NAME


def _run(version: str, *words: str) -> None:
    program = installed(version) / "dist" / "index.js"
    subprocess.run([npm.node(), str(program), *words], capture_output=True, timeout=SUITE_S, check=False)


def _checks(folder: Path) -> list[Path]:
    return sorted(folder.glob("server-*/checks.json"))


def _found(path: Path) -> Found:
    checks = json.loads(path.read_text())
    bad = tuple(
        f"{each['id']} ({each.get('errorMessage')})" for each in checks if each["status"] in {"FAILURE", "WARNING"}
    )
    return Found(sum(each["status"] == "SUCCESS" for each in checks), bad)
