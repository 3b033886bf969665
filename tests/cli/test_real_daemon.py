"""The real command line with the real daemon and a real server."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SERVER = """
import json, os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"name": "mini", "version": "1.0"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""

Command = Callable[..., subprocess.CompletedProcess[str]]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Command]:
    """Yield a function that runs the command line against a home of its own, with a kind `mini`."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    (tmp_path / "mini.py").write_text(SERVER)
    port = free_port()
    (home / "config.toml").write_text(
        f"""
        [daemon]
        discover = "off"  # a godot-ai of the user may run on this machine

        [kinds.mini]
        version = "1.0"
        command = [{json.dumps(sys.executable)}, {json.dumps(str(tmp_path / "mini.py"))}, "{{http}}"]
        url = "http://127.0.0.1:{{http}}/"
        ports = {{ http = "{port}-{port}" }}
        identify = {{ http = "/", port = "http", match = {{ name = "mini" }}, version = "version" }}
        grace_s = 0.2
        """
    )
    environment = {**os.environ, "GODOT_SUPERVISOR_HOME": str(home), "PYTHONPATH": str(REPOSITORY)}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "supervisor", *arguments]
        return subprocess.run(
            argv, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    yield run
    run("stop", "--servers")


def test_start_and_stop_are_idempotent(command: Command) -> None:
    assert command("status").returncode == 3
    started = command("start")
    assert started.returncode == 0, started.stderr
    assert started.stdout.startswith("started: pid ")
    again = command("start")
    assert again.stdout == started.stdout.replace("started", "already running")
    assert command("status").stdout.startswith("daemon  running  pid ")
    assert command("stop").stdout == "stopped\n"
    assert command("status").returncode == 3
    assert command("start").stdout.startswith("started: pid ")


def test_up_starts_daemon_and_server_and_down_stops_it(command: Command) -> None:
    up = command("up", "mini", "--owner-pid", "parent")
    assert up.returncode == 0, up.stderr
    assert up.stdout.startswith("mini 1.0 ready\n")
    assert f"when pid {os.getpid()} " in up.stdout
    assert "the server is stopped 0.2 s later" in up.stdout
    assert "godot-supervisor clients install --kind mini" in up.stdout
    assert up.stdout.splitlines()[-1].strip().startswith("claude mcp add --scope user mini ")
    assert command("up", "mini").stdout.startswith("mini 1.0 already running\n")
    server = json.loads(command("status", "--json").stdout)["servers"][0]
    assert (server["id"], server["state"]) == ("mini", "ready")
    assert "mini" in command("reap", "--dry-run").stdout
    assert command("logs", "mini").returncode == 0
    assert command("down").stdout == "mini: stopped\n"
    assert command("down").returncode == 4


def test_up_without_an_owner_says_how_it_ends(command: Command) -> None:
    assert "no owner: it runs until `godot-supervisor down mini`" in command("up", "mini").stdout


def test_an_unknown_kind_is_not_found(command: Command) -> None:
    outcome = command("up", "nothing", "--json")
    assert (outcome.returncode, outcome.stdout) == (4, "")
    assert json.loads(outcome.stderr)["data"]["code"] == "KIND_UNKNOWN"
    assert "godot-ai" in json.loads(outcome.stderr)["data"]["hint"]


def test_a_dead_owner_is_refused_before_a_start(command: Command) -> None:
    command("start")
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait(30)
    outcome = command("up", "mini", "--owner-pid", str(ended.pid), "--json")
    assert outcome.returncode in {2, 4}, outcome.stderr
    assert json.loads(command("status", "--json").stdout)["servers"] == []


def test_ports_names_the_occupant(command: Command) -> None:
    command("start")
    (row, *_) = json.loads(command("ports", "mini", "--json").stdout)["ports"]
    with socket.socket() as occupant:
        occupant.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        occupant.bind(("127.0.0.1", row["port"]))
        occupant.listen()
        assert f"pid {os.getpid()} (" in command("ports", "mini").stdout
        full = command("up", "mini")
        assert full.returncode == 1
        assert f"pid {os.getpid()} (" in full.stderr
