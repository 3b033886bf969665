"""`logs`, through the daemon if one runs, else from the daemon's own file."""

import json
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli.server_commands.logs import lines_after
from supervisor.errors import NotFound
from tests.cli.conftest import Run
from tests.cli.objects import server
from tests.cli.scripted import Script, Streaming

PAGE = {"lines": ["two", "three"], "log": "/logs/a.log"}


def more(*lines: str, log: str = "/logs/a.log", ended: bool = False) -> tuple[str, dict[str, Any]]:
    return "log", {"lines": [*lines], "log": log, "ended": ended}


def test_logs_prints_the_end_of_a_servers_log(run: Run, daemon: Script) -> None:
    daemon.answers["logs.read"] = PAGE
    assert run("logs", "godot-ai", "-n", "2").out == "two\nthree\n"
    assert daemon.params("logs.read") == {"server": "godot-ai", "lines": 2}
    assert run("logs", "godot-ai", "--json").document == PAGE


@pytest.fixture
def servers(daemon: Script) -> list[dict[str, Any]]:
    """The servers that the scripted daemon knows; none at first."""
    rows: list[dict[str, Any]] = []
    daemon.answers |= {"server.list": {"servers": rows}, "logs.read": PAGE}
    return rows


ENTRY = {"event": "server.exited", "server": "a", "exit": -9, "why": "it ended", "none": None, "level": "warning"}


def test_without_a_server_it_is_the_daemons_log_as_text(
    run: Run, daemon: Script, servers: list[dict[str, Any]]
) -> None:
    assert servers == []
    line = json.dumps({**ENTRY, "timestamp": "2026-11-30T10:00:00Z"})
    daemon.answers["logs.read"] = {"lines": [line, "{half"], "log": "/logs/daemon.log"}
    shown = '2026-11-30T10:00:00Z server.exited (warning)  server=a  exit=-9  why="it ended"'
    assert run("logs").out.splitlines() == [shown, "{half"]
    assert run("logs", "--json").document["lines"] == [line, "{half"]
    assert daemon.all_params("logs.read") == [{"lines": 50}] * 2


def test_without_an_id_it_is_the_only_servers_log(run: Run, daemon: Script, servers: list[dict[str, Any]]) -> None:
    servers += [server(id="a"), server(id="b", state="stopped"), server(id="c", origin="external")]
    run("logs")
    run("logs", "--daemon")
    servers.append(server(id="d"))
    run("logs")
    assert daemon.all_params("logs.read") == [{"server": "a", "lines": 50}, {"lines": 50}, {"lines": 50}]


def test_daemon_and_a_server_exclude_each_other(run: Run) -> None:
    assert run("logs", "godot-ai", "--daemon").code == 2


def test_a_server_without_a_log_is_not_found(run: Run, daemon: Script) -> None:
    daemon.answers["logs.read"] = NotFound("godot-ai has no log: its output goes elsewhere")
    outcome = run("logs", "godot-ai")
    assert (outcome.code, outcome.out) == (4, "")


def test_following_continues_over_launches_until_the_end(run: Run, daemon: Script) -> None:
    notices = [
        more("four"),
        ("resync", {"reason": "?"}),
        more("one", log="/logs/b.log"),
        more(log="/logs/b.log", ended=True),
    ]
    daemon.answers["logs.read"] = Streaming(PAGE, notices)
    outcome = run("logs", "godot-ai", "-f")
    assert (outcome.code, outcome.out) == (0, "two\nthree\nfour\none\n")
    assert outcome.err == "the server was started again: /logs/b.log\nthe server has ended\n"
    assert daemon.params("logs.read") == {"server": "godot-ai", "lines": 50, "follow": True}


def test_an_unreadable_log_is_not_the_servers_end(run: Run, daemon: Script) -> None:
    method, params = more(ended=True)
    reason = "its log cannot be read: Too many open files"
    daemon.answers["logs.read"] = Streaming(PAGE, [(method, {**params, "reason": reason})])
    outcome = run("logs", "godot-ai", "-f")
    assert outcome.code != 0
    assert reason in outcome.err
    assert "has ended" not in outcome.err


def test_following_with_json_is_one_object_per_line(run: Run, daemon: Script) -> None:
    daemon.answers["logs.read"] = Streaming(PAGE, [more("four"), more(ended=True)])
    rows = [json.loads(line) for line in run("logs", "godot-ai", "-f", "--json").out.splitlines()]
    assert rows == [PAGE, more("four")[1], more(ended=True)[1]]


def test_following_ends_at_the_timeout(run: Run, daemon: Script) -> None:
    daemon.answers["logs.read"] = Streaming(PAGE)
    outcome = run("logs", "--daemon", "-f", "--timeout", "0.5")
    assert (outcome.code, outcome.out) == (6, "two\nthree\n")


def test_following_continues_with_the_next_daemon(run: Run, daemon: Script) -> None:
    pages = iter(
        [
            Streaming(PAGE, [more("four")], hangs_up=True),
            Streaming({"lines": ["one", "two", "three", "four", "five"], "log": "/logs/a.log"}, hangs_up=True),
            Streaming({"lines": ["one", "two", "three", "four", "five"], "log": "/logs/a.log"}, hangs_up=True),
            Streaming({"lines": ["anew"], "log": "/logs/b.log"}, [more(log="/logs/b.log", ended=True)]),
        ]
    )
    daemon.answers["logs.read"] = lambda _: next(pages)
    outcome = run("logs", "godot-ai", "-f", "-n", "2")
    assert (outcome.code, outcome.out) == (0, "two\nthree\nfour\nfive\nanew\n")
    assert outcome.err.splitlines()[:2] == [
        "the daemon has ended; waiting for the next one",
        "connected to a new daemon, version 9.9.9",
    ]
    assert outcome.err.splitlines()[-2:] == ["the server was started again: /logs/b.log", "the server has ended"]


def test_a_lost_place_continues_at_the_end() -> None:
    assert lines_after(["x", "y"], ["a", "b", "c"], 2) == ["b", "c"]
    assert lines_after(["x", "y"], ["a", "b", "c"], 0) == []
    assert lines_after([], ["a"], 5) == []


def test_the_log_of_an_ended_daemon_is_read_from_its_file(run: Run, home: Path) -> None:
    assert run("logs").code == 4
    (home / "logs").mkdir()
    (home / "logs" / "daemon.log").write_bytes(b"first\nbad byte \xff\nlast\n")
    outcome = run("logs", "-n", "2")
    assert (outcome.code, outcome.out) == (0, "bad byte \N{REPLACEMENT CHARACTER}\nlast\n")
    assert run("logs", "-n", "1", "--json").document == {"lines": ["last"], "log": str(home / "logs" / "daemon.log")}
