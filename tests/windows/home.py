"""The home of `tests/e2e` on Windows: with Windows' facts instead of /proc, and without signals."""

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
    """Return whether a process with this pid runs."""
    return PLATFORM.probe.identify(pid) is not None


def end(pid: int) -> None:
    """End a process as a crash would, and wait for its end."""
    try:
        psutil.Process(pid).kill()
    except psutil.NoSuchProcess:
        return
    eventually(lambda: not lives(pid), f"process {pid} ends")


def identity(pid: int) -> ProcessIdentity:
    """Return the identity behind a pid."""
    found = PLATFORM.probe.identify(pid)
    assert found is not None, f"process {pid} is gone"
    return found


def image_of(pid: int) -> str:
    """Return the file that a process runs."""
    return str(psutil.Process(pid).exe())


def all_with(variable: str) -> dict[int, str]:
    """Return every living process that was started with this environment variable, and its value."""
    rows = PLATFORM.processes.table()
    values = {row.identity.pid: variable_if_told(PLATFORM.processes, row.identity, variable) for row in rows}
    return {pid: value for pid, value in values.items() if value is not None}


class WindowsHome(Home):
    """A home with one daemon. `close` stops the servers, the daemon and every process that was started through it."""

    def __init__(self, folder: Path, config: str) -> None:
        super().__init__(folder, config)
        local = folder / "local"
        local.mkdir()
        self.environment |= {
            "LOCALAPPDATA": str(local),
            "APPDATA": str(local),
            "PYTHONPATH": str(REPOSITORY),
            # Compiling everything anew takes most of the time of a command under Wine.
            "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "godot-supervisor-pycache"),
        }
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def start(self) -> int:
        """Start the daemon, wait for its answer, and return its pid. `cli("start")` does the same, more slowly."""
        # Like `start`: the daemon gets neither this console nor this folder.
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
        """End it as a crash would, and wait for its end."""
        pid = self.daemon_pid()
        assert pid is not None
        end(pid)

    def server_processes(self) -> list[int]:
        """Return the servers: processes that carry a launch token of this home and are the root of its job."""
        roots = {row.identity.pid for row in PLATFORM.processes.table() if row.session == row.identity.pid}
        carriers = all_with("GODOT_SUPERVISOR_SERVER_ID").items()
        return [pid for pid, token in carriers if token.startswith(f"{self.folders.home_id}.") and pid in roots]

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """Return a connection to the running daemon."""
        found = endpoint.read(self.folders.endpoint)
        assert found is not None, "no daemon has published itself"
        with CheckedClient.connect(found, timeout_s=PATIENCE_S) as client:
            yield client

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Send one request on its own connection. Wine is slow on a busy machine."""
        with self.client() as client:
            return client.call(method, params, accept_timeout_s=PATIENCE_S)

    def daemon_processes(self) -> list[int]:
        """Return the daemons, including those that have not yet published themselves."""
        homes = all_with("GODOT_SUPERVISOR_HOME").items()
        ours = [pid for pid, home in homes if home == str(self.folders.home)]
        return [pid for pid in ours if "supervisor.daemon" in PLATFORM.probe.describe(pid).command]

    def owner(self) -> subprocess.Popen[Any]:
        """Start a process that may own a server."""
        return self.run(sys.executable, "-I", "-S", "-c", SLEEPER)

    def ensure(self, kind: str, **params: Any) -> dict[str, Any]:
        """Call `server.ensure` on its own connection; return the server."""
        server: dict[str, Any] = self.call("server.ensure", {"kind": kind, **params})
        return server

    def close(self) -> None:
        """End all processes."""
        try:
            pid = self.daemon_pid()
            if pid is not None and lives(pid):
                self.call("daemon.shutdown", {"servers": True})
                eventually(lambda: not lives(pid), "the daemon leaves")
                assert self.server_processes() == [], self.note()
        finally:
            for left in self.server_processes():
                end(left)
            # A daemon that was started beside another may notice only now that the other is gone.
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
        """Return the output of a daemon that had no log yet."""
        path = self.folders.logs / "daemon.out"
        return json.dumps(path.read_text(errors="replace")) if path.exists() else ""
