"""The contract of every supervisor in the benchmarks, and the code that all of them share."""

import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.benchmarks import processes

HERE = Path(__file__).resolve().parent
PEERS = Path(os.environ.get("PEERS") or Path(tempfile.gettempdir()) / "peers")
CHILD = HERE / "child.sh"


def said_by(*command: str) -> str:
    """Return what a command prints; nothing if it cannot be run."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""


class Peer:
    """A supervisor with a folder of its own. Its children announce themselves on a FIFO as their first act."""

    name: ClassVar[str]
    variables: Mapping[str, str] = {}

    def __init__(self, work: Path) -> None:
        self.folder = work / self.name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.fifo = self.folder / "announcements"
        os.mkfifo(self.fifo)
        # Read and write: it neither blocks without a writer nor ends after the last one.
        self._announcements = os.open(self.fifo, os.O_RDWR | os.O_NONBLOCK)
        self._rest = b""
        self._helper: subprocess.Popen[str] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.children = 0
        self.newest: dict[int, int] = {}
        self.since: dict[int, float] = {}
        self._seen: dict[int, int | None] = {}

    # --- what each of them does its own way ---

    def version(self) -> str:
        """Empty: it is not installed."""
        raise NotImplementedError

    def configure(self, count: int) -> None:
        """Write a configuration in which child i runs `child(i)`."""
        raise NotImplementedError

    def launch(self) -> None:
        """Start the daemon, and with it the children."""
        raise NotImplementedError

    def status_command(self) -> Sequence[str]:
        """The command line that shows all children."""
        raise NotImplementedError

    def query(self) -> float:
        """Ask for the state of all children without a new process; seconds."""
        raise NotImplementedError

    def pid_of(self, index: int) -> int:
        """The daemon's own idea of a child's pid."""
        raise NotImplementedError

    def daemon(self) -> int | None:
        """The daemon's pid."""
        return self.process.pid if self.process else None

    def shut_down(self) -> None:
        """Ask the daemon to end."""
        if (pid := self.daemon()) is not None:
            os.kill(pid, signal.SIGTERM)

    # --- what they share ---

    def child(self, index: int) -> list[str]:
        """Return the command of child `index`."""
        return ["/bin/sh", str(CHILD), str(self.fifo), str(index)]

    def environment(self) -> dict[str, str]:
        """This process's, without proxies."""
        kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        return {**kept, **self.variables}

    def spawn(self, *command: str | Path) -> None:
        """Start the daemon's process."""
        with (self.folder / "output.log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=self.environment(),
                start_new_session=True,
            )

    def start(self, count: int, patience_s: float = 120) -> float | None:
        """Start with this many children; seconds until the last one ran. None: they never did."""
        self.children = count
        self.configure(count)
        begin = time.monotonic()
        self.launch()
        while len(self.newest) < count and time.monotonic() < begin + patience_s:
            self.listen(0.5)
        return max(self.since.values()) - begin if len(self.newest) == count else None

    def listen(self, patience_s: float) -> None:
        """Take in what children have announced."""
        if not select.select([self._announcements], [], [], patience_s)[0]:
            return
        now = time.monotonic()
        *lines, self._rest = (self._rest + os.read(self._announcements, 65536)).split(b"\n")
        for line in lines:
            index, pid = map(int, line.split())
            self.newest[index], self.since[index] = pid, now
            self._seen[pid] = processes.started(pid)

    def restart_after_kill(self, index: int, patience_s: float = 30) -> float | None:
        """Kill a child; seconds until its replacement runs. None: it never did."""
        old, begin = self.newest[index], time.monotonic()
        os.kill(old, signal.SIGKILL)
        while self.newest[index] == old and time.monotonic() < begin + patience_s:
            self.listen(1)
        return self.since[index] - begin if self.newest[index] != old else None

    def status(self) -> float:
        """The status command as a whole process; seconds."""
        begin = time.perf_counter()
        done = subprocess.run(
            self.status_command(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment(),
            cwd=self.folder,
            check=True,
        )
        assert done.returncode == 0
        return time.perf_counter() - begin

    def daemons(self) -> list[int]:
        """Every process of the supervisor's side."""
        pid = self.daemon()
        return [] if pid is None else processes.tree(pid, self._seen)

    def ask(self, helper: Sequence[str | Path], line: str) -> Any:
        """Ask a helper that uses the peer's own library, and return its answer."""
        if self._helper is None:
            self._helper = subprocess.Popen(
                helper, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment()
            )
        assert self._helper.stdin is not None
        assert self._helper.stdout is not None
        self._helper.stdin.write(f"{line}\n")
        self._helper.stdin.flush()
        return json.loads(self._helper.stdout.readline())

    def stop(self, patience_s: float = 15) -> None:
        """End the daemon and all that it started; only what we know by pid and start time is killed."""
        self._dismiss_helper()
        ours = {pid: processes.started(pid) for pid in self.daemons()}
        self.shut_down()
        end = time.monotonic() + patience_s
        while time.monotonic() < end and (_living(ours) or _living(self._seen)):
            if self.process is not None:
                self.process.poll()
            self.listen(0.02)
        for pid in (*_living(ours), *_living(self._seen)):
            os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        self.process = None
        self.newest, self.since, self._seen = {}, {}, {}

    def _dismiss_helper(self) -> None:
        if self._helper is not None:
            self._helper.communicate(timeout=10)
            self._helper = None


def _living(known: Mapping[int, int | None]) -> list[int]:
    return [pid for pid, start in known.items() if start is not None and processes.started(pid) == start]
