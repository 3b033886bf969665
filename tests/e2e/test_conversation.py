"""Clients that disconnect in the middle, ask again, change their mind: what becomes of what they asked for."""

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from supervisor.errors import SupervisorError
from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home, eventually, lives
from tests.e2e.line import Line

CLIENT = "plugin-7f3a"
"""A client that has several connections says on each that it is the same."""


def slow(make_home: MakeHome, seconds: float) -> Home:
    home = make_home(toy_config("--slow-start", str(seconds)))
    home.start()
    return home


def attached(home: Home, line: Line) -> str:
    """An editor that lives as long as the test."""
    editor = line.ask("editor.attach", {"pid": home.owner().pid, "project": home.project()})
    identifier: str = editor["id"]
    return identifier


def nothing_is_left(home: Home) -> None:
    eventually(lambda: home.call("server.list")["servers"] == [], "the row goes")
    assert home.server_processes() == []


# --- the client vanishes ----------------------------------------------------------------------------------------------


def test_a_client_that_vanishes_during_a_start_leaves_nothing_behind(make_home: MakeHome) -> None:
    home = slow(make_home, 30)
    with Line(home) as line:
        line.send("server.ensure", {"kind": "e2e-toy"})
        spawned = home.event("server.spawned")
    eventually(lambda: not lives(spawned["pid"]), "the server is stopped")
    nothing_is_left(home)
    assert home.event("flight.ended")["outcome"] == "cancelled"


def test_a_client_that_vanishes_before_the_start_leaves_nothing_behind(make_home: MakeHome) -> None:
    home = slow(make_home, 0)
    for _ in range(20):
        line = Line(home)
        line.send("server.ensure", {"kind": "e2e-toy"})
        line.close()
    nothing_is_left(home)


def test_start_for_a_live_editor_survives_its_client(make_home: MakeHome) -> None:
    home = slow(make_home, 0.5)
    with Line(home) as line:
        params = {"kind": "e2e-toy", "editor": attached(home, line), "request": "mine"}
        accepted = line.told(line.send("server.ensure", params), "accepted")
        assert (accepted["request"], accepted["joined"]) == ("mine", False)
        home.event("server.spawned")
    with Line(home) as line:
        again = line.send("server.ensure", params)
        assert line.told(again, "accepted")["joined"]
        server = line.answer(again)["result"]
        assert server["state"] == "ready"
        assert line.ask("request.result", {"request": "mine"}) == server
        assert line.ask("server.ensure", params) == server
    assert home.server_processes() == [server["root_pid"]]
    assert len(home.events("flight.started")) == 1


def test_editor_that_dies_with_its_client_leaves_nothing_behind(make_home: MakeHome) -> None:
    home = slow(make_home, 0.5)
    owner = home.owner()
    with Line(home) as line:
        line.send("server.ensure", {"kind": "e2e-toy", "owner": {"pid": owner.pid}})
        home.event("server.spawned")
        owner.kill()
        owner.wait()
    nothing_is_left(home)


# --- what became of a request -----------------------------------------------------------------------------------------


def test_the_outcome_of_a_request_is_waited_for_on_another_connection(make_home: MakeHome) -> None:
    home = slow(make_home, 0.5)
    with Line(home) as first, Line(home) as second:
        start = first.send("server.ensure", {"kind": "e2e-toy"})
        request = first.told(start, "accepted")["request"]
        result = second.send("request.result", {"request": request})
        told = second.told(result, "accepted")
        assert (told["request"], told["joined"]) == (request, True)
        assert first.answer(start)["result"] == second.answer(result)["result"]
        assert second.refused("request.result", {"request": "nobody's"})["data"]["code"] == "NOT_FOUND"


def test_failure_of_a_request_can_be_asked_for_again(make_home: MakeHome) -> None:
    home = make_home(toy_config("--exit", "3"))
    home.start()
    with Line(home, CLIENT) as first, Line(home, CLIENT) as second:
        failure = first.refused("server.ensure", {"kind": "e2e-toy", "request": "mine"})
        assert failure["data"]["code"] == "START_FAILED"
        assert second.refused("request.result", {"request": "mine"}) == failure
        assert second.refused("server.ensure", {"kind": "e2e-toy", "request": "mine"}) == failure
    assert len(home.events("server.spawned")) == 1


def test_a_client_without_an_instance_finds_its_outcome_once_it_is_back(make_home: MakeHome) -> None:
    home = make_home(toy_config("--exit", "3"))
    home.start()
    with Line(home) as first, Line(home) as other:
        failure = first.refused("server.ensure", {"kind": "e2e-toy", "request": "mine"})
        # As long as the first is connected, another connection may be another client's.
        assert other.refused("request.result", {"request": "mine"})["data"]["code"] == "NOT_FOUND"
        assert other.refused("request.cancel", {"request": "mine"})["data"]["code"] == "NOT_FOUND"
        first.close()
        eventually(lambda: other.refused("request.result", {"request": "mine"}) == failure, "the first has gone")
        assert other.ask("request.cancel", {"request": "mine"}) == {"goes_on": False}
        assert other.refused("server.ensure", {"kind": "e2e-toy", "request": "mine"}) == failure
    assert len(home.events("server.spawned")) == 1


def test_a_start_that_is_cancelled_leaves_nothing_and_says_so(make_home: MakeHome) -> None:
    home = slow(make_home, 30)
    with Line(home, CLIENT) as first, Line(home, CLIENT) as second, Line(home) as other:
        editor = attached(home, first)
        start = first.send("server.ensure", {"kind": "e2e-toy", "editor": editor, "request": "mine"})
        home.event("server.spawned")
        assert other.refused("request.cancel", {"request": "mine"})["data"]["code"] == "NOT_FOUND"
        assert second.ask("request.cancel", {"request": "mine"}) == {"goes_on": False}
        error = first.answer(start)["error"]
        assert error["data"]["code"] == "CANCELLED"
        assert home.server_processes() == []
        assert second.refused("request.result", {"request": "mine"})["data"]["code"] == "CANCELLED"
        assert second.ask("request.cancel", {"request": "mine"}) == {"goes_on": False}
        assert second.refused("request.cancel", {"request": "nobody's"})["data"]["code"] == "NOT_FOUND"
    nothing_is_left(home)


def test_any_client_may_cancel_a_start_for_the_editor_that_it_names(make_home: MakeHome) -> None:
    home = slow(make_home, 30)
    with Line(home) as first, Line(home) as second:
        editor, another = attached(home, first), attached(home, second)
        start = first.send("server.ensure", {"kind": "e2e-toy", "editor": editor, "request": "mine"})
        home.event("server.spawned")
        wrong = second.refused("request.cancel", {"request": "mine", "editor": another})
        assert wrong["data"]["code"] == "NOT_FOUND"
        assert second.ask("request.cancel", {"request": "mine", "editor": editor}) == {"goes_on": False}
        assert first.answer(start)["error"]["data"]["code"] == "CANCELLED"
        told = second.refused("request.result", {"request": "mine", "editor": editor})
        assert told["data"]["code"] == "CANCELLED"
    nothing_is_left(home)


@pytest.mark.parametrize("verb", ["server.stop", "server.restart"])
def test_after_the_first_signal_a_cancel_comes_too_late(make_home: MakeHome, verb: str) -> None:
    home = make_home(toy_config("--ignore-term", stop_timeout=0.5))
    server = home.up("e2e-toy", "--owner-pid", str(home.owner().pid))
    with Line(home, CLIENT) as first, Line(home, CLIENT) as second:
        ending = first.send(verb, {"server": "e2e-toy", "request": "mine"})
        home.event("signal.sent")
        assert second.ask("request.cancel", {"request": "mine"}) == {"goes_on": True}
        outcome = first.answer(ending)["result"]
        assert second.ask("request.result", {"request": "mine"}) == outcome
    assert not lives(server["root_pid"])
    assert outcome["state"] == ("stopped" if verb == "server.stop" else "ready")
    assert home.server_processes() == ([] if verb == "server.stop" else [outcome["root_pid"]])


def test_a_stop_goes_on_when_its_client_has_gone(make_home: MakeHome) -> None:
    home = make_home(toy_config("--ignore-term", stop_timeout=0.5))
    home.up("e2e-toy", "--owner-pid", str(home.owner().pid))
    with Line(home) as line:
        line.send("server.stop", {"server": "e2e-toy"})
        home.event("signal.sent")
    nothing_is_left(home)


# --- the daemon vanishes ----------------------------------------------------------------------------------------------


def test_a_connection_lost_before_accepted_is_not_one_lost_after_it(make_home: MakeHome) -> None:
    home = slow(make_home, 30)
    params = {"kind": "e2e-toy", "owner": {"pid": home.owner().pid}}
    with home.client() as client, pytest.raises(SupervisorError) as lost:
        client.call("server.ensure", params, on_accepted=lambda _: home.kill_daemon())
    assert lost.value.code == "DISCONNECTED_AFTER_ACCEPT"
    assert (lost.value.retryable, lost.value.safe_to_retry) == (True, False)
    home.start()
    pid = home.daemon_pid()
    assert pid is not None
    with home.client() as client:
        # A stopped daemon cannot take the bytes that are sent to it.
        os.kill(pid, signal.SIGSTOP)
        kill = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
        kill.start()
        with pytest.raises(SupervisorError) as lost:
            client.call("server.ensure", params, accept_timeout_s=30)
        kill.join()
    assert lost.value.code == "DISCONNECTED_BEFORE_ACCEPT"
    assert lost.value.retryable


def test_stopped_daemon_is_distinguished_from_a_dead_one(make_home: MakeHome) -> None:
    home = slow(make_home, 0)
    pid = home.daemon_pid()
    assert pid is not None
    params = {"kind": "e2e-toy", "owner": {"pid": home.owner().pid}, "request": "mine"}
    with home.client() as client:
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(SupervisorError) as late:
                client.call("server.ensure", params, accept_timeout_s=0.3)
        finally:
            os.kill(pid, signal.SIGCONT)
    assert late.value.code == "ACCEPT_TIMEOUT"
    assert (late.value.retryable, late.value.safe_to_retry) == (True, True)
    server = home.call("server.ensure", params)
    assert home.server_processes() == [server["root_pid"]]
    assert len(home.events("server.spawned")) == 1


# --- two editors during an install ------------------------------------------------------------------------------------


def test_two_editors_that_come_during_an_install_both_own_what_it_is_for(packaged: Home) -> None:
    home = packaged
    home.start()
    first, second = home.owner(), home.owner()
    with Line(home) as one, Line(home) as two:
        start = one.send("server.ensure", {"kind": "e2e-toy", "owner": {"pid": first.pid}})
        assert not one.told(start, "accepted")["joined"]
        stages: list[Any] = []
        while "installing" not in stages:
            stages.append(one.told(start, "progress")["stage"])
        join = two.send("server.ensure", {"kind": "e2e-toy", "owner": {"pid": second.pid}})
        assert two.told(join, "accepted")["joined"]
        server = one.answer(start)["result"]
        assert two.answer(join)["result"] == server
    assert {owner["pid"] for owner in server["owners"]} == {first.pid, second.pid}
    assert home.server_processes() == [server["root_pid"]]
    assert len(list(home.folders.environments.glob("toy-server-1.0.json"))) == 1
    first.kill()
    first.wait()
    home.event("editor.ended", pid=first.pid)
    assert Path(f"/proc/{server['root_pid']}").exists()
