"""Real servers start as users' servers do: what is used, what is not, and what is said of it."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeHome
from tests.e2e.home import SERVERS, Home, eventually, keeps_living, lives
from tests.gates import rest_in_full
from tests.ports import reach

HEALTH = {"http": "/health"}


def config(habit: str, **kind: Any) -> str:
    words = ["{http}", *(["{ws}"] if "ws" in kind.get("ports", {}) else [])]
    table = {
        "command": [sys.executable, str(SERVERS / "habits.py"), habit, *words],
        "ports": {"http": reach(0)},
        "ready_timeout_s": 4,
        "stop_timeout_s": 3,
        **kind,
    }
    return '[daemon]\ndiscover = "off"\n\n[kinds.mine]\n' + "".join(f"{k} = {toml(v)}\n" for k, v in table.items())


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
    return json.dumps(value)


def pids(home: Home) -> list[int]:
    """The server's processes, wherever they went."""
    marks = str(SERVERS / "habits.py").encode()
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if (
                marks in (folder / "cmdline").read_bytes()
                and home.folders.home_id.encode() in (folder / "environ").read_bytes()
            ):
                found.append(int(folder.name))
        except OSError:
            continue
    return [pid for pid in found if lives(pid)]


@pytest.mark.parametrize("habit", ["text", "list", "empty", "created", "no-content", "old", "bare", "big", "localhost"])
def test_any_success_is_ready_where_nothing_is_to_match(make_home: MakeHome, habit: str) -> None:
    home = make_home(config(habit, identify=HEALTH))
    assert home.up("mine")["state"] == "ready"


def test_nested_values_are_matched(make_home: MakeHome) -> None:
    match = {"info.name": "x", "info": {"ok": True}, "info.protocol": 2}
    home = make_home(config("ok", identify={**HEALTH, "match": match, "null": ["error"]}))
    assert home.up("mine")["state"] == "ready"


def test_status_of_the_kinds_own_choice_is_ready(make_home: MakeHome) -> None:
    home = make_home(config("bearer", identify=HEALTH, ready={**HEALTH, "status": [200, 401]}))
    assert home.up("mine")["state"] == "ready"


@pytest.mark.parametrize(
    ("habit", "kind", "seen"),
    rest_in_full(
        [
            ("missing", {"identify": HEALTH}, "GET /health answers 404"),
            ("mute", {"identify": HEALTH}, "it listens, and does not answer GET /health within 2 s"),
            ("::1", {}, "it listens on ::1 only, not on 127.0.0.1"),
            ("upgrade", {"identify": HEALTH}, "GET /health answers 426: a WebSocket port"),
            ("text", {"identify": {**HEALTH, "match": {"name": "x"}}}, "the answer is not JSON"),
            ("big", {"identify": {**HEALTH, "match": {"name": "x"}}}, "the answer is longer than 65536 bytes"),
            ("tls", {"identify": HEALTH}, "the answer is not HTTP: it speaks TLS"),
            ("moved", {"identify": HEALTH}, "GET /health answers 307 to /health/; redirects are not followed"),
            ("bearer", {"identify": HEALTH}, "GET /health answers 401: it wants a bearer"),
            ("127.0.0.2", {}, "it listens on 127.0.0.2 only, not on 127.0.0.1"),
            ("idle", {}, "it runs, but listens on no port"),
            ("first-only", {"ports": {"http": reach(0), "ws": reach(1)}}, "is not open yet"),
        ],
        3,
    ),
)
def test_start_that_fails_says_what_was_seen(make_home: MakeHome, habit: str, kind: dict[str, Any], seen: str) -> None:
    home = make_home(config(habit, **kind))
    _, error = home.refused("up", "mine")
    assert seen in error["message"]
    assert "SIGTERM" not in json.dumps(error)
    row = home.server_in("mine", "failed")
    assert row is not None
    assert seen in row["failure"]["message"]
    assert seen in home.cli("inspect", "mine").stdout
    assert pids(home) == []


def test_server_on_the_next_port_fails_with_both_ports_named(make_home: MakeHome) -> None:
    _, error = make_home(config("next")).refused("up", "mine")
    assert "it listens on " in error["message"]
    assert ", not on " in error["message"]


# --- the background ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("habit", rest_in_full(["fork", "daemonize", "daemonize-late", "launcher", "again"], 2))
def test_server_that_leaves_its_first_process_is_ended_whole(make_home: MakeHome, habit: str) -> None:
    home = make_home(config(habit))
    row = home.up("mine")
    listener = row["process"]["pid"]
    assert len(home.events("server.spawned")) == 1
    assert listener in pids(home)
    assert home.up("mine")["process"]["pid"] == listener
    home.kill_daemon()
    assert home.up("mine")["process"]["pid"] == listener
    assert home.cli("down", "mine").returncode == 0
    eventually(lambda: not pids(home), "all of it ends")


def test_next_daemon_waits_for_a_server_in_the_background(make_home: MakeHome) -> None:
    home = make_home(config("daemonize-late", ready_timeout_s=15))
    home.start()
    home.begin("up", "mine")
    pid = home.event("server.spawned")["pid"]
    eventually(lambda: not lives(pid), "the first process has left")
    home.kill_daemon()
    row = home.up("mine")
    assert [row["process"]["pid"]] == pids(home)
    assert len(home.events("server.spawned")) == 1


@pytest.mark.parametrize("habit", ["daemonize-elsewhere", "daemonize-idle"])
def test_process_in_the_background_that_is_unproven_is_named_once(make_home: MakeHome, habit: str) -> None:
    home = make_home(config(habit))
    _, error = home.refused("up", "mine")
    left = pids(home)
    try:
        assert len(left) == 1
        assert f"it puts itself into the background (pid {left[0]})" in error["message"]
        assert "in the foreground" in error["data"]["hint"]
        assert home.event("server.left_behind")["pids"] == left
        assert len(home.events("server.spawned")) == 1
        keeps_living(left[0], 0.5)
    finally:
        for pid in left:
            os.kill(pid, signal.SIGKILL)


# --- without ports, and the input -------------------------------------------------------------------------------------


def test_program_without_ports_that_ends_at_once_is_not_ready(make_home: MakeHome) -> None:
    command = [sys.executable, str(SERVERS / "habits.py"), "broken", "0"]
    _, error = make_home(config("broken", command=command, ports={})).refused("up", "mine")
    assert "it ended within 1 s of its start (exit status 1)" in error["message"]
    assert error["data"]["log_tail"] == ["ModuleNotFoundError: No module named 'mcp.server.fastmcp'"]


def test_server_that_reads_its_input_needs_it_open(make_home: MakeHome) -> None:
    closed = make_home(config("reading"))
    _, error = closed.refused("up", "mine")
    assert "exit status 0" in error["message"]
    assert 'stdin = "open"' in error["data"]["hint"]

    home = make_home(config("reading", stdin="open", ports={"http": reach(1)}))
    pid = home.up("mine")["process"]["pid"]
    home.kill_daemon()
    keeps_living(pid, 0.5)
    assert home.up("mine")["process"]["pid"] == pid
    assert home.cli("down", "mine").returncode == 0
    eventually(lambda: not lives(pid), "it ends")


# --- ports that were lost ---------------------------------------------------------------------------------------------


def test_race_that_only_the_log_tells_of_is_run_again_on_the_next_ports(make_home: MakeHome) -> None:
    home = make_home(config("raced"))
    row = home.up("mine")
    first = int(reach(0).split("-")[0])
    assert row["ports"] == {"http": first + 1}
    lost = home.event("port.lost")
    assert lost["port"] == first


def test_log_shows_the_cause_before_the_traceback(make_home: MakeHome) -> None:
    first = int(reach(0).split("-")[0])
    home = make_home(config("raced", ports={"http": first}))
    _, error = home.refused("up", "mine")
    assert "the server's log says that it was in use" in json.dumps(error["data"])
