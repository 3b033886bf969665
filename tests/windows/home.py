"""The home of `tests/e2e`, with what Windows says instead of /proc, and without signals."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from supervisor.client import endpoint
from supervisor.client.client import Client
from supervisor.core.model import ProcessIdentity
from supervisor.errors import DaemonNotRunning
from supervisor.native.api import variable_if_told
from supervisor.native.platforms import open_platform
from tests.e2e.home import PATIENCE_S, Home, eventually
from tests.protocol import CheckedClient

PLATFORM = open_platform()
REPOSITORY = Path(__file__).resolve().parents[2]

SLEEPER = "import time; time.sleep(600)"


def lives(pid: int) -> bool:
    """Whether a process of this pid runs."""
    return PLATFORM.probe.identify(pid) is not None


def end(pid: int) -> None:
    """End a process as a crash would, and see it gone."""
    try:
        psutil.Process(pid).kill()
    except psutil.NoSuchProcess:
        return
    eventually(lambda: not lives(pid), f"process {pid} ends")


def identity(pid: int) -> ProcessIdentity:
    """Who is behind a pid."""
    found = PLATFORM.probe.identify(pid)
    assert found is not None, f"process {pid} is gone"
    return found


def image_of(pid: int) -> str:
    """The file that a process runs."""
    return str(psutil.Process(pid).exe())


def all_with(variable: str) -> dict[int, str]:
    """Every living process that was started with this environment variable, and its value there."""
    rows = PLATFORM.processes.table()
    values = {row.identity.pid: variable_if_told(PLATFORM.processes, row.identity, variable) for row in rows}
    return {pid: value for pid, value in values.items() if value is not None}


class WindowsHome(Home):
    """One daemon's world. `close` stops the servers, the daemon and every process that was started through it."""

    def __init__(self, folder: Path, config: str) -> None:
        super().__init__(folder, config)
        local = folder / "local"
        local.mkdir()
        self.environment |= {
            "LOCALAPPDATA": str(local),
            "APPDATA": str(local),
            "PYTHONPATH": str(REPOSITORY),
            # Compiling everything anew is most of what a command takes under Wine.
            "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "godot-supervisor-pycache"),
        }
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def start(self) -> int:
        """Start the daemon, and return when it answers; its pid. `cli("start")` does the same, for more."""
        # As `start` does it: our console is not the daemon's, nor its folder.
        alone = {"creationflags": subprocess.CREATE_NO_WINDOW, "cwd": self.folders.home}
        daemon = self.run(sys.executable, "-P", "-m", "supervisor.daemon", **alone)
        eventually(self._answers, "the daemon answers")
        pid = self.daemon_pid()
        assert pid == daemon.pid, self.note()
        return pid

    def _answers(self) -> bool:
        try:
            return self.daemon_pid() is not None and self.call("ping") is not None
        except DaemonNotRunning:
            return False

    def kill_daemon(self) -> None:
        """End it as a crash would, and see it gone."""
        pid = self.daemon_pid()
        assert pid is not None
        end(pid)

    def server_processes(self) -> list[int]:
        """The servers: what carries a launch token of this home, and is the root of its job."""
        roots = {row.identity.pid for row in PLATFORM.processes.table() if row.session == row.identity.pid}
        carriers = all_with("GODOT_SUPERVISOR_SERVER_ID").items()
        return [pid for pid, token in carriers if token.startswith(f"{self.folders.home_id}.") and pid in roots]

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A connection to the running daemon."""
        found = endpoint.read(self.folders.endpoint)
        assert found is not None, "no daemon has published itself"
        with CheckedClient.connect(found, timeout_s=PATIENCE_S) as client:
            yield client

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """One request on a connection of its own. Wine takes its time on a machine with other work."""
        with self.client() as client:
            return client.call(method, params, accept_timeout_s=PATIENCE_S)

    def daemon_processes(self) -> list[int]:
        """The daemons, also those that have not come as far as to publish themselves."""
        homes = all_with("GODOT_SUPERVISOR_HOME").items()
        ours = [pid for pid, home in homes if home == str(self.folders.home)]
        return [pid for pid in ours if "supervisor.daemon" in PLATFORM.probe.describe(pid).command]

    def owner(self) -> subprocess.Popen[Any]:
        """A process that may own a server."""
        return self.run(sys.executable, "-I", "-S", "-c", SLEEPER)

    def ensure(self, kind: str, **params: Any) -> dict[str, Any]:
        """`server.ensure` on a connection of its own; the server."""
        server: dict[str, Any] = self.call("server.ensure", {"kind": kind, **params})
        return server

    def close(self) -> None:
        """Leave nothing behind."""
        try:
            pid = self.daemon_pid()
            if pid is not None and lives(pid):
                self.call("daemon.shutdown", {"servers": True})
                eventually(lambda: not lives(pid), "the daemon leaves")
                assert self.server_processes() == [], self.note()
        finally:
            for left in self.server_processes():
                end(left)
            # One that was started beside another may only now come to see that there is none any more.
            for late in self.daemon_processes():
                end(late)
            for process in self._processes:
                if process.poll() is None:
                    process.kill()
                process.wait()
                for pipe in (process.stdin, process.stdout, process.stderr):
                    if pipe is not None:
                        pipe.close()

    def what_was_printed(self) -> str:
        """By a daemon that had no log yet."""
        path = self.folders.logs / "daemon.out"
        return json.dumps(path.read_text(errors="replace")) if path.exists() else ""
