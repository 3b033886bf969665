"""The daemon is killed, or cannot write: never two servers, never an unknown one."""

import json
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from supervisor.client import endpoint
from supervisor.errors import SupervisorError
from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home, eventually, lives
from tests.gates import rest_in_full

AT_ONCE_S = 0.0005
SWEEP_S = tuple(step * 0.13 for step in range(10))
NOT_READABLE = {
    "removed": None,
    "garbage": b"\x00\xff not a registry",
    "torn": b'{"schema": 1, "servers": [{"id": "e2e-toy", "ki',
    "of another kind": b"[1, 2, 3]\n",
}


def slow(make_home: MakeHome, seconds: float = 0.5) -> Home:
    return make_home(toy_config("--slow-start", str(seconds)))


def kill_every_daemon(home: Home) -> None:
    """Also one that has not published itself yet."""
    pids = home.daemon_processes()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        eventually(lambda pid=pid: not lives(pid), "the daemon ends")


def seen(home: Home, event: str, **fields: Any) -> None:
    """Return as soon as it can be told that this event was logged."""
    eventually(lambda: home.events(event, **fields), f"event {event}", pause_s=AT_ONCE_S)


def exactly_one_in_the_end(home: Home, owner: int) -> dict[str, Any]:
    """After a crash: at most one server; after `start` and `up` one, and it is the one that has survived."""
    survivors = home.server_processes()
    assert len(survivors) <= 1
    home.start()
    server = home.up("e2e-toy", "--owner-pid", str(owner))
    assert home.server_processes() == [server["root_pid"]], home.note()
    assert not survivors or survivors == [server["root_pid"]], home.note()
    assert [row["id"] for row in home.call("server.list")["servers"]] == ["e2e-toy"]
    assert server["state"] == "ready"
    assert answer(server)["name"] == "e2e-toy"
    return server


def answer(server: dict[str, Any]) -> dict[str, Any]:
    with urllib.request.urlopen(server["url"], timeout=10) as reply:
        said: dict[str, Any] = json.load(reply)
    return said


def gone(home: Home, server: dict[str, Any]) -> None:
    eventually(lambda: not lives(server["process"]["pid"]), "the server ends")
    eventually(lambda: home.server(server["id"]) is None, "its row goes")
    assert home.server_processes() == []


# --- killed during `up` -----------------------------------------------------------------------------------------------


@pytest.mark.full
def test_killed_at_any_time_of_up_there_is_one_server_in_the_end(make_home: MakeHome) -> None:
    home = slow(make_home, 0.4)
    owner = home.owner()
    for number, delay in enumerate(SWEEP_S):
        up = home.begin("up", "e2e-toy", "--owner-pid", str(owner.pid))
        time.sleep(delay)
        kill_every_daemon(home)
        up.communicate(timeout=60)
        exactly_one_in_the_end(home, owner.pid)
        assert home.cli("down", "e2e-toy").returncode == 0
        assert home.server_processes() == []
        # Every other time `up` finds no daemon, and has to start one first.
        if number % 2:
            assert home.cli("stop").returncode == 0


def test_early_requests_after_a_kill_during_up_share_the_survivor(make_home: MakeHome) -> None:
    home = slow(make_home, 1.0)
    owner = home.owner()
    home.start()
    up = home.begin("up", "e2e-toy", "--owner-pid", str(owner.pid))
    seen(home, "server.spawned")
    home.kill_daemon()
    up.communicate(timeout=60)
    (survivor,) = home.server_processes()
    # The first of them races with `start`.
    racing = [home.begin("up", "e2e-toy", "--owner-pid", str(owner.pid), "--json") for _ in range(2)]
    home.start()
    racing += [home.begin("up", "e2e-toy", "--json") for _ in range(2)]
    found = []
    for command in racing:
        out, err = command.communicate(timeout=60)
        assert command.returncode == 0, err + home.note()
        found.append(json.loads(out)["root_pid"])
    assert found == [survivor] * 4
    assert home.server_processes() == [survivor]
    # A daemon that found the lock taken tries it for a moment before it ends.
    eventually(lambda: home.daemon_processes() == [home.daemon_pid()], "one daemon is left")


# --- killed while a private environment is made ----------------------------------------------------------------------


def test_killed_while_an_environment_is_made_the_next_makes_a_whole_one(packaged: Home) -> None:
    home = packaged
    owner = home.owner()
    home.start()

    def kill_before_the_package_is_in(told: Any) -> None:
        if (told["stage"], told["message"]) == ("installing", "toy-server==1.0"):
            home.kill_daemon()

    ensure = {"kind": "e2e-toy", "owner": {"pid": owner.pid}}
    with home.client() as client, pytest.raises(SupervisorError) as broken:
        client.call("server.ensure", ensure, on_progress=kill_before_the_package_is_in)
    assert broken.value.code == "DISCONNECTED_AFTER_ACCEPT"
    assert home.server_processes() == []
    half_made = list(home.folders.environments.glob("toy-server-1.0-*"))
    assert len(half_made) == 1
    assert not list(home.folders.environments.glob("*.json"))
    server = exactly_one_in_the_end(home, owner.pid)
    python = Path(Path(f"/proc/{server['root_pid']}/cmdline").read_bytes().split(b"\0")[0].decode())
    assert home.folders.environments in python.parents
    assert half_made[0] not in python.parents
    published = json.loads((home.folders.environments / "toy-server-1.0.json").read_text())
    assert published["python"] == str(python)


def test_shutdown_during_provisioning_leaves_nothing(packaged: Home) -> None:
    packaged.start()

    def end(told: Any) -> None:
        pid = packaged.daemon_pid()
        if told["stage"] == "installing" and pid is not None:
            os.kill(pid, signal.SIGTERM)

    with packaged.client() as client, pytest.raises(SupervisorError) as refused:
        client.call("server.ensure", {"kind": "e2e-toy"}, on_progress=end)
    assert refused.value.code == "SHUTTING_DOWN"
    eventually(lambda: not packaged.daemon_processes(), "the daemon ends")
    assert not [path for path in packaged.folders.environments.iterdir() if path.is_dir()]
    packaged.start()
    assert packaged.call("server.list")["servers"] == []


# --- killed while it is ready -----------------------------------------------------------------------------------------


@pytest.mark.full
def test_killed_again_and_again_it_is_the_same_server_with_the_same_owner(toy: Home) -> None:
    owner = toy.owner()
    before = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    for _ in range(3):
        toy.kill_daemon()
        toy.start()
        after = toy.server("e2e-toy")
        assert after is not None
        same = ("process", "root_pid", "ports", "url", "state", "origin", "version", "log", "since")
        assert {name: after[name] for name in same} == {name: before[name] for name in same}
        assert [(row["pid"], row["liveness"]) for row in after["owners"]] == [(owner.pid, "alive")]
    assert toy.server_processes() == [before["root_pid"]]
    owner.kill()
    owner.wait()
    gone(toy, before)
    reaped = toy.event("server.reaped", server="e2e-toy")
    assert reaped["second_sample"] - reaped["first_sample"] >= 0.5


def test_an_owner_that_ends_while_no_daemon_runs_is_noticed_by_the_next(toy: Home) -> None:
    owner = toy.owner()
    server = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    toy.kill_daemon()
    owner.kill()
    owner.wait()
    assert lives(server["process"]["pid"])
    toy.start()
    gone(toy, server)
    reaped = toy.event("server.reaped", server="e2e-toy")
    assert reaped["second_sample"] - reaped["first_sample"] >= 0.5


def test_a_server_that_ends_while_no_daemon_runs_is_started_anew_by_up(toy: Home) -> None:
    owner = toy.owner()
    server = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    toy.kill_daemon()
    os.kill(server["process"]["pid"], signal.SIGKILL)
    eventually(lambda: not lives(server["process"]["pid"]), "the server ends")
    fresh = exactly_one_in_the_end(toy, owner.pid)
    assert fresh["root_pid"] != server["root_pid"]


def test_what_a_killed_daemon_leaves_behind_does_not_disturb_the_next(toy: Home) -> None:
    toy.start()
    left = endpoint.read(toy.folders.endpoint)
    toy.kill_daemon()
    assert toy.folders.endpoint.exists()
    assert toy.folders.socket.is_socket()
    assert toy.cli("status").returncode == 3
    toy.start()
    fresh = endpoint.read(toy.folders.endpoint)
    assert left is not None
    assert fresh is not None
    assert fresh.instance_id != left.instance_id
    assert fresh.token != left.token
    assert toy.call("ping") == {}


# --- killed during `down` ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "fields"), [("server.state", {"now": "stopping"}), ("signal.sent", {})], ids=["decided", "signalled"]
)
def test_killed_during_down_the_next_finishes_the_stop(make_home: MakeHome, event: str, fields: dict[str, Any]) -> None:
    home = make_home(toy_config("--ignore-term", stop_timeout=1.5))
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    down = home.begin("down", "e2e-toy")
    seen(home, event, server="e2e-toy", **fields)
    home.kill_daemon()
    down.communicate(timeout=60)
    assert down.returncode == 1
    # The stop may not have reached the disk: then the server is as it was, and `down` can be repeated.
    (row,) = json.loads(home.folders.registry.read_text())["servers"]
    stopping = row["state"] == "stopping"
    assert stopping or event == "server.state"
    home.start()
    if not stopping:
        assert home.cli("down", "e2e-toy").returncode == 0
    gone(home, server)
    assert owner.poll() is None


def test_up_right_after_a_kill_during_down_waits_for_the_end_of_the_stop(make_home: MakeHome) -> None:
    home = make_home(toy_config("--ignore-term", stop_timeout=1.5))
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    down = home.begin("down", "e2e-toy")
    seen(home, "signal.sent", server="e2e-toy")
    home.kill_daemon()
    down.communicate(timeout=60)
    fresh = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    assert not lives(server["process"]["pid"])
    assert home.server_processes() == [fresh["root_pid"]]
    assert [row["pid"] for row in fresh["owners"]] == [owner.pid]


# --- the registry is lost ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", rest_in_full([*NOT_READABLE.values()]), ids=NOT_READABLE)
def test_without_its_registry_the_server_is_found_by_its_launch_token(toy: Home, content: bytes | None) -> None:
    owner = toy.owner()
    before = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    toy.kill_daemon()
    registry = toy.folders.registry
    if content is None:
        registry.unlink()
    else:
        registry.write_bytes(content)
    toy.start()
    aside = [path.read_bytes() for path in toy.folders.home.glob("registry.json.*")]
    assert aside == ([] if content is None else [content])
    after = toy.server("e2e-toy")
    assert after is not None, toy.note()
    assert after["origin"] == "adopted"
    same = ("process", "root_pid", "ports", "url", "state", "version")
    assert {name: after[name] for name in same} == {name: before[name] for name in same}
    assert [row["pid"] for row in after["owners"]] == [owner.pid]
    assert toy.up("e2e-toy", "--owner-pid", str(owner.pid))["process"] == before["process"]
    assert not toy.events("signal.sent")
    assert toy.cli("down", "e2e-toy").returncode == 0
    gone(toy, before)
    assert owner.poll() is None


def test_server_found_by_its_token_is_kept_for_unknown_owners(toy: Home) -> None:
    owner = toy.owner()
    server = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    toy.kill_daemon()
    toy.folders.registry.unlink()
    toy.start()
    assert lives(server["process"]["pid"])
    owner.kill()
    owner.wait()
    toy.event("editor.ended", pid=owner.pid)
    (judged,) = toy.call("reap", {"dry_run": False})["servers"]
    assert judged["verdict"] == "keep"
    assert judged["reasons"] == ["it may have unknown owners"]
    assert lives(server["process"]["pid"])
    assert toy.cli("down", "e2e-toy").returncode == 0
    gone(toy, server)


def test_a_project_finds_its_server_again_after_the_registry_was_lost(make_home: MakeHome) -> None:
    home = make_home(toy_config(topology="per-editor"))
    owner = home.owner()
    up = ("e2e-toy", "--owner-pid", str(owner.pid), "--project", home.project())
    before = home.up(*up)
    home.kill_daemon()
    home.folders.registry.unlink()
    home.start()
    after = home.up(*up)
    assert after["process"] == before["process"]
    assert home.server_processes() == [before["root_pid"]]


# --- the state cannot be written --------------------------------------------------------------------------------------


@pytest.fixture
def read_only(toy: Home) -> Home:
    """A running daemon whose drafts cannot be written, not even by root."""
    toy.start()
    no_more_writable(toy)
    return toy


def draft_of(home: Home) -> Path:
    return home.folders.home / "registry.json.draft"


def no_more_writable(home: Home) -> None:
    draft_of(home).unlink(missing_ok=True)
    draft_of(home).mkdir()


def writable_again(home: Home) -> None:
    draft_of(home).rmdir()


def not_writable(home: Home, *words: str) -> None:
    code, error = home.refused(*words)
    assert code == 1
    assert error["data"]["code"] == "STATE_NOT_WRITABLE"
    assert error["data"]["retryable"]
    assert error["data"]["hint"]


def test_with_read_only_state_nothing_is_started_until_it_can_be_written(read_only: Home) -> None:
    owner = read_only.owner()
    not_writable(read_only, "up", "e2e-toy", "--owner-pid", str(owner.pid))
    assert read_only.server_processes() == []
    assert not read_only.events("server.planned")
    status = read_only.call("status")
    assert status["servers"] == []
    assert "cannot be written" in " ".join(status["daemon"]["notes"])
    for read in (("status",), ("ports", "e2e-toy"), ("reap", "--dry-run"), ("logs",)):
        assert read_only.cli(*read).returncode == 0
    writable_again(read_only)
    server = read_only.up("e2e-toy", "--owner-pid", str(owner.pid))
    assert read_only.server_processes() == [server["root_pid"]]
    assert read_only.call("status")["daemon"]["notes"] == []


def test_with_read_only_state_a_server_goes_on_untouched(toy: Home) -> None:
    owner, other = toy.owner(), toy.owner()
    server = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    no_more_writable(toy)
    not_writable(toy, "down", "e2e-toy")
    not_writable(toy, "up", "e2e-toy", "--owner-pid", str(other.pid))
    now = toy.server("e2e-toy")
    assert now is not None
    assert now["state"] == "ready"
    assert [row["pid"] for row in now["owners"]] == [owner.pid]
    assert not toy.events("signal.sent")
    assert toy.server_processes() == [server["root_pid"]]
    writable_again(toy)
    assert toy.cli("down", "e2e-toy").returncode == 0
    gone(toy, server)


def test_a_daemon_that_cannot_write_starts_and_reaps_what_it_finds(toy: Home) -> None:
    owner = toy.owner()
    server = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    toy.kill_daemon()
    no_more_writable(toy)
    toy.start()
    assert toy.server("e2e-toy") is not None
    owner.kill()
    owner.wait()
    gone(toy, server)
    writable_again(toy)
    # A record that could not be written then must not come back now.
    toy.kill_daemon()
    toy.start()
    assert eventually(lambda: toy.call("server.list")["servers"] == [], "the row goes")


def test_a_disk_that_was_full_for_a_moment_costs_one_refusal(toy: Home) -> None:
    toy.start()
    draft_of(toy).unlink(missing_ok=True)
    draft_of(toy).symlink_to("/dev/full")
    not_writable(toy, "up", "e2e-toy")
    assert toy.server_processes() == []
    draft_of(toy).unlink(missing_ok=True)
    assert toy.up("e2e-toy")["state"] == "ready"


def test_a_log_that_cannot_be_written_does_not_stop_the_daemon(toy: Home) -> None:
    toy.folders.logs.mkdir(mode=0o700)
    (toy.folders.logs / "daemon.log").symlink_to("/dev/full")
    toy.start()
    owner = toy.owner()
    server = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    assert toy.cli("down", "e2e-toy").returncode == 0
    gone(toy, server)
    assert "Traceback" not in (toy.folders.logs / "daemon.out").read_text()
