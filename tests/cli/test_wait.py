"""`wait` against a daemon whose events come from a script."""

from collections.abc import Callable
from typing import Any

import pytest

from supervisor.cli.server_commands.wait import STATES
from supervisor.core.model import ServerState
from supervisor.errors import NotFound
from tests.cli.conftest import Run
from tests.cli.objects import event, server, status
from tests.cli.scripted import Script, Streaming


def test_every_state_can_be_waited_for() -> None:
    assert {*STATES} == {*ServerState, "gone"}


def opened(*servers: dict[str, Any], notices: list[tuple[str, dict[str, Any]]] | None = None) -> Streaming:
    return Streaming({"instance_id": "i-1", "seq": 7, "snapshot": status(servers=[*servers])}, notices or [])


def changed(seq: int, now: str, of: str = "godot-ai") -> tuple[str, dict[str, Any]]:
    return "event", event(seq, server=of, was="?", now=now)


def one_after_the_other(*answers: Any) -> Callable[[Any], Any]:
    rest = iter(answers)
    return lambda _: next(rest)


def test_the_present_state_is_not_waited_for(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = opened(server())
    outcome = run("wait", "--for", "ready")
    assert (outcome.code, outcome.out, outcome.err) == (0, "godot-ai: ready\n", "")
    assert daemon.params("events.subscribe") == {}
    assert run("wait", "godot-ai", "--for", "ready", "--json").document == server()


def test_the_wait_ends_with_the_state(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = opened(
        server(state="starting"), notices=[changed(8, "ready", of="another"), changed(9, "ready")]
    )
    daemon.answers["server.get"] = server()
    assert run("wait", "godot-ai", "--for", "ready", "--json").document == server()
    assert len(daemon.all_params("server.get")) == 1


def test_a_short_state_counts(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = opened(server(), notices=[changed(8, "backoff"), changed(9, "starting")])
    daemon.answers["server.get"] = server(state="starting")
    assert run("wait", "--for", "backoff", "--json").document["state"] == "backoff"


def test_an_event_without_a_server_leads_to_a_check(run: Run, daemon: Script) -> None:
    ended = ("event", event(8, "editor.ended", server=None, editor="game-1"))
    daemon.answers["events.subscribe"] = opened(server(state="failed"), notices=[ended])
    daemon.answers["server.get"] = NotFound("no server 'godot-ai'")
    assert run("wait", "--for", "gone").out == "godot-ai: gone\n"


def test_a_resync_leads_to_a_check(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = opened(server(state="starting"), notices=[("resync", {"reason": "too slow"})])
    daemon.answers["server.get"] = server()
    assert run("wait", "--for", "ready").code == 0


@pytest.mark.parametrize("state", ["gone", "stopped"])
def test_an_unknown_server_is_gone_and_stopped(run: Run, daemon: Script, state: str) -> None:
    daemon.answers["events.subscribe"] = opened()
    assert run("wait", "x", "--for", state, "--json").document == {"id": "x", "state": state}


@pytest.mark.parametrize("state", sorted({*STATES} - {"gone", "stopped"}))
def test_an_unknown_server_reaches_no_other_state(run: Run, daemon: Script, state: str) -> None:
    daemon.answers["events.subscribe"] = opened()
    outcome = run("wait", "x", "--for", state, "--json")
    assert (outcome.code, outcome.error["code"]) == (4, "NOT_FOUND")


def test_a_server_that_ends_will_not_become_ready(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = opened(server(state="stopping"), notices=[changed(8, "stopped")])
    daemon.answers["server.get"] = NotFound("no server 'godot-ai'")
    outcome = run("wait", "--for", "ready")
    assert (outcome.code, outcome.err.splitlines()[0]) == (
        4,
        "error: there is no server godot-ai, so it cannot become ready",
    )


def test_a_server_that_fails_will_not_become_ready(run: Run, daemon: Script) -> None:
    failure = {"code": "START_FAILED", "message": "it ended by itself", "exit": 1, "log_tail": []}
    daemon.answers["events.subscribe"] = opened(
        server(state="starting"), notices=[changed(8, "backoff"), changed(9, "failed")]
    )
    daemon.answers["server.get"] = one_after_the_other(server(state="backoff"), server(state="failed", failure=failure))
    outcome = run("wait", "--for", "ready")
    assert outcome.code == 4
    assert outcome.err == (
        "error: godot-ai is failed and will not become ready by itself: it ended by itself\n"
        "hint: godot-supervisor logs godot-ai\n"
    )


def test_a_failed_server_may_still_be_taken_down(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = opened(server(state="failed"), notices=[changed(8, "stopping")])
    daemon.answers["server.get"] = server(state="stopping")
    assert run("wait", "--for", "stopping").code == 0


def test_wait_fails_at_its_timeout(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = opened(server())
    outcome = run("wait", "--for", "gone", "--timeout", "0.2", "--json")
    assert (outcome.code, outcome.error["code"]) == (6, "TIMEOUT")
    assert outcome.error["hint"] == "godot-supervisor inspect godot-ai"


def test_the_wait_continues_with_the_next_daemon(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = one_after_the_other(
        Streaming(opened(server()).answer, hangs_up=True), opened(server(state="stopping")), NotFound("not asked")
    )
    outcome = run("wait", "--for", "stopping")
    assert (outcome.code, outcome.out) == (0, "godot-ai: stopping\n")
    assert outcome.err.splitlines()[0] == "the daemon has ended; waiting for the next one"


def test_a_state_that_does_not_exist_is_a_usage_error(run: Run, daemon: Script) -> None:
    assert run("wait", "--for", "happy").code == 2
    assert run("wait").code == 2
    assert daemon.calls == []


def test_several_servers_need_an_id(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = opened(server(id="a"), server(id="b"))
    outcome = run("wait", "--for", "ready")
    assert (outcome.code, outcome.err.splitlines()[1]) == (2, "hint: godot-supervisor wait --for ready a")
