"""`status --watch`. The table itself is tested in test_status_table.py."""

import json
import sys
from typing import Any

import pytest

from supervisor.cli import output, terminal
from supervisor.errors import NotOurs
from tests.cli.conftest import Run
from tests.cli.objects import client, event, server, status
from tests.cli.scripted import Script, Streaming

WATCHER = 2
"""The id of the subscription, because `hello` was the first request."""


def watched(daemon: Script, *statuses: dict[str, Any]) -> None:
    """Script the snapshot, and the status after each event; then an error ends the command."""
    daemon.answers["events.subscribe"] = Streaming(
        {"instance_id": "i-1", "seq": 0, "snapshot": statuses[0]}, [("event", event(1)), ("event", event(2))]
    )
    next_event = [("event", {**event(3), "id": WATCHER})]
    rest = iter([*(Streaming(following, next_event) for following in statuses[1:]), NotOurs("the script ends here")])
    daemon.answers["status"] = lambda _: next(rest)


def test_a_burst_of_events_is_one_status(run: Run, daemon: Script) -> None:
    watched(daemon, status(), status(servers=[server()]))
    outcome = run("status", "--watch", "--json")
    assert outcome.code == 5
    assert [json.loads(line) for line in outcome.out.splitlines()] == [status(), status(servers=[server()])]
    assert daemon.params("events.subscribe") == {}


def test_off_a_terminal_each_change_prints_a_table(run: Run, daemon: Script) -> None:
    watched(daemon, status(), status(servers=[server()]))
    shown = run("ps", "--watch").out.splitlines()
    assert [line.split(" ")[0] for line in shown] == ["daemon", "no", "", "daemon", "OWNER", "-"]


def test_off_a_terminal_the_same_table_is_not_shown_twice(run: Run, daemon: Script) -> None:
    watched(daemon, status(), status(), status())
    assert len(run("status", "--watch").out.splitlines()) == 2
    assert len(daemon.all_params("status")) == 3


def test_the_time_of_a_client_alone_is_no_change(run: Run, daemon: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(range(2000, 9000, 7))
    monkeypatch.setattr("time.time", lambda: float(next(times)))
    watched(daemon, *[status(clients=[client()])] * 3)
    assert run("status", "--watch").out.count("claude-code") == 1


def test_on_a_terminal_the_screen_is_repainted(run: Run, daemon: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    watched(daemon, status(), status(servers=[server()]))
    before, first, second = run("status", "--watch").out.split("\x1b[H")
    assert before == "\x1b[?1049h"
    assert first.splitlines()[1:] == ["no editors, no servers\x1b[K\x1b[J"]
    assert second.endswith("\x1b[K\x1b[J\x1b[?1049l")
    assert "godot-ai 4.3.1" in second


def test_a_screen_has_no_more_lines_than_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "size", lambda _: (20, 4))
    output.screenful([f"line {number} {'x' * 40}" for number in range(10)])
    shown = [line.removesuffix("\x1b[K") for line in capsys.readouterr().out.splitlines()]
    assert [len(line) for line in shown[1:3]] == [20, 20]
    assert shown[3] == "7 more lines\x1b[K\x1b[J"
    assert len(shown) == 4


def test_the_watch_ends_at_the_timeout(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = Streaming({"instance_id": "i-1", "seq": 0, "snapshot": status()})
    assert run("status", "--watch", "--timeout", "0.2").code == 6


def test_the_watch_continues_with_the_next_daemon(run: Run, daemon: Script) -> None:
    answers = iter(
        [
            Streaming({"instance_id": "i-1", "seq": 0, "snapshot": status()}, hangs_up=True),
            Streaming({"instance_id": "i-1", "seq": 0, "snapshot": status(servers=[server()])}, hangs_up=True),
            NotOurs("the script ends here"),
        ]
    )
    daemon.answers["events.subscribe"] = lambda _: next(answers)
    outcome = run("status", "--watch", "--json")
    assert [json.loads(line) for line in outcome.out.splitlines()] == [status(), status(servers=[server()])]
    assert outcome.err.splitlines()[0] == "the daemon has ended; waiting for the next one"
