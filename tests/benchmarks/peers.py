"""The other supervisors, each with its defaults."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import xmlrpc.client
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.peer import HERE, PEERS, Peer, said_by


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        """A new connection for each call, as supervisorctl does it."""
        connection = http.client.HTTPConnection(host)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self._path))
        return connection


class Supervisord(Peer):
    """Supervisor 4."""

    name = "supervisord"
    programs = PEERS / "sup" / "bin"

    def version(self) -> str:
        """See `Peer`."""
        return said_by(str(self.programs / "supervisord"), "-v")

    def configure(self, count: int) -> None:
        """See `Peer`."""
        folder, sock = self.folder, self.folder / "s.sock"
        lines = ["[unix_http_server]", f"file={sock}", "[supervisord]", "nodaemon=true", f"logfile={folder}/s.log"]
        lines += [f"pidfile={folder}/s.pid", f"childlogdir={folder}", "[rpcinterface:supervisor]"]
        lines += ["supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface"]
        lines += ["[supervisorctl]", f"serverurl=unix://{sock}"]
        for index in range(count):
            lines += [f"[program:c{index}]", f"command={' '.join(self.child(index))}", "autorestart=true"]
        (folder / "s.conf").write_text("\n".join(lines), encoding="utf-8")

    def launch(self) -> None:
        """See `Peer`."""
        self.spawn(self.programs / "supervisord", "-c", self.folder / "s.conf")

    def status_command(self) -> Sequence[str]:
        """See `Peer`."""
        return [str(self.programs / "supervisorctl"), "-c", str(self.folder / "s.conf"), "status"]

    def query(self) -> float:
        """See `Peer`."""
        begin = time.perf_counter()
        answer = self._proxy().supervisor.getAllProcessInfo()
        taken = time.perf_counter() - begin
        assert len(answer) == self.children
        return taken

    def pid_of(self, index: int) -> int:
        """See `Peer`."""
        answer: Any = self._proxy().supervisor.getProcessInfo(f"c{index}")
        return int(answer["pid"])

    def _proxy(self) -> Any:
        return xmlrpc.client.ServerProxy("http://localhost", transport=_UnixTransport(self.folder / "s.sock"))


class Circus(Peer):
    """Circus. Its default look at the children comes every 5 s."""

    name = "circus"
    programs = PEERS / "circus" / "bin"

    def version(self) -> str:
        """See `Peer`."""
        return said_by(str(self.programs / "python"), "-c", "import circus, zmq; print(circus.__version__)")

    def configure(self, count: int) -> None:
        """See `Peer`."""
        lines = [
            "[circus]",
            f"endpoint={self._url()}",
            f"pubsub_endpoint=ipc://{self.folder}/p.sock",
            "statsd=False",
        ]
        for index in range(count):
            lines += [f"[watcher:c{index}]", f"cmd={' '.join(self.child(index))}"]
        (self.folder / "c.ini").write_text("\n".join(lines), encoding="utf-8")

    def launch(self) -> None:
        """See `Peer`."""
        self.spawn(self.programs / "circusd", self.folder / "c.ini")

    def status_command(self) -> Sequence[str]:
        """See `Peer`."""
        return [str(self.programs / "circusctl"), "--endpoint", self._url(), "status"]

    def query(self) -> float:
        """See `Peer`."""
        said = self._ask("status")
        assert len(said["answer"]["statuses"]) == self.children
        return float(said["seconds"])

    def pid_of(self, index: int) -> int:
        """See `Peer`."""
        return int(self._ask(f"list c{index}")["answer"]["pids"][0])

    def _url(self) -> str:
        return f"ipc://{self.folder}/e.sock"

    def _ask(self, line: str) -> Any:
        return self.ask([self.programs / "python", HERE / "circus_helper.py", self._url()], line)


class Pm2(Peer):
    """PM2. Its list includes a sample of each child's CPU and memory."""

    name = "pm2"
    package = PEERS / "npm" / "node_modules" / "pm2"

    def version(self) -> str:
        """See `Peer`."""
        try:
            return str(json.loads((self.package / "package.json").read_bytes())["version"])
        except OSError:
            return ""

    def environment(self) -> dict[str, str]:
        """With a home of its own."""
        own = {"PM2_HOME": str(self.folder / "home"), "PM2_DISABLE_VERSION_CHECK": "true", "CI": "1"}
        return {**super().environment(), **own}

    def configure(self, count: int) -> None:
        """See `Peer`."""
        children = (self.child(index) for index in range(count))
        apps = [
            {"name": f"c{index}", "script": script, "args": args, "interpreter": "none", "exec_mode": "fork"}
            for index, (script, *args) in enumerate(children)
        ]
        (self.folder / "apps.json").write_text(json.dumps({"apps": apps}), encoding="utf-8")

    def launch(self) -> None:
        """See `Peer`."""
        self.spawn("node", self.package / "bin" / "pm2", "start", self.folder / "apps.json")

    def daemon(self) -> int | None:
        """Find the daemon, which has left the process that was started."""
        if self.process is not None:
            self.process.poll()
        try:
            return int((self.folder / "home" / "pm2.pid").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return None

    def status_command(self) -> Sequence[str]:
        """See `Peer`."""
        return ["node", str(self.package / "bin" / "pm2"), "jlist"]

    def query(self) -> float:
        """See `Peer`."""
        said = self._list()
        assert len(said["answer"]) == self.children
        return float(said["seconds"])

    def pid_of(self, index: int) -> int:
        """See `Peer`."""
        return int(self._list()["answer"][f"c{index}"])

    def shut_down(self) -> None:
        """See `Peer`."""
        kill = ["node", self.package / "bin" / "pm2", "kill"]
        subprocess.run(
            [str(word) for word in kill], env=self.environment(), capture_output=True, timeout=60, check=False
        )

    def _list(self) -> Any:
        return self.ask(["node", HERE / "pm2_helper.js", self.package], "list")


class S6(Peer):
    """s6: one small supervisor for each child. Its status command shows one child only."""

    name = "s6"
    package = "s6"
    scanner = "s6-svscan"

    def version(self) -> str:
        """See `Peer`."""
        return said_by("dpkg-query", "-W", "-f", "${Version}", self.package) if shutil.which(self.scanner) else ""

    def configure(self, count: int) -> None:
        """See `Peer`."""
        shutil.rmtree(self.services, ignore_errors=True)
        for index in range(count):
            run = self.service(index) / "run"
            run.parent.mkdir(parents=True)
            run.write_text(f"#!/bin/sh\nexec {' '.join(self.child(index))}\n", encoding="utf-8")
            run.chmod(0o755)

    @property
    def services(self) -> Path:
        """The scan directory."""
        return self.folder / "services"

    def service(self, index: int) -> Path:
        """A child's service directory."""
        return self.services / f"c{index}"

    def launch(self) -> None:
        """See `Peer`."""
        self.spawn(self.scanner, self.services)

    def status_command(self) -> Sequence[str]:
        """See `Peer`."""
        return ["s6-svstat", str(self.service(0))]

    def query(self) -> float:
        """Read every status file."""
        begin = time.perf_counter()
        found = [(self.service(index) / "supervise" / "status").read_bytes() for index in range(self.children)]
        taken = time.perf_counter() - begin
        assert all(found)
        return taken

    def pid_of(self, index: int) -> int:
        """See `Peer`."""
        return int(said_by("s6-svstat", "-o", "pid", str(self.service(index))))


class Runit(S6):
    """runit: likewise, and its status command shows all."""

    name = "runit"
    package = "runit"
    scanner = "runsvdir"

    def status_command(self) -> Sequence[str]:
        """See `Peer`."""
        return ["sv", "status", *(str(self.service(index)) for index in range(self.children))]

    def pid_of(self, index: int) -> int:
        """See `Peer`."""
        return int((self.service(index) / "supervise" / "pid").read_text(encoding="ascii"))

    def shut_down(self) -> None:
        """HUP: with its services."""
        if (pid := self.daemon()) is not None:
            os.kill(pid, signal.SIGHUP)
