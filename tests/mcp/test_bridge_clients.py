"""AI clients and their tool calls as the daemon shows them: real bridges, and a gate across them."""

import os
import signal
from typing import Any

import pytest

from tests.e2e.home import Home, eventually
from tests.e2e.line import Line
from tests.gates import rest_in_full
from tests.mcp.bridge_client import BridgeClient
from tests.mcp.conftest import Connect
from tests.mcp.home import SmallHome
from tests.mcp.steps import code_of, kill_server, word_of


def gated(home: SmallHome, gate: str) -> SmallHome:
    """Give the kind of the home a gate, before its daemon runs."""
    home.config.write_text(home.config.read_text() + f'gate = "{gate}"\n')
    return home


def clients(home: Home) -> list[dict[str, Any]]:
    """Return the AI clients that the daemon lists."""
    with home.client() as daemon:
        found: list[dict[str, Any]] = daemon.call("status")["clients"]
    return found


def calls(home: Home) -> list[dict[str, Any]]:
    """Return the tool calls of the small server."""
    with home.client() as daemon:
        found: list[dict[str, Any]] = daemon.call("server.get", {"server": "small"})["calls"]
    return found


def runs(home: Home, tool: str = "write") -> dict[str, Any] | None:
    """Return the call of a tool that runs."""
    return next((call for call in calls(home) if call["tool"] == tool and call["state"] == "running"), None)


def begin_call(client: BridgeClient, word: str, seconds: float = 0.0, tool: str = "write") -> Any:
    return client.ask("tools/call", {"name": tool, "arguments": {"word": word, "seconds": seconds}})


def greeted(home: Home, connect: Connect) -> BridgeClient:
    """Return a client that has called a tool, so that the server runs, and the bridge knows its tools."""
    client = connect(home)
    client.begin()
    assert word_of(client.tool("look", word="hello")) == "hello"
    return client


def test_a_bridge_is_a_client_and_no_editor(small: SmallHome, connect: Connect) -> None:
    client = greeted(small, connect)
    shown = eventually(lambda: [each for each in clients(small) if each["calls"] == 1], "the call is reported")[0]
    expected = {"id": "test-1", "pid": client.process.pid, "name": "test", "version": "1", "servers": ["small"]}
    assert shown == {**shown, **expected, "connected": True, "liveness": "alive", "project": small.project()}
    with small.client() as daemon:
        status = daemon.call("status")
        assert status["editors"] == []
        [owner] = status["servers"][0]["owners"]
        assert (owner["editor"], owner["client"]["name"]) == ("test-1", "test")
    lines = small.cli("status").stdout.splitlines()
    [row] = [line for line in lines if line.startswith("test 1")]
    assert "small 1" in row
    assert "AI clients:" in small.cli("inspect", "small").stdout
    # The daemon learns of a call without a gate while it runs.
    call = begin_call(client, "slow", 1.5)
    found = eventually(lambda: runs(small), "the running call is reported")
    assert (found["client"], found["gated"]) == ("test-1", False)
    assert word_of(client.answer(call)["result"]) == "slow"
    eventually(lambda: not calls(small), "its end is reported")
    client.process.kill()
    eventually(lambda: not clients(small), "the dead client is forgotten")
    assert [event["client"] for event in small.events("client.detached")] == ["test-1"]


@pytest.mark.full
def test_a_client_without_a_server_is_listed(small: SmallHome, connect: Connect) -> None:
    client = greeted(small, connect)
    assert small.cli("down", "small").returncode == 0
    [shown] = clients(small)
    assert (shown["servers"], shown["connected"]) == ([], True)
    small.kill_daemon()
    small.start()
    eventually(lambda: clients(small), "the next daemon learns of the client")
    client.close()
    eventually(lambda: not clients(small), "its end is noticed")


@pytest.mark.parametrize("gate", rest_in_full(["serialize", "reject"]))
def test_two_clients_never_use_one_editor_at_once(small: SmallHome, connect: Connect, gate: str) -> None:
    gated(small, gate)
    first, second = greeted(small, connect), greeted(small, connect)
    running = begin_call(first, "first", 1.0)
    eventually(lambda: runs(small), "the first call runs")
    # What only reads passes.
    assert word_of(second.tool("look", word="reads")) == "reads"
    result = second.tool("write", word="second")
    if gate == "serialize":
        assert word_of(result) == "second"
        assert [row["word"] for row in small.journal(tool="write")] == ["first", "second"]
    else:
        assert code_of(result) == "EDITOR_BUSY"
        error = result["structuredContent"]["error"]
        assert error["retryable"]
        assert error["retry_after_ms"] == 1000
        assert "test 1 runs write" in error["message"]
        assert (error["data"]["running"]["name"], error["data"]["running"]["tool"]) == ("test 1", "write")
        assert not small.journal(word="second")
    assert word_of(first.answer(running)["result"]) == "first"
    assert word_of(second.tool("write", word="third")) == "third"


@pytest.mark.full
def test_a_call_waits_for_two_seconds_at_most(small: SmallHome, connect: Connect) -> None:
    gated(small, "serialize")
    first, second = greeted(small, connect), greeted(small, connect)
    begin_call(first, "first", 60)
    eventually(lambda: runs(small), "the first call runs")
    waiting = begin_call(second, "second")
    eventually(lambda: [call for call in calls(small) if call["state"] == "waiting"], "the second call waits")
    assert "waiting" in small.cli("inspect", "small").stdout
    assert code_of(second.answer(waiting)["result"]) == "EDITOR_BUSY"
    # The end of a client in its call frees the editor at once.
    waiting = begin_call(second, "third")
    os.kill(first.process.pid, signal.SIGKILL)
    assert word_of(second.answer(waiting)["result"]) == "third"
    ended = eventually(lambda: small.events("call.ended"), "the end is an event")
    assert ended[0]["how"] == "its client has gone"


@pytest.mark.full
def test_a_busy_editor_refuses_calls_with_its_reason(small: SmallHome, connect: Connect) -> None:
    gated(small, "serialize")
    client = greeted(small, connect)
    with Line(small) as line:
        editor = line.ask("editor.attach", {"pid": small.owner().pid, "project": small.project()})["id"]
        line.ask("editor.state", {"editor": editor, "state": "busy", "reason": "importing", "ttl_s": 30})
        error = client.tool("write", word="no")["structuredContent"]["error"]
        assert (error["code"], error["retryable"]) == ("EDITOR_BUSY", True)
        assert "importing" in error["message"]
        assert 20_000 < error["retry_after_ms"] <= 30_000
        # An editor sees the clients of its server.
        assert [each["name"] for each in line.ask("status")["clients"]] == ["test"]
        line.ask("editor.state", {"editor": editor, "state": "ready"})
    assert word_of(client.tool("write", word="yes")) == "yes"
    assert not small.journal(word="no")


@pytest.mark.full
def test_a_cancelled_call_leaves_the_queue(small: SmallHome, connect: Connect) -> None:
    gated(small, "serialize")
    first, second = greeted(small, connect), greeted(small, connect)
    running = begin_call(first, "first", 1.0)
    eventually(lambda: runs(small), "the first call runs")
    waiting = begin_call(second, "never")
    eventually(lambda: len(calls(small)) > 1, "the second call waits")
    second.send({"method": "notifications/cancelled", "params": {"requestId": waiting}})
    eventually(lambda: len(calls(small)) == 1, "the second call has left")
    first.answer(running)
    assert word_of(second.tool("write", word="next")) == "next"
    assert not small.journal(word="never")


@pytest.mark.full
def test_the_next_daemon_knows_the_calls_that_run(small: SmallHome, connect: Connect) -> None:
    gated(small, "reject")
    first, second = greeted(small, connect), greeted(small, connect)
    running = begin_call(first, "first", 8.0)
    eventually(lambda: runs(small), "the first call runs")
    small.kill_daemon()
    small.start()
    eventually(lambda: runs(small), "the call is known again")
    assert code_of(second.tool("write", word="second")) == "EDITOR_BUSY"
    assert word_of(first.answer(running)["result"]) == "first"
    assert word_of(second.tool("write", word="third")) == "third"


@pytest.mark.full
def test_a_gated_call_starts_a_daemon_that_has_gone(small: SmallHome, connect: Connect) -> None:
    gated(small, "serialize")
    client = greeted(small, connect)
    small.kill_daemon()
    assert word_of(client.tool("write", word="after")) == "after"
    eventually(lambda: clients(small), "the next daemon lists the client")


@pytest.mark.full
def test_calls_end_with_their_server(small: SmallHome, connect: Connect) -> None:
    gated(small, "serialize")
    first, second = greeted(small, connect), greeted(small, connect)
    running = begin_call(first, "first", 60)
    eventually(lambda: runs(small), "the first call runs")
    waiting = begin_call(second, "second")
    kill_server(small)
    assert code_of(first.answer(running)["result"]) == "OUTCOME_UNKNOWN"
    assert word_of(second.answer(waiting)["result"]) == "second"
    assert len(small.journal(word="second")) == 1
