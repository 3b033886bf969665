"""`down` and `restart` against a daemon that answers from a script."""

from typing import Any

import pytest

from supervisor.cli.server_commands import several_servers
from supervisor.errors import Busy
from tests.cli.conftest import Run
from tests.cli.objects import server
from tests.cli.scripted import Script


def test_down_stops_the_server_that_was_named(run: Run, daemon: Script) -> None:
    daemon.answers["server.stop"] = server(state="stopped")
    outcome = run("down", "godot-ai")
    assert (outcome.code, outcome.out) == (0, "godot-ai: stopped\n")
    assert daemon.params("server.stop") == {"server": "godot-ai"}


def test_down_needs_no_id_with_one_server(run: Run, daemon: Script) -> None:
    others = [server(id="old", state="stopped"), server(id="lost", state="failed"), server(id="x", origin="external")]
    daemon.answers["server.list"] = {"servers": [*others, server(id="mine")]}
    daemon.answers["server.stop"] = server(id="mine", state="stopped")
    assert run("down", "--json").document == server(id="mine", state="stopped")
    assert daemon.params("server.stop") == {"server": "mine"}


def test_down_selects_the_only_server_even_if_failed(run: Run, daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": [server(id="lost", state="failed"), server(id="x", origin="external")]}
    daemon.answers["server.stop"] = server(id="lost", state="stopped")
    assert run("down").out == "lost: stopped\n"
    daemon.answers["server.list"] = {"servers": [server(id="a", state="failed"), server(id="b", state="failed")]}
    outcome = run("down")
    assert outcome.code == 2
    assert "several servers are known: a, b" in outcome.err


@pytest.mark.parametrize("command", ["down", "restart"])
def test_a_found_server_has_to_be_named(run: Run, daemon: Script, command: str) -> None:
    found = [server(id="b", origin="discovered"), server(id="a", origin="external")]
    daemon.answers["server.list"] = {"servers": found}
    outcome = run(command)
    assert outcome.code == 2
    assert "started by other programs" in outcome.err
    assert "a, b" in outcome.err
    daemon.answers["server.list"] = {"servers": [*found, server(id="mine", origin="adopted")]}
    daemon.answers |= {"server.stop": server(state="stopped"), "server.restart": server()}
    assert run(command).code == 0
    (asked,) = [params["server"] for method, params in daemon.calls if method in ("server.stop", "server.restart")]
    assert asked == "mine"


def test_down_without_any_server_is_not_found(run: Run, daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": []}
    outcome = run("down")
    assert outcome.code == 4
    assert "no server is running" in outcome.err


def test_down_without_an_id_refuses_several_servers(run: Run, daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": [server(id="b"), server(id="a")]}
    outcome = run("down")
    assert outcome.code == 2
    assert "several servers are running: a, b" in outcome.err
    assert "server.stop" not in dict(daemon.calls)


def occupied() -> Busy:
    running = {"method": "editor.state", "request": None, "holder": "game-1", "elapsed_ms": 100}
    return Busy("game-1 is busy: importing", hint="try again later", data={"running": running, "reason": "importing"})


def start_is_running() -> Busy:
    running = {"method": "server.ensure", "request": "r-1", "holder": "game-1", "elapsed_ms": 100}
    return Busy("server.ensure is running", hint="try again later", data={"running": running})


@pytest.mark.parametrize(("command", "method"), [("down", "server.stop"), ("restart", "server.restart")])
class TestABusyEditor:
    def test_is_reported_with_the_hint_to_force(self, run: Run, daemon: Script, command: str, method: str) -> None:
        daemon.answers[method] = occupied()
        outcome = run(command, "godot-ai")
        assert (outcome.code, outcome.out) == (8, "")
        assert outcome.err == (
            f"error: game-1 is busy: importing\nhint: wait, or: godot-supervisor {command} godot-ai --force\n"
        )

    def test_does_not_prevent_a_forced_stop(self, run: Run, daemon: Script, command: str, method: str) -> None:
        daemon.answers[method] = server(state="stopped")
        assert run(command, "godot-ai", "--force").code == 0
        assert daemon.params(method) == {"server": "godot-ai", "force": True}

    def test_differs_from_a_busy_server(
        self, run: Run, daemon: Script, command: str, method: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(several_servers, "BUSY_WAIT_S", 0.3)
        daemon.answers[method] = start_is_running()
        outcome = run(command, "godot-ai", "--json")
        assert (outcome.code, outcome.error["hint"]) == (8, "try again later")
        assert len(daemon.all_params(method)) > 1

    def test_waits_for_a_start_that_is_running(self, run: Run, daemon: Script, command: str, method: str) -> None:
        answers: list[Any] = [start_is_running(), server(state="stopped")]
        daemon.answers[method] = lambda _: answers.pop(0)
        assert run(command, "godot-ai").code == 0
        assert answers == []


def test_restart_prints_the_new_url(run: Run, daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": [server()]}
    daemon.answers["server.restart"] = server()
    daemon.progress = [{"stage": "stopping", "message": "godot-ai, pid 4300"}]
    outcome = run("restart")
    assert (outcome.code, outcome.out) == (0, "godot-ai: ready at http://127.0.0.1:8000/mcp\n")
    assert outcome.err == "stopping: godot-ai, pid 4300\n"
    assert daemon.params("server.restart") == {"server": "godot-ai"}
    assert run("restart", "godot-ai", "--json").document == server()
    daemon.answers["server.restart"] = server(url=None)
    assert run("restart", "godot-ai").out == "godot-ai: ready\n"


@pytest.mark.parametrize("words", [["restart", "godot-ai", "--daemon"], ["restart", "--daemon", "--force"]])
def test_restart_daemon_takes_no_servers(run: Run, daemon: Script, words: list[str]) -> None:
    assert run(*words).code == 2
    assert daemon.calls == []
