"""The commands that watch, wait and restart, with the real daemon and a small real server."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pytest

from supervisor.client.client import Client
from supervisor.errors import Busy
from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import PATIENCE_S, Home, eventually, lives

VERSION = metadata.version("godot-supervisor")


def rows(process: "subprocess.Popen[str]") -> Iterator[Any]:
    """Yield the objects that a command prints, as they come."""
    assert process.stdout is not None
    return (json.loads(line) for line in process.stdout)


def interrupted(process: "subprocess.Popen[str]") -> str:
    """End a command as Ctrl-C does, and return what it printed on stderr."""
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    return complaint.strip()


class TestRestart:
    def test_a_server_comes_back_on_its_ports(self, toy: Home) -> None:
        before = toy.up("e2e-toy", "--owner-pid", str(toy.owner().pid))
        done = toy.cli("restart")
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"e2e-toy: ready at {before['url']}\n"
        after = toy.server("e2e-toy")
        assert after is not None
        assert (after["state"], after["ports"], after["restarts"]) == ("ready", before["ports"], 1)
        assert after["process"]["pid"] != before["process"]["pid"]
        assert not lives(before["process"]["pid"])

    def test_the_daemon_finds_its_servers_again(self, toy: Home) -> None:
        server = toy.up("e2e-toy", "--owner-pid", str(toy.owner().pid))
        first = toy.daemon_pid()
        done = toy.cli("restart", "--daemon")
        assert done.returncode == 0, done.stderr
        second = toy.daemon_pid()
        assert done.stdout == f"restarted: pid {second}, version {VERSION}\n"
        assert second != first
        assert toy.server_in("e2e-toy", "ready", process=server["process"])

    def test_restart_daemon_starts_one_if_none_runs(self, toy: Home) -> None:
        done = toy.cli("restart", "--daemon")
        assert (done.returncode, done.stdout) == (0, f"started: pid {toy.daemon_pid()}, version {VERSION}\n")

    @pytest.mark.parametrize("protocol", ["ours", "another"])
    def test_restart_daemon_is_refused_if_the_start_would_fail(self, toy: Home, protocol: str) -> None:
        server = toy.up("e2e-toy", "--owner-pid", str(toy.owner().pid))
        first = toy.daemon_pid()
        good = toy.folders.config.read_text()
        toy.folders.config.write_text(good + "[kinds.a")
        if protocol == "another":
            published = json.loads(toy.folders.endpoint.read_text())
            toy.folders.endpoint.write_text(json.dumps({**published, "protocol": {"min": 98, "max": 99}}))
        code, error = toy.refused("restart", "--daemon")
        assert (code, error["data"]["code"]) == (1, "CONFIG_INVALID")
        assert "the running daemon was left alone" in error["message"]
        assert lives(first or 0)
        toy.folders.config.write_text(good)
        done = toy.cli("restart", "--daemon")
        assert done.returncode == 0, done.stderr
        assert toy.server_in("e2e-toy", "ready", process=server["process"])

    @pytest.mark.parametrize("killed", [False, True])
    def test_a_daemon_of_another_protocol_is_ended_by_a_signal(self, toy: Home, *, killed: bool) -> None:
        first = toy.start()
        published = json.loads(toy.folders.endpoint.read_text())
        toy.folders.endpoint.write_text(json.dumps({**published, "protocol": {"min": 98, "max": 99}}))
        if killed:
            toy.kill_daemon()
        code, error = toy.refused("status")
        assert (code, error["data"]["hint"]) == (7, "godot-supervisor restart --daemon")
        done = toy.cli("restart", "--daemon")
        assert done.returncode == 0, done.stderr
        assert not lives(first)
        assert toy.call("ping") == {}

    def test_a_reused_pid_gets_no_signal(self, toy: Home) -> None:
        toy.start()
        foreign_server = toy.owner()
        published = json.loads(toy.folders.endpoint.read_text())
        toy.kill_daemon()
        stale = {**published, "pid": foreign_server.pid, "protocol": {"min": 98, "max": 99}}
        toy.folders.endpoint.write_text(json.dumps(stale))
        assert toy.cli("restart", "--daemon").returncode == 0
        assert lives(foreign_server.pid)


class TestWait:
    def test_wait_for_a_starting_server(self, make_home: MakeHome) -> None:
        home = make_home(toy_config("--slow-start", "1"))
        home.start()
        up = home.begin("up", "e2e-toy")
        eventually(lambda: home.server("e2e-toy"), "the server has a row")
        done = home.cli("wait", "e2e-toy", "--for", "ready", "--json", "--timeout", str(PATIENCE_S))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["process"]["pid"] == home.server_processes()[0]
        assert up.wait(PATIENCE_S) == 0

    def test_wait_for_the_end_of_a_server(self, toy: Home) -> None:
        toy.up("e2e-toy")
        waiting = toy.begin("wait", "e2e-toy", "--for", "gone")
        assert toy.cli("down").returncode == 0
        out, complaint = waiting.communicate(timeout=PATIENCE_S)
        assert (waiting.returncode, out, complaint) == (0, "e2e-toy: gone\n", "")

    def test_wait_refuses_a_failed_server(self, make_home: MakeHome) -> None:
        home = make_home(toy_config("--exit", "3"))
        owner = str(home.owner().pid)
        assert home.cli("up", "e2e-toy", "--owner-pid", owner).returncode == 1
        code, error = home.refused("wait", "e2e-toy", "--for", "ready", "--timeout", str(PATIENCE_S))
        assert (code, error["data"]["code"]) == (4, "NOT_FOUND")

    def test_wait_gives_up_at_the_timeout(self, toy: Home) -> None:
        toy.up("e2e-toy")
        code, error = toy.refused("wait", "--for", "gone", "--timeout", "0.5")
        assert (code, error["message"]) == (6, "e2e-toy is ready and not gone after 0.5 s")


def test_url_connect_and_inspect_print_the_servers_data(toy: Home) -> None:
    server = toy.up("e2e-toy", "--owner-pid", str(toy.owner().pid))
    assert toy.cli("url").stdout == f"{server['url']}\n"
    assert toy.cli("connect", "--direct").stdout == f"claude mcp add --transport http e2e-toy {server['url']}\n"
    assert json.loads(toy.cli("connect", "cursor", "--direct").stdout) == {
        "mcpServers": {"e2e-toy": {"url": server["url"]}}
    }
    card = toy.cli("inspect")
    assert card.returncode == 0, card.stderr
    assert card.stdout.startswith("e2e-toy 1.0  ready  for ")
    for word in (server["url"], server["log"], str(server["process"]["pid"]), "owners:"):
        assert word in card.stdout


class TestEvents:
    def test_events_are_kept_in_order(self, toy: Home) -> None:
        toy.up("e2e-toy")
        events = [json.loads(line) for line in toy.cli("events", "--json").stdout.splitlines()]
        assert [row["seq"] for row in events] == [*range(1, len(events) + 1)]
        names = [row["event"] for row in events]
        assert names[0] == "daemon.starting"
        assert names.index("flight.started") < names.index("server.state") < names.index("flight.ended")
        since = toy.cli("events", "--since", "3", "--json").stdout.splitlines()
        assert json.loads(since[0]) == events[3]
        plain = toy.cli("events").stdout.splitlines()
        assert len(plain) == len(events)
        assert "server.state" in next(line for line in plain if "now=ready" in line)

    def test_following_events_continues_after_a_daemon(self, toy: Home) -> None:
        toy.start()
        following = toy.begin("events", "-f", "--json")
        events = rows(following)
        assert next(row["event"] for row in events if row["event"] == "daemon.ready")
        toy.up("e2e-toy")
        assert next(row for row in events if row["event"] == "flight.ended")["server"] == "e2e-toy"
        toy.kill_daemon()
        toy.start()
        again = [next(events) for _ in range(2)]
        assert (again[0]["event"], again[0]["reason"]) == ("resync", "another instance")
        assert (again[1]["seq"], again[1]["event"]) == (1, "daemon.starting")
        assert next(row for row in events if row["event"] == "daemon.ready")
        complaint = interrupted(following)
        assert complaint.splitlines()[0] == "the daemon has ended; waiting for the next one"


class TestLogs:
    def test_following_a_log_continues_over_launches(self, toy: Home) -> None:
        first = toy.up("e2e-toy", "--owner-pid", str(toy.owner().pid))
        following = toy.begin("logs", "e2e-toy", "-f", "--json")
        events = rows(following)
        page = next(events)
        assert page == {"lines": [f"e2e-toy 1.0 on {first['ports']['http']}"], "log": first["log"], "ended": False}
        assert toy.cli("restart", "e2e-toy").returncode == 0
        again = next(row for row in events if row["lines"])
        assert again["lines"] == page["lines"]
        assert again["log"] != page["log"]
        assert toy.cli("down", "e2e-toy").returncode == 0
        assert [*events][-1]["ended"]
        _, complaint = following.communicate(timeout=PATIENCE_S)
        assert following.returncode == 0
        assert complaint.splitlines()[-1] == "the server has ended"

    def test_the_daemons_log_is_the_same_without_a_daemon(self, toy: Home) -> None:
        toy.start()
        page = json.loads(toy.cli("logs", "-n", "1", "--json").stdout)
        assert json.loads(page["lines"][0])["event"] in toy.cli("logs", "-n", "1").stdout
        toy.kill_daemon()
        last = json.loads(toy.cli("logs", "-n", "1", "--json").stdout)
        assert last["lines"] == (toy.folders.logs / "daemon.log").read_text().splitlines()[-1:]
        assert toy.cli("logs", "-f").returncode == 3


def test_a_watched_status_shows_a_server_start_and_end(toy: Home) -> None:
    toy.start()
    watching = toy.begin("status", "--watch", "--json")
    statuses = rows(watching)
    assert next(statuses)["servers"] == []
    toy.up("e2e-toy")
    assert next(each for each in statuses if [row["state"] for row in each["servers"]] == ["ready"])
    toy.cli("down")
    assert next(each for each in statuses if not each["servers"])
    assert interrupted(watching) == ""


def test_a_busy_editor_needs_force(toy: Home) -> None:
    owner = toy.owner()
    toy.start()
    editor = toy.call("editor.attach", {"pid": owner.pid, "project": toy.project()})["id"]
    toy.call("server.ensure", {"kind": "e2e-toy", "editor": editor})
    toy.call("editor.state", {"editor": editor, "state": "busy", "reason": "importing"})
    for command in ("down", "restart"):
        code, error = toy.refused(command)
        assert (code, error["data"]["code"]) == (8, Busy.code)
        assert "importing" in error["message"]
        assert error["data"]["hint"].endswith(f"godot-supervisor {command} e2e-toy --force")
    assert toy.cli("restart", "--force").returncode == 0
    assert toy.cli("down", "--force").stdout == "e2e-toy: stopped\n"


def test_a_reload_adds_kinds_and_reports_what_needs_a_restart(toy: Home) -> None:
    toy.start()
    settings = (toy.folders.home / "config.toml").read_text()
    new = settings.replace("[kinds.e2e-toy]", "[kinds.another]").replace('"off"', '"observe"')
    (toy.folders.home / "config.toml").write_text(new)
    assert toy.refused("up", "another")[0] == 4
    done = toy.cli("config", "reload", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["waiting"] == ["daemon.discover"]
    assert toy.up("another")["state"] == "ready"
    (toy.folders.home / "config.toml").write_text("daemon = 3\n")
    code, error = toy.refused("config", "reload")
    assert (code, error["data"]["code"]) == (1, "CONFIG_INVALID")


def test_a_request_id_rejoins_from_another_connection(toy: Home) -> None:
    """The connection is lost after `accepted`. The editor lives, so the start continues, and its id finds it again."""
    owner = toy.owner()
    toy.start()
    editor = toy.call("editor.attach", {"pid": owner.pid, "project": toy.project()})["id"]
    params = {"kind": "e2e-toy", "editor": editor, "request": "mine"}

    class LostError(Exception):
        pass

    def lose(_accepted: object) -> None:
        raise LostError

    with toy.client() as client, pytest.raises(LostError):
        client.call("server.ensure", params, on_accepted=lose)
    with toy.client() as client:
        assert answered(client, params) == answered(client, params)
    assert len(toy.server_processes()) == 1
    assert os.getpid() not in toy.server_processes()


def answered(client: Client, params: dict[str, Any]) -> int:
    pid: int = client.call("server.ensure", params)["process"]["pid"]
    return pid
