"""`start` and `stop` against a daemon that answers from a script."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.daemon.home_lock import HomeLock
from tests.cli.conftest import Run
from tests.cli.objects import status
from tests.cli.scripted import Script, Streaming
from tests.wine import IS_WINDOWS


def test_start_reports_a_running_daemon(run: Run, daemon: Script) -> None:
    daemon.answers["status"] = status()
    outcome = run("start")
    assert (outcome.code, outcome.out) == (0, "already running: pid 4211, version 0.1.0\n")
    assert run("start", "--foreground").out == outcome.out
    assert run("start", "--json").document == status()["daemon"]


def test_stop_waits_until_the_endpoint_file_is_gone(run: Run, daemon: Script) -> None:
    published = daemon.home / "endpoint.json"

    def shutdown(_: dict[str, Any]) -> Streaming:
        published.unlink()
        return Streaming({}, hangs_up=True)

    daemon.answers["daemon.shutdown"] = shutdown
    outcome = run("stop")
    assert (outcome.code, outcome.out) == (0, "stopped\n")
    assert daemon.params("daemon.shutdown") == {"servers": False}


def test_stop_gives_up_after_the_timeout(run: Run, daemon: Script) -> None:
    daemon.answers |= {"events.subscribe": Streaming({}), "daemon.shutdown": {}}
    outcome = run("stop", "--servers", "--timeout", "0.5", "--json")
    assert (outcome.code, outcome.error["code"]) == (6, "TIMEOUT")
    assert daemon.params("daemon.shutdown") == {"servers": True}


def stops_servers(daemon: Script, left: list[dict[str, str]], **events: str) -> None:
    """Script a daemon that stops servers: the event for each server, and the servers that it leaves running."""
    details = {"reason": "still alive after a kill: pid 7"}
    notices = [("event", {"event": name, "server": server, "details": details}) for server, name in events.items()]
    answer = {"stops": [*events], "left": left}
    daemon.answers |= {
        "events.subscribe": Streaming({}, notices),
        "daemon.shutdown": ending(daemon, answer),
    }


FOUND = {"server": "b", "reason": "this daemon only found it; another program started it"}


def test_stop_servers_reports_each_server(run: Run, daemon: Script) -> None:
    stops_servers(daemon, [FOUND], a="server.gone", c="server.not_stopped")
    outcome = run("stop", "--servers")
    assert (outcome.code, outcome.out) == (1, "stopped\n")
    assert outcome.err.splitlines() == [
        "b: left running, this daemon only found it; another program started it",
        "a: stopped",
        "c: not stopped",
        "error: c: still alive after a kill: pid 7",
    ]
    assert daemon.params("daemon.shutdown") == {"servers": True}


def test_stop_servers_json_is_one_document(run: Run, daemon: Script) -> None:
    stops_servers(daemon, [FOUND], a="server.gone")
    outcome = run("stop", "--servers", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.document == {"stopped": ["a"], "left": [FOUND], "bridges": []}


def test_stop_servers_without_servers_waits_for_no_server(run: Run, daemon: Script) -> None:
    stops_servers(daemon, [])
    outcome = run("stop", "--servers")
    assert (outcome.code, outcome.out, outcome.err) == (0, "stopped\n", "")


def ending(daemon: Script, answer: dict[str, Any]) -> Callable[[object], Streaming]:
    def shutdown(_: object) -> Streaming:
        (daemon.home / "endpoint.json").unlink()
        return Streaming(answer, hangs_up=True)

    return shutdown


def test_stop_notices_that_the_daemon_died(run: Run, daemon: Script) -> None:
    daemon.answers["daemon.shutdown"] = Streaming({}, hangs_up=True)
    began = time.monotonic()
    outcome = run("stop")
    assert (outcome.code, outcome.out) == (0, "stopped\n")
    assert outcome.err.startswith("the daemon died before it had stopped properly")
    assert time.monotonic() - began < 5
    assert not (daemon.home / "endpoint.json").exists()


def test_a_daemon_that_ends_between_two_looks_has_not_died(
    run: Run, daemon: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.answers["daemon.shutdown"] = Streaming({}, hangs_up=True)

    def holder_after_withdrawal(_: object) -> None:
        # The daemon removes its endpoint file and releases the lock after the command has read the file.
        (daemon.home / "endpoint.json").unlink(missing_ok=True)

    monkeypatch.setattr("supervisor.cli.daemon_commands.daemon._lock_holder", holder_after_withdrawal)
    outcome = run("stop")
    assert (outcome.code, outcome.out, outcome.err) == (0, "stopped\n", "")


def test_stop_without_a_daemon_mentions_earlier_servers(run: Run, home: Path) -> None:
    assert run("stop").err == ""
    (home / "registry.json").write_text("{}")
    assert "may still run" in run("stop").err
    assert "godot-supervisor start" in run("stop", "--servers", "--json").error["hint"]


@pytest.mark.parametrize("content", ["{", None], ids=["damaged", "gone"])
@pytest.mark.parametrize("command", ["status", "stop", "stop --servers", "restart --daemon", "start", "up x"])
def test_an_unreachable_daemon_is_reported_as_running(run: Run, home: Path, command: str, content: str | None) -> None:
    if content is not None:
        (home / "endpoint.json").write_text(content)
        (home / "endpoint.json").chmod(0o600)
    instance = HomeLock(home / "daemon.lock")
    assert instance.take()
    instance.write_pid()
    os.utime(home / "daemon.pid", (1, 1))
    try:
        outcome = run(*command.split(), "--json")
    finally:
        instance.release()
    assert (outcome.code, outcome.out, outcome.error["code"]) == (1, "", "DAEMON_UNREACHABLE")
    assert outcome.error["pid"] == os.getpid()
    assert "start" not in outcome.error["hint"] or IS_WINDOWS
    assert ("damaged" if content else "gone") in json.loads(outcome.err)["message"]
    assert run("stop").out == "no daemon is running\n"


def test_a_failure_in_the_foreground_is_explained(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("supervisor.daemon.app.run_daemon", fail)
    outcome = run("start", "--foreground", "--json")
    assert (outcome.code, outcome.error["code"]) == (1, "STATE_NOT_WRITABLE")


def test_stop_without_a_daemon_has_nothing_to_do(run: Run) -> None:
    assert (run("stop").code, run("stop").out) == (0, "no daemon is running\n")


def test_stop_servers_needs_a_daemon(run: Run) -> None:
    assert run("stop", "--servers").code == 3


def test_stop_with_an_id_is_a_usage_error_that_names_down(run: Run, daemon: Script) -> None:
    outcome = run("stop", "godot-ai")
    assert outcome.code == 2
    assert "godot-supervisor down godot-ai" in outcome.err
    assert daemon.calls == []
