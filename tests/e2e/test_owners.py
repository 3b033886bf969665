"""Holders that keep a server alive, and its end when the last of them has gone."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.errors import SupervisorError
from tests.e2e.conftest import MakeHome, Recycle, toy_config
from tests.e2e.home import Home, eventually, free_ports, keeps_living, lives, variables
from tests.gates import rest_in_full

Process = subprocess.Popen[Any]

GRACE_S = 0.5
LINGER_S = 1.0
LONG_S = 600.0

NEVER_WAITS = "import subprocess, sys; print(subprocess.Popen(['sleep', '600']).pid, flush=True); sys.stdin.read()"

PLAIN = """
[daemon]
discover = "off"

[kinds.plain]
command = ["sleep", "600"]
topology = "{topology}"
grace_s = 0.5
"""


def config(**options: Any) -> str:
    ports = free_ports(8)
    http, sessions = f"{ports[0]}-{ports[3]}", f"{ports[4]}-{ports[7]}"
    return toy_config(**{"grace": GRACE_S, "linger": LINGER_S, "http": http, "sessions": sessions, **options})


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    """A home with the toy, on ports of its own."""
    return make_home(config())


def killed(process: Process) -> None:
    """End a process as a crash would. Nothing is left of it."""
    process.kill()
    process.wait()


def gone(pid: int) -> bool:
    """Whether not even a zombie has this pid."""
    return not Path(f"/proc/{pid}").exists()


@contextlib.contextmanager
def session(server: dict[str, Any]) -> Iterator[None]:
    with socket.create_connection(("127.0.0.1", server["ports"]["sessions"])):
        yield


def attach(home: Home, process: Process, project: str) -> str:
    editor: str = home.call("editor.attach", {"pid": process.pid, "project": project})["id"]
    return editor


def ensure(home: Home, editor: str) -> dict[str, Any]:
    server: dict[str, Any] = home.call("server.ensure", {"kind": "e2e-toy", "editor": editor})
    return server


# --- death ----------------------------------------------------------------------------------------------------------


def test_owner_is_a_zombie_then_gone(home: Home) -> None:
    parent = home.run(sys.executable, "-c", NEVER_WAITS, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    owner = int(parent.stdout.readline())
    try:
        server = home.up("e2e-toy", "--owner-pid", str(owner))
    finally:
        os.kill(owner, signal.SIGKILL)
    home.judged_twice("e2e-toy", GRACE_S)
    assert not lives(server["process"]["pid"])
    assert not gone(owner)
    assert parent.poll() is None


@pytest.mark.needs_root
def test_owners_pid_is_recycled_before_the_daemon_can_look(home: Home, recycle: Recycle) -> None:
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    daemon = home.daemon_pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGSTOP)
    try:
        killed(owner)
        innocent = recycle(owner.pid)
    finally:
        os.kill(daemon, signal.SIGCONT)
    home.judged_twice("e2e-toy", GRACE_S)
    assert not lives(server["process"]["pid"])
    assert innocent.poll() is None


@pytest.mark.needs_root
def test_owners_pid_is_recycled_within_the_grace(make_home: MakeHome, recycle: Recycle) -> None:
    home = make_home(config(grace=2.0))
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    killed(owner)
    home.event("server.suspected", server="e2e-toy")
    innocent = recycle(owner.pid)
    assert home.events("server.reaped") == []
    home.judged_twice("e2e-toy", 2.0)
    assert not lives(server["process"]["pid"])
    assert innocent.poll() is None


@pytest.mark.needs_root
def test_owners_pid_is_recycled_while_the_daemon_is_down(home: Home, recycle: Recycle) -> None:
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    home.kill_daemon()
    killed(owner)
    innocent = recycle(owner.pid)
    assert lives(server["process"]["pid"])
    home.start()
    home.judged_twice("e2e-toy", GRACE_S)
    assert not lives(server["process"]["pid"])
    assert innocent.poll() is None


@pytest.mark.needs_root
@pytest.mark.parametrize("owned", rest_in_full([True, False]), ids=["its owner lives", "its owner is dead"])
def test_servers_own_pid_is_recycled_while_the_daemon_is_down(home: Home, recycle: Recycle, *, owned: bool) -> None:
    owner = home.owner()
    pid = home.up("e2e-toy", "--owner-pid", str(owner.pid))["process"]["pid"]
    home.kill_daemon()
    if not owned:
        killed(owner)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: gone(pid), "somebody waits for the server")
    innocent = recycle(pid)
    home.start()
    home.event("server.exited", server="e2e-toy")
    if owned:
        listed = home.server("e2e-toy")
        assert listed is None or listed["process"] is None or listed["process"]["pid"] != pid
        assert home.up("e2e-toy")["process"]["pid"] != pid
    else:
        eventually(lambda: home.server("e2e-toy") is None, "the row is cleared")
    assert home.events("signal.sent") == []
    assert innocent.poll() is None


def test_owner_dies_while_the_daemon_is_down(home: Home) -> None:
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    home.kill_daemon()
    killed(owner)
    home.start()
    home.judged_twice("e2e-toy", GRACE_S)
    assert not lives(server["process"]["pid"])


# --- sessions -------------------------------------------------------------------------------------------------------


def test_a_session_keeps_the_server_until_it_ends(home: Home) -> None:
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    with session(server):
        killed(owner)
        home.event("editor.ended", pid=owner.pid)
        keeps_living(server["process"]["pid"], 4 * GRACE_S)
        (judged,) = home.call("reap", {"dry_run": True})["servers"]
        assert (judged["verdict"], judged["reasons"]) == ("keep", ["open sessions: 1"])
        assert home.events("server.suspected") == []
        closing = time.monotonic()
    first, _ = home.judged_twice("e2e-toy", GRACE_S)
    assert first > closing
    assert not lives(server["process"]["pid"])


def test_a_session_that_opens_within_the_grace_clears_the_suspicion(make_home: MakeHome) -> None:
    home = make_home(config(grace=2.0))
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    killed(owner)
    suspected = home.event("server.suspected", server="e2e-toy")
    with session(server):
        home.event("server.suspicion_cleared", server="e2e-toy")
        assert time.monotonic() < suspected["due"] + 5
        assert home.events("server.reaped") == []
        closing = time.monotonic()
    first, _ = home.judged_twice("e2e-toy", 2.0)
    assert first > closing
    assert not lives(server["process"]["pid"])


# --- several owners -------------------------------------------------------------------------------------------------


def test_a_server_outlives_the_first_of_two_owners_and_not_the_second(home: Home) -> None:
    first, second = home.owner(), home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(first.pid))
    pid = server["process"]["pid"]
    shared = home.up("e2e-toy", "--owner-pid", str(second.pid))
    assert shared["process"]["pid"] == pid
    assert [owner["pid"] for owner in shared["owners"]] == [first.pid, second.pid]
    killed(first)
    home.event("editor.ended", pid=first.pid)
    keeps_living(pid, 3 * GRACE_S)
    (judged,) = home.call("reap", {"dry_run": True})["servers"]
    assert judged["verdict"] == "keep"
    assert home.events("server.suspected") == []
    killed(second)
    sample, _ = home.judged_twice("e2e-toy", GRACE_S)
    (ended,) = home.events("editor.ended", pid=second.pid)
    assert ended["mono"] <= sample + 0.001
    assert not lives(pid)


def test_an_owner_that_comes_within_the_grace_clears_the_suspicion(make_home: MakeHome) -> None:
    home = make_home(config(grace=2.0))
    first, second = home.owner(), home.owner()
    pid = home.up("e2e-toy", "--owner-pid", str(first.pid))["process"]["pid"]
    killed(first)
    home.event("server.suspected", server="e2e-toy")
    inherited = home.call("server.ensure", {"kind": "e2e-toy", "owner": {"pid": second.pid}})
    assert inherited["process"]["pid"] == pid
    assert [owner["pid"] for owner in inherited["owners"]] == [second.pid]
    keeps_living(pid, 2.5)
    assert home.events("server.reaped") == []
    killed(second)
    home.judged_twice("e2e-toy", 2.0)


def test_an_editor_that_was_refused_is_no_owner(home: Home) -> None:
    owner, refused = home.owner(), home.owner()
    pid = home.up("e2e-toy", "--owner-pid", str(owner.pid))["process"]["pid"]
    http, sessions = free_ports(2)
    params = {"kind": "e2e-toy", "owner": {"pid": refused.pid}, "ports": {"http": http, "sessions": sessions}}
    with pytest.raises(SupervisorError, match="runs on other ports"):
        home.call("server.ensure", params)
    (listed,) = home.call("server.list")["servers"]
    assert [owner["pid"] for owner in listed["owners"]] == [owner.pid]
    killed(owner)
    home.judged_twice("e2e-toy", GRACE_S)
    assert not lives(pid)
    assert refused.poll() is None


def test_an_owner_that_comes_during_the_reap_gets_a_server_of_its_own(make_home: MakeHome) -> None:
    ports = free_ports(2)
    home = make_home(toy_config("--ignore-term", stop_timeout=2.0, http=str(ports[0]), sessions=str(ports[1])))
    first, second = home.owner(), home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(first.pid))
    killed(first)
    home.event("server.reaped", server="e2e-toy")
    again = home.up("e2e-toy", "--owner-pid", str(second.pid))
    assert [row["signal"] for row in home.events("signal.sent")] == ["ask", "kill"]
    assert not lives(server["process"]["pid"])
    assert (again["state"], again["ports"]) == ("ready", server["ports"])
    assert [owner["pid"] for owner in again["owners"]] == [second.pid]


def test_an_owner_that_dies_while_the_server_starts(make_home: MakeHome) -> None:
    ports = free_ports(2)
    home = make_home(toy_config("--slow-start", "1.5", http=str(ports[0]), sessions=str(ports[1])))
    home.start()
    owner = home.owner()
    asking = home.run(sys.executable, "-P", "-m", "supervisor", "up", "e2e-toy", "--owner-pid", str(owner.pid))
    pid = home.event("server.spawned", server="e2e-toy")["pid"]
    killed(owner)
    asking.wait(60)
    eventually(lambda: home.server("e2e-toy") is None, "nobody needs the server")
    assert not lives(pid)


@pytest.mark.parametrize("ended_by", ["down", "a crash"])
def test_a_restarted_server_is_given_a_living_owner(home: Home, ended_by: str) -> None:
    first, second = home.owner(), home.owner()
    home.up("e2e-toy", "--owner-pid", str(first.pid))
    pid = home.up("e2e-toy", "--owner-pid", str(second.pid))["process"]["pid"]
    assert variables(pid)["TOY_OWNER"] == str(first.pid)
    killed(first)
    home.event("editor.ended", pid=first.pid)
    if ended_by == "down":
        assert home.cli("down", "e2e-toy").returncode == 0
        again = home.up("e2e-toy", "--owner-pid", str(second.pid))
    else:
        os.kill(pid, signal.SIGKILL)
        home.event("server.exited", server="e2e-toy")
        again = home.up("e2e-toy")
    assert again["process"]["pid"] != pid
    assert variables(again["process"]["pid"])["TOY_OWNER"] == str(second.pid)
    assert [owner["pid"] for owner in again["owners"] if owner["liveness"] == "alive"] == [second.pid]
    killed(second)
    eventually(lambda: not lives(again["process"]["pid"]), "the restarted server is reaped")


# --- leaving --------------------------------------------------------------------------------------------------------


def test_detached_editor_releases_the_server_after_its_linger(home: Home) -> None:
    home.start()
    owner = home.owner()
    editor = attach(home, owner, home.project())
    pid = ensure(home, editor)["process"]["pid"]
    left = home.call("editor.detach", {"editor": editor})
    assert left["servers"] == ["e2e-toy"]
    detached = home.event("editor.detached", editor=editor)
    (listed,) = home.call("server.list")["servers"]
    assert listed["owners"][0]["leaving"]
    first, _ = home.judged_twice("e2e-toy", GRACE_S)
    assert first >= detached["mono"] + LINGER_S - 0.001
    assert not lives(pid)
    assert owner.poll() is None


@pytest.mark.parametrize("comes", ["another process for the same project", "the same process"])
def test_a_project_that_is_reloaded_keeps_its_server(home: Home, comes: str) -> None:
    home.start()
    project = home.project()
    first = home.owner()
    editor = attach(home, first, project)
    pid = ensure(home, editor)["process"]["pid"]
    home.call("editor.detach", {"editor": editor})
    second = first if comes == "the same process" else home.owner()
    heir = attach(home, second, project)
    assert (heir == editor) == (second is first)
    if second is not first:
        killed(first)
    keeps_living(pid, LINGER_S + 2 * GRACE_S)
    assert home.events("server.reaped") == []
    server = ensure(home, heir)
    assert server["process"]["pid"] == pid
    assert [(owner["editor"], owner["pid"], owner["leaving"]) for owner in server["owners"]] == [
        (heir, second.pid, False)
    ]
    killed(second)
    home.judged_twice("e2e-toy", GRACE_S)
    assert not lives(pid)


def test_an_editor_of_another_project_inherits_nothing(home: Home) -> None:
    home.start()
    first, second = home.owner(), home.owner()
    editor = attach(home, first, home.project())
    pid = ensure(home, editor)["process"]["pid"]
    home.call("editor.detach", {"editor": editor})
    attach(home, second, home.project("another-game"))
    home.judged_twice("e2e-toy", GRACE_S)
    assert not lives(pid)


def test_detach_with_stop_does_not_linger(make_home: MakeHome) -> None:
    home = make_home(config(linger=LONG_S))
    home.start()
    owner = home.owner()
    editor = attach(home, owner, home.project())
    pid = ensure(home, editor)["process"]["pid"]
    home.call("editor.detach", {"editor": editor, "stop": True})
    detached = home.event("editor.detached", editor=editor)
    first, _ = home.judged_twice("e2e-toy", GRACE_S)
    assert detached["mono"] - 0.001 <= first < detached["mono"] + 5
    assert not lives(pid)
    assert owner.poll() is None


def test_a_lingering_editor_that_dies_lingers_no_longer(make_home: MakeHome) -> None:
    home = make_home(config(linger=LONG_S))
    home.start()
    owner = home.owner()
    editor = attach(home, owner, home.project())
    pid = ensure(home, editor)["process"]["pid"]
    home.call("editor.detach", {"editor": editor})
    keeps_living(pid, 3 * GRACE_S)
    killed(owner)
    home.judged_twice("e2e-toy", GRACE_S)
    assert not lives(pid)


def test_a_detach_that_was_answered_outlives_the_daemon(home: Home) -> None:
    home.start()
    daemon = home.daemon_pid()
    assert daemon is not None
    owner = home.owner()
    with home.client() as client:
        editor = client.call("editor.attach", {"pid": owner.pid, "project": home.project()})["id"]
        pid = client.call("server.ensure", {"kind": "e2e-toy", "editor": editor})["process"]["pid"]
        client.call("editor.detach", {"editor": editor})
        os.kill(daemon, signal.SIGKILL)
    eventually(lambda: not lives(daemon), "the daemon ends")
    home.start()
    first, _ = home.judged_twice("e2e-toy", GRACE_S)
    # The linger begins again with the daemon.
    assert first >= home.events("daemon.starting")[-1]["mono"] + LINGER_S
    assert not lives(pid)
    assert owner.poll() is None


# --- a kind of the user's own ---------------------------------------------------------------------------------------


def test_a_shared_kind_with_a_command_alone(make_home: MakeHome) -> None:
    home = make_home(PLAIN.format(topology="shared"))
    first, second = home.owner(), home.owner()
    server = home.up("plain", "--owner-pid", str(first.pid))
    assert (server["id"], server["state"], server["ports"], server["url"]) == ("plain", "ready", {}, None)
    assert (server["version"], server["project"], server["sessions"]) == (None, None, None)
    assert home.up("plain", "--owner-pid", str(second.pid))["process"] == server["process"]
    pid = server["process"]["pid"]
    killed(first)
    home.event("editor.ended", pid=first.pid)
    keeps_living(pid, 3 * GRACE_S)
    killed(second)
    home.judged_twice("plain", GRACE_S)
    assert not lives(pid)


def test_a_kind_with_a_command_alone_for_each_project(make_home: MakeHome) -> None:
    home = make_home(PLAIN.format(topology="per-editor"))
    first, second = home.owner(), home.owner()
    one = home.up("plain", "--owner-pid", str(first.pid), "--project", home.project("one"))
    two = home.up("plain", "--owner-pid", str(second.pid), "--project", home.project("two"))
    assert (one["id"], two["id"]) == ("plain@one", "plain@two")
    assert one["process"]["pid"] != two["process"]["pid"]
    assert (one["project"], two["project"]) == (home.project("one"), home.project("two"))
    killed(first)
    home.judged_twice("plain@one", GRACE_S)
    assert not lives(one["process"]["pid"])
    assert lives(two["process"]["pid"])
    assert home.events("server.suspected", server="plain@two") == []
    assert home.cli("down", "plain@two").returncode == 0
    assert not lives(two["process"]["pid"])
    assert second.poll() is None
