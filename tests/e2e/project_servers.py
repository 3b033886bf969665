"""A home with one server for each project, and the checks that hold after each fault (docs/reliability.md)."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.home import SERVERS, Home, eventually, is_free

MINI = """
[daemon]
discover = "off"

[kinds.mini]
command = ["{python}", "-I", "-S", "{server}", "{{http}}", "{{version}}"]
version = "1.0"
ports = {{ http = "{http}" }}
env = {{ TOY_OWNER = "{{owner_pid}}" }}
identify = {{ http = "/", match = {{ name = "mini" }}, version = "version" }}
topology = "per-editor"
grace_s = {grace}
linger_s = {grace}
stop_timeout_s = {stop_timeout}
ready_timeout_s = 20
"""

SETTLED = {"ready", "failed"}
PROJECT = b"GODOT_SUPERVISOR_PROJECT="


@dataclass(frozen=True)
class Promise:
    """The text of a condition that is waited for. If it never holds, the message contains the daemon's log."""

    what: str
    home: Home

    def __str__(self) -> str:
        return f"{self.what}:\n{self.home.note()}"


class ProjectServers:
    """A home where projects have servers. One is the bystander: its owner lives, so no fault may ever change it."""

    def __init__(self, home: Home, ports: range) -> None:
        self.home = home
        self.ports = ports
        self._projects = 0
        self._bystander: dict[str, Any] | None = None

    @staticmethod
    def config(ports: range, grace: float = 0.1, stop_timeout: float = 5) -> str:
        """Return a configuration with one small kind on these ports."""
        reach = f"{ports[0]}-{ports[-1]}"
        server = SERVERS / "mini.py"
        return MINI.format(python=sys.executable, server=server, http=reach, grace=grace, stop_timeout=stop_timeout)

    def claim(self) -> dict[str, Any]:
        """Start a living owner with a new project."""
        self._projects += 1
        return {"pid": self.home.owner().pid, "project": self.home.project(f"p{self._projects}")}

    def ensure(self, owner: dict[str, Any], version: str = "1.0") -> dict[str, Any]:
        """Return a ready server of this owner."""
        params = {"kind": "mini", "owner": owner, "version": version}
        server: dict[str, Any] = self.home.call("server.ensure", params)
        assert (server["state"], server["version"]) == ("ready", version), server
        return server

    def foreign_server(self) -> int:
        """Start a server without the daemon; return its pid."""
        port = next(port for port in reversed(self.ports) if is_free(port))
        process = self.home.run(sys.executable, "-I", "-S", str(SERVERS / "mini.py"), str(port), "1.0")
        eventually(lambda: not is_free(port), "the foreign server listens")
        return process.pid

    def settle(self) -> list[dict[str, Any]]:
        """Wait until no operation runs, and check the servers; return their rows.

        The daemon knows each living server, and none twice; the bystander is as it was.
        """

        rows: list[dict[str, Any]] = []

        def quiet() -> bool:
            rows[:] = self.home.call("server.list")["servers"]
            known = sorted(
                row["root_pid"] for row in rows if row["root_pid"] is not None and row["origin"] == "spawned"
            )
            still = all(row["state"] in SETTLED for row in rows)
            return still and known == sorted(self.home.server_processes())

        eventually(quiet, Promise("every living server is known, once", self.home), 20.0)
        projects = [row["project"] for row in rows]
        assert len(projects) == len(set(projects)), projects
        self.keep_the_bystander(rows)
        return rows

    def keep_the_bystander(self, rows: list[dict[str, Any]]) -> None:
        """Check that the bystander is the same process, in the same state, as at first."""
        if self._bystander is None:
            owner = self.claim()
            self._bystander = self.ensure(owner)
            rows.append(self._bystander)
        same = ("id", "root_pid", "state", "ports", "version", "owners")
        now = next(row for row in rows if row["id"] == self._bystander["id"])
        assert {key: now[key] for key in same} == {key: self._bystander[key] for key in same}

    def row(self, project: str) -> dict[str, Any] | None:
        """Return the server of a project as the daemon shows it; None if the project has none."""
        rows = self.home.call("server.list")["servers"]
        return next((row for row in rows if row["project"] == project), None)

    def processes(self, project: str) -> list[int]:
        """Return the server processes of a project, also those that the daemon does not know."""
        found = [pid for pid in self.home.server_processes() if project_of(pid) == project]
        assert len(found) <= 1, f"two servers for {project}: {found}\n{self.home.note()}"
        return found

    def abandon(self, owner: dict[str, Any]) -> None:
        """End an owner, and check that no process and no row of its server is left."""
        os.kill(owner["pid"], signal.SIGKILL)
        eventually(
            lambda: not self.processes(owner["project"]) and self.row(owner["project"]) is None,
            Promise(f"what {owner['project']} had goes", self.home),
        )


def serve_projects(home: Home, ports: range) -> ProjectServers:
    """Return the servers of a home, with a bystander. The daemon has to run."""
    made = ProjectServers(home, ports)
    made.settle()
    return made


def project_of(pid: int) -> str | None:
    """Return the project that a server was started for."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((entry.partition(b"=")[2].decode() for entry in entries if entry.startswith(PROJECT)), None)
