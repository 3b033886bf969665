"""A home folder of its own, the real daemon in it, and real processes around it."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from supervisor.client import endpoint
from supervisor.client.client import Client
from supervisor.native.facts import Folders
from tests.ports import rest
from tests.protocol import CheckedClient

SERVERS = Path(__file__).with_name("servers")
PATIENCE_S = 60.0
LATE_S = 5.0
"""How late a timer may be on a machine with other work; the daemon itself distrusts a sample that is later."""

T = TypeVar("T")


def eventually(look: Callable[[], T | None], what: str, patience_s: float = PATIENCE_S, *, pause_s: float = 0.02) -> T:
    """The first true answer. A bound for what must come, never a pause to let something pass."""
    end = time.monotonic() + patience_s
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {patience_s:g} s in vain: {what}"
        time.sleep(pause_s)


def lives(pid: int) -> bool:
    """Whether a process of this pid runs; a zombie does not."""
    return bool(fields := stat_fields(pid)) and fields[0] not in "ZX"


def stat_fields(pid: int) -> list[str]:
    """Return the kernel's fields of a process, from its state on; nothing if there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return stat.rpartition(")")[2].split()


def all_with(variable: str) -> dict[int, str]:
    """Every living process that was started with this environment variable, and its value there."""
    found = {}
    for pid in (int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdecimal()):
        with contextlib.suppress(OSError):
            value = variables(pid).get(variable)
            if value is not None and lives(pid):
                found[pid] = value
    return found


def keeps_living(pid: int, watch_s: float) -> None:
    """See a process live for so long. For stories about keeping: there is no event to wait for."""
    end = time.monotonic() + watch_s
    while time.monotonic() < end:
        assert lives(pid), f"process {pid} ended"
        time.sleep(0.02)


def variables(pid: int) -> dict[str, str]:
    """The environment that a process was started with."""
    entries = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    return dict(entry.split("=", 1) for entry in entries if "=" in entry)


def is_free(port: int, *, rested: bool = False) -> bool:
    """Whether a server could listen there now. `rested`: and no connection there is in TIME_WAIT."""
    with socket.socket() as trial:
        if not rested:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(length: int) -> range:
    """Neighbouring free ports, for a test that is about which of them is taken."""
    ours = rest()
    while True:
        low = random.randrange(ours.start, ours.stop - length)
        if all(is_free(port, rested=True) for port in range(low, low + length)):
            return range(low, low + length)


def is_daemon(pid: int) -> bool:
    """Whether the command line is that of a daemon: started in the background, by hand, or as a service."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return False
    return "supervisor.daemon" in words or "--foreground" in words or words[4:6] == ["service", "run"]


class Home:
    """The world of one daemon. `close` stops the servers, the daemon and every process that was started through it."""

    def __init__(self, folder: Path, config: str) -> None:
        self.folders = Folders(folder / "home", moved=True)
        self.folders.home.mkdir(mode=0o700)
        self.projects = folder / "projects"
        self.projects.mkdir()
        (self.folders.home / "config.toml").write_text(config)
        (self.folders.home / "config.toml").chmod(0o600)
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GODOT_")},
            "GODOT_SUPERVISOR_HOME": str(self.folders.home),
            "XDG_CONFIG_HOME": str(folder / "xdg"),
            "GODOT_AI_DISABLE_TELEMETRY": "true",
            "NO_COLOR": "1",
        }
        self._processes: list[subprocess.Popen[Any]] = []

    # --- the daemon ---

    def cli(self, *words: str, timeout_s: float = 180.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "supervisor", *words],
            env=self.environment,
            cwd=self.folders.home,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def start(self) -> int:
        """Start the daemon as a user would; its pid."""
        done = self.cli("start", "--json")
        assert done.returncode == 0, done.stderr
        return int(json.loads(done.stdout)["pid"])

    def up(self, *words: str) -> dict[str, Any]:
        """`up … --json`; the server."""
        done = self.cli("up", *words, "--json")
        assert done.returncode == 0, done.stderr
        server: dict[str, Any] = json.loads(done.stdout)
        return server

    def refused(self, *words: str) -> tuple[int, dict[str, Any]]:
        """A command that fails: its exit code, and the error as `--json` shows it."""
        done = self.cli(*words, "--json")
        assert done.returncode != 0, done.stdout
        assert done.stdout == ""
        error: dict[str, Any] = json.loads(done.stderr)
        return done.returncode, error

    def daemon_pid(self) -> int | None:
        """The pid of the daemon that has published itself last."""
        found = endpoint.read(self.folders.endpoint)
        return found.pid if found else None

    def kill_daemon(self) -> None:
        """End it as a crash would, and see it gone."""
        pid = self.daemon_pid()
        assert pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not lives(pid), "the daemon ends")

    @contextlib.contextmanager
    def client(self) -> Iterator[Client]:
        """A connection to the running daemon."""
        found = endpoint.read(self.folders.endpoint)
        assert found is not None, "no daemon has published itself"
        with CheckedClient.connect(found) as client:
            yield client

    def call(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Send a request on a connection of its own."""
        with self.client() as client:
            return client.call(method, params)

    def server(self, server_id: str) -> dict[str, Any] | None:
        """A server as the daemon shows it; None: it is not known."""
        listed = self.call("server.list")["servers"]
        return next((row for row in listed if row["id"] == server_id), None)

    # --- what runs, whatever the daemon knows of it ---

    def server_processes(self) -> list[int]:
        """The servers: what carries a launch token of this home, and leads its session."""
        carriers = all_with("GODOT_SUPERVISOR_SERVER_ID").items()
        ours = [pid for pid, token in carriers if token.startswith(f"{self.folders.home_id}.")]
        return [pid for pid in ours if stat_fields(pid)[3:4] == [str(pid)]]

    def daemon_processes(self) -> list[int]:
        """The daemons, also those that have not come as far as to publish themselves."""
        homes = all_with("GODOT_SUPERVISOR_HOME").items()
        return [pid for pid, home in homes if home == str(self.folders.home) and is_daemon(pid)]

    def server_in(self, server_id: str, state: str, **fields: Any) -> dict[str, Any] | None:
        """The server, once it is in this state and has these fields."""
        row = self.server(server_id)
        if row is None or row["state"] != state or any(row.get(key) != value for key, value in fields.items()):
            return None
        return row

    # --- what it wrote ---

    def events(self, event: str | None = None, **fields: Any) -> list[dict[str, Any]]:
        """The daemon's own log, in order; only entries with these fields."""
        try:
            lines = (self.folders.logs / "daemon.log").read_text().splitlines()
        except FileNotFoundError:
            return []
        rows = [json.loads(line) for line in lines if line.endswith("}")]
        return [
            row
            for row in rows
            if (event is None or row["event"] == event) and all(row.get(key) == value for key, value in fields.items())
        ]

    def event(self, event: str, patience_s: float = PATIENCE_S, **fields: Any) -> dict[str, Any]:
        """The first such entry, waited for."""
        return eventually(lambda: self.events(event, **fields), f"event {event} {fields}", patience_s)[0]

    def note(self) -> str:
        """Everything that was logged, for the message of an assertion."""
        return "\n".join(json.dumps(row) for row in self.events())

    def told_in_order(self, *events: str) -> None:
        """See these events in the log, in this order; others may stand between them."""
        told = iter([row["event"] for row in self.events()])
        missing = [event for event in events if event not in told]
        assert not missing, f"{missing[0]} is not told, or too early:\n{self.note()}"

    def judged_twice(self, server_id: str, grace_s: float) -> tuple[float, float]:
        """See a server reaped for the second of two samples, one grace apart; their times, monotonic seconds."""
        stopped = self.event("server.stopped", server=server_id)
        reaped = self.event("server.reaped", server=server_id)
        suspected = [row for row in self.events("server.suspected", server=server_id) if row["mono"] <= reaped["mono"]]
        first, second = reaped["first_sample"], reaped["second_sample"]
        assert suspected[-1]["sampled"] == first, self.note()
        assert grace_s <= second - first < grace_s + LATE_S, self.note()
        asked = self.event("signal.sent", server=server_id)
        assert suspected[-1]["mono"] <= reaped["mono"] <= asked["mono"] <= stopped["mono"], self.note()
        assert asked["signal"] == "ask"
        assert len(self.events("server.reaped", server=server_id)) == 1
        return first, second

    # --- the world around it ---

    def run(self, *words: str, **options: Any) -> subprocess.Popen[Any]:
        """A process that ends with this home at the latest."""
        process = subprocess.Popen(words, env={**self.environment, **options.pop("env", {})}, **options)
        self._processes.append(process)
        return process

    def begin(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        """A command that runs beside the test, its output kept."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": self.folders.home}
        return self.run(sys.executable, "-P", "-m", "supervisor", *words, **{**pipes, **options})

    def owner(self) -> subprocess.Popen[Any]:
        """A process that may own a server."""
        return self.run("sleep", "600")

    def forget(self, process: subprocess.Popen[Any]) -> None:
        """Forget a process that has ended, and was waited for."""
        self._processes.remove(process)

    def project(self, name: str = "my-game") -> str:
        """A Godot project's folder."""
        folder = self.projects / name
        folder.mkdir(exist_ok=True)
        (folder / "project.godot").touch()
        return str(folder)

    def close(self) -> None:
        """Leave nothing behind."""
        try:
            pid = self.daemon_pid()
            if pid is None or not lives(pid):
                # Another daemon finds and stops the servers that this one left running.
                self.cli("start")
            stopped = self.cli("stop", "--servers")
            assert stopped.returncode in (0, 3), stopped.stderr + self.note()
        finally:
            self.clear()

    def clear(self) -> None:
        """End whatever was started here, whether or not it ends in order."""
        # Processes that a defect leaves running must not disturb the next test.
        for pid in self.server_processes():
            os.kill(pid, signal.SIGKILL)
        self.let_go()

    def let_go(self) -> None:
        """End the world around it."""
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    pipe.close()
