"""The stories with the real godot-ai from the package index, and real processes."""

import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests import cache
from tests.e2e.conftest import MakeHome, godot_ai_config
from tests.e2e.home import SERVERS, Home, eventually, free_ports, is_free, keeps_living, lives, variables

pytestmark = pytest.mark.needs_index

CLIENTS = SERVERS.with_name("clients")
VERSION = "4.3.1"
VERSION_BEFORE_4_7 = "3.2.5"
GRACE_S = 1.0
LINGER_S = 2.0

OWN_REAPER_S = 12.0
"""godot-ai's own reaper ends a server within two of its polls of 5 s after its first owner."""

DEFAULT_PORTS = """
[daemon]
discover = "off"
environments = "{cache}"
"""

NEVER_WAITS = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True); sys.stdin.read()"


@pytest.fixture
def real(make_home: MakeHome) -> Home:
    """A home for the real server, on ports of its own."""
    ports = free_ports(8)
    config = godot_ai_config(GRACE_S, LINGER_S, f"{ports[0]}-{ports[3]}", f"{ports[4]}-{ports[7]}")
    return make_home(config)


def record_of(home: Home, server: Mapping[str, Any]) -> Path:
    """Where the server itself keeps its secrets."""
    capabilities = Path(home.environment["XDG_CONFIG_HOME"]) / "godot-ai" / "capabilities"
    return capabilities / f"http-{server['ports']['http']}.json"


def secrets_of(home: Home, server: Mapping[str, Any]) -> tuple[str, str]:
    """The bearer for HTTP, and the secret of the WebSocket."""
    record = json.loads(record_of(home, server).read_text())
    return record["http"], record["websocket"]


def status_of(server: Mapping[str, Any], bearer: str | None = None) -> dict[str, Any]:
    request = urllib.request.Request(f"http://127.0.0.1:{server['ports']['http']}/godot-ai/status")
    if bearer:
        request.add_header("Authorization", f"Bearer {bearer}")
    with urllib.request.urlopen(request, timeout=5) as response:
        status: dict[str, Any] = json.load(response)
    return status


def tools_of(home: Home, server: Mapping[str, Any], *words: str, bearer: str = "") -> list[str]:
    """Return what an AI client sees, run by the server's own interpreter."""
    done = subprocess.run(
        [server["connect"][0], "-P", str(CLIENTS / "list_tools.py"), *words],
        env=home.environment,
        input=bearer,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.replace(bearer or "\0", "…")
    tools: list[str] = json.loads(done.stdout)
    return tools


@contextlib.contextmanager
def editor_session(home: Home, server: Mapping[str, Any]) -> Iterator[None]:
    """A session as the plugin of an editor opens it."""
    process = home.run(
        server["connect"][0],
        "-P",
        str(CLIENTS / "editor_session.py"),
        str(record_of(home, server)),
        str(server["ports"]["ws"]),
        home.project(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    yield
    process.stdin.close()
    assert process.wait(30) == 0


def test_up_gives_a_ready_server_that_serves_ai_clients(real: Home) -> None:
    owner = real.owner()
    server = real.up("godot-ai", "--owner-pid", str(owner.pid))
    assert (server["state"], server["version"], server["origin"]) == ("ready", VERSION, "spawned")
    assert server["relocated"] == []
    bearer, _ = secrets_of(real, server)
    status = status_of(server, bearer)
    assert (status["name"], status["server_version"]) == ("godot-ai", VERSION)
    assert status["ws_port"] == server["ports"]["ws"]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        status_of(server)
    direct = tools_of(real, server, "http", server["url"], bearer=bearer)
    assert "editor_state" in direct
    bridged = tools_of(real, server, "stdio", *server["connect"])
    assert set(direct) <= set(bridged)
    assert real.up("godot-ai")["process"]["pid"] == server["process"]["pid"]


def test_the_secrets_are_in_the_servers_environment_and_nowhere_else(real: Home) -> None:
    owner = real.owner()
    server = real.up("godot-ai", "--owner-pid", str(owner.pid))
    pid = server["process"]["pid"]
    bearer, websocket = secrets_of(real, server)
    environment = variables(pid)
    assert environment["GODOT_AI_HTTP_CAPABILITY"] == bearer
    assert environment["GODOT_AI_WS_TOKEN"] == websocket
    real.cli("stop")
    real.start()
    # Read again by the next daemon, which now knows them from the server's own record.
    assert real.up("godot-ai")["process"]["pid"] == pid
    assert real.events("server.reused")
    home_files = [path for path in real.folders.home.rglob("*") if path.is_file()]
    places = {str(path): path.read_bytes().decode(errors="replace") for path in home_files}
    assert {path.name for path in home_files} >= {"registry.json", "daemon.log", "daemon.out"}
    assert server["log"] in places
    daemon = real.daemon_pid()
    places |= {f"argv of {p}": Path(f"/proc/{p}/cmdline").read_text() for p in (pid, server["root_pid"], daemon)}
    places |= {verb: json.dumps(real.call(verb)) for verb in ("status", "server.list")}
    places |= {"up": json.dumps(server), "up for people": real.cli("up", "godot-ai").stdout}
    assert [name for name, text in places.items() if bearer in text or websocket in text] == []


def test_owner_killed_then_judged_twice_then_gone_and_both_ports_free(real: Home) -> None:
    owner = real.owner()
    server = real.up("godot-ai", "--owner-pid", str(owner.pid))
    pid, ports = server["process"]["pid"], server["ports"].values()
    assert not any(is_free(port) for port in ports)
    owner.kill()
    owner.wait()
    first, second = real.judged_twice("godot-ai", GRACE_S)
    (ended,) = real.events("editor.ended", pid=owner.pid)
    assert ended["mono"] <= first + 0.001
    real.told_in_order("editor.ended", "server.suspected", "server.reaped", "signal.sent", "server.stopped")
    assert not lives(pid)
    assert all(is_free(port) for port in ports)
    assert real.server("godot-ai") is None
    code, error = real.refused("down", "godot-ai")
    assert (code, error["data"]["code"]) == (4, "NOT_FOUND")
    assert second < real.event("server.stopped")["mono"]


@pytest.mark.full
def test_owner_is_a_zombie_then_gone(real: Home) -> None:
    parent = real.run(sys.executable, "-c", NEVER_WAITS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    owner = int(parent.stdout.readline())
    try:
        server = real.up("godot-ai", "--owner-pid", str(owner))
    finally:
        os.kill(owner, 9)
    real.judged_twice("godot-ai", GRACE_S)
    assert not lives(server["process"]["pid"])
    assert Path(f"/proc/{owner}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    assert parent.poll() is None


def test_an_editors_session_keeps_the_server_until_it_ends(real: Home) -> None:
    owner = real.owner()
    server = real.up("godot-ai", "--owner-pid", str(owner.pid))
    pid = server["process"]["pid"]
    with editor_session(real, server):
        owner.kill()
        owner.wait()
        real.event("editor.ended", pid=owner.pid)
        keeps_living(pid, 3 * GRACE_S)
        (judged,) = json.loads(real.cli("reap", "--dry-run", "--json").stdout)["servers"]
        assert (judged["verdict"], judged["reasons"]) == ("keep", ["open sessions: 1"])
        (listed,) = real.call("server.list")["servers"]
        assert (listed["sessions"], listed["state"]) == (1, "ready")
        assert real.events("server.suspected") == []
        closing = time.monotonic()
    first, _ = real.judged_twice("godot-ai", GRACE_S)
    assert first > closing
    assert not lives(pid)


@pytest.mark.full
def test_one_of_two_owners_dies_and_the_server_outlives_its_own_reaper(real: Home) -> None:
    first, second = real.owner(), real.owner()
    server = real.up("godot-ai", "--owner-pid", str(first.pid))
    pid = server["process"]["pid"]
    shared = real.up("godot-ai", "--owner-pid", str(second.pid))
    assert shared["process"]["pid"] == pid
    assert [owner["pid"] for owner in shared["owners"]] == [first.pid, second.pid]
    environment = variables(pid)
    assert environment["GODOT_AI_OWNER_PID"] == str(first.pid)
    assert environment["GODOT_AI_REAPER_POLL_SECONDS"] == "3600"
    first.kill()
    first.wait()
    real.event("editor.ended", pid=first.pid)
    keeps_living(pid, OWN_REAPER_S)
    assert real.events("server.suspected") == []
    second.kill()
    second.wait()
    real.judged_twice("godot-ai", GRACE_S)
    assert not lives(pid)


@pytest.mark.full
def test_a_restarted_server_is_given_a_living_owner(real: Home) -> None:
    first, second = real.owner(), real.owner()
    real.up("godot-ai", "--owner-pid", str(first.pid))
    server = real.up("godot-ai", "--owner-pid", str(second.pid))
    first.kill()
    first.wait()
    real.event("editor.ended", pid=first.pid)
    os.kill(server["process"]["pid"], 9)
    real.event("server.exited", server="godot-ai")
    again = real.up("godot-ai")
    assert again["process"]["pid"] != server["process"]["pid"]
    assert again["ports"] == server["ports"]
    assert variables(again["process"]["pid"])["GODOT_AI_OWNER_PID"] == str(second.pid)
    assert status_of(again, secrets_of(real, again)[0])["server_version"] == VERSION
    second.kill()
    second.wait()
    eventually(lambda: not lives(again["process"]["pid"]), "the restarted server is reaped")


def test_port_8000_is_held_and_the_server_comes_up_on_the_next_pair(make_home: MakeHome) -> None:
    home = make_home(DEFAULT_PORTS.format(cache=cache.environments()))
    holder = home.run(sys.executable, "-m", "http.server", "8000", "--bind", "127.0.0.1", stderr=subprocess.DEVNULL)
    # Where another program of this machine has the port already, the story is about that one.
    eventually(lambda: not is_free(8000), "somebody holds port 8000")
    server = home.up("godot-ai")
    assert 8000 < server["ports"]["http"] < 8020
    assert server["ports"]["ws"] - server["ports"]["http"] == 1500
    passed_over = {row["port"]: row for row in server["relocated"]}
    assert passed_over[8000]["occupant"]["pid"]
    if holder.poll() is None:
        assert passed_over[8000]["occupant"]["pid"] == holder.pid
        assert "http.server" in passed_over[8000]["occupant"]["command"]
    assert lives(passed_over[8000]["occupant"]["pid"])
    told = home.cli("up", "godot-ai").stdout
    assert f"port 8000 was passed over: held by pid {passed_over[8000]['occupant']['pid']}" in told
    assert json.loads(home.cli("down", "--json").stdout)["state"] == "stopped"
    assert lives(passed_over[8000]["occupant"]["pid"])


def test_an_editor_below_4_7_gets_the_version_that_works_there(real: Home) -> None:
    real.start()
    owner = real.owner()
    attached = {"pid": owner.pid, "project": real.project(), "engine": "godot", "engine_version": "4.6.3-stable"}
    editor = real.call("editor.attach", attached)
    server = real.call("server.ensure", {"kind": "godot-ai", "editor": editor["id"]})
    assert (server["version"], server["state"]) == (VERSION_BEFORE_4_7, "ready")
    status = status_of(server)
    assert (status["name"], status["server_version"]) == ("godot-ai", VERSION_BEFORE_4_7)
    environment = variables(server["process"]["pid"])
    assert not {"GODOT_AI_HTTP_CAPABILITY", "GODOT_AI_WS_TOKEN"} & set(environment)
    assert environment["GODOT_AI_OWNER_PID"] == str(owner.pid)
    # Without a version asked for, any running one counts; another version starts beside it, and leaves it alone.
    assert real.up("godot-ai")["process"]["pid"] == server["process"]["pid"]
    beside = real.up("godot-ai", "--version", VERSION)
    assert (beside["id"], beside["version"]) == ("godot-ai-2", VERSION)
    assert status_of(beside, secrets_of(real, beside)[0])["server_version"] == VERSION
    assert status_of(server)["server_version"] == VERSION_BEFORE_4_7
    owner.kill()
    owner.wait()
    real.judged_twice("godot-ai", GRACE_S)
    assert not lives(server["process"]["pid"])


def test_a_version_that_does_not_exist_is_refused_with_those_that_do(real: Home) -> None:
    code, error = real.refused("up", "godot-ai", "--version", "99.0.0")
    assert (code, error["data"]["code"]) == (1, "INSTALL_FAILED")
    assert {VERSION, VERSION_BEFORE_4_7} <= set(error["data"]["versions"])
    assert "99.0.0" not in error["data"]["versions"]
    assert VERSION in error["data"]["hint"]
    server = real.server("godot-ai")
    assert server is None or (server["state"], server["process"]) == ("failed", None)
