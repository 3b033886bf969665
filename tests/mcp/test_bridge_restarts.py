"""An AI client keeps its server: real bridge, real daemon, a real server that dies, moves and comes back."""

import json
import os
import signal
import socket

import pytest

from tests.e2e.home import eventually
from tests.mcp.conftest import Connect, MakeSmall
from tests.mcp.home import SmallHome
from tests.mcp.steps import code_of, kill_server, word_of


def test_a_call_after_the_servers_death_is_executed_once(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    client.tool("write", word="first")
    kill_server(small)
    assert word_of(client.tool("write", word="second")) == "second"
    assert len(small.journal(tool="write", word="second")) == 1


def test_a_call_that_died_on_the_way_is_not_repeated(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    call = client.ask("tools/call", {"name": "write", "arguments": {"word": "dies", "seconds": 60}})
    eventually(lambda: small.journal(word="dies"), "the call is executed")
    kill_server(small)
    assert code_of(client.answer(call)["result"]) == "OUTCOME_UNKNOWN"
    assert word_of(client.tool("write", word="next")) == "next"
    assert len(small.journal(tool="write", word="dies")) == 1


def test_a_call_that_only_reads_is_repeated_once(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    # Whether a tool only reads is known when the bridge has read the lists, which it does after the first answers.
    eventually(lambda: list(small.folders.home.glob("catalogues/*.json")), "the lists are known")
    call = client.ask("tools/call", {"name": "look", "arguments": {"word": "looks", "seconds": 2}})
    eventually(lambda: small.journal(word="looks"), "the call is executed")
    kill_server(small)
    assert word_of(client.answer(call)["result"]) == "looks"
    assert len(small.journal(tool="look", word="looks")) == 2


def test_a_call_waits_for_a_restart(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    client.tool("write", word="first")
    restart = small.begin("restart", "small")
    small.event("server.stopped", server="small")
    assert word_of(client.tool("write", word="second")) == "second"
    assert restart.wait(60) == 0


def test_a_server_that_moved_is_found(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    client.tool("write", word="first")
    port = small.server_in("small", "ready")["ports"]["http"]  # type: ignore[index]
    assert small.cli("down", "small").returncode == 0
    with socket.create_server(("127.0.0.1", port)):
        assert small.up("small")["ports"]["http"] != port
        assert word_of(client.tool("write", word="second")) == "second"


def test_a_server_that_the_user_stopped_stays_down(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    client.tool("write", word="first")
    assert small.cli("down", "small").returncode == 0
    assert code_of(client.tool("write", word="second")) == "STOPPED_BY_USER"
    assert small.server("small") is None
    small.up("small")
    assert word_of(client.tool("write", word="third")) == "third"
    assert small.journal(word="second") == []


def test_a_killed_daemon_is_not_noticed(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    client.tool("write", word="first")
    server = small.server("small")
    assert server is not None
    small.kill_daemon()
    assert word_of(client.tool("write", word="second")) == "second"
    os.kill(server["process"]["pid"], signal.SIGKILL)
    # The server's threads may live a moment longer than its first one.
    eventually(lambda: "OUTCOME_UNKNOWN" not in json.dumps(client.tool("write", word="third")), "the server is back")
    assert len(small.journal(word="first")) == len(small.journal(word="second")) == 1


def test_settings_of_the_session_are_repeated(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    client.call("logging/setLevel", {"level": "debug"})
    client.tool("write", word="first")
    kill_server(small)
    before = len(small.journal(setting={"level": "debug"}))
    client.tool("write", word="second")
    eventually(lambda: len(small.journal(setting={"level": "debug"})) > before, "the level is set again")


def test_questions_of_a_dead_server_are_cancelled(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    call = client.ask("tools/call", {"name": "ask", "arguments": {}})
    question = client.notice("roots/list")
    kill_server(small)
    assert client.notice("notifications/cancelled")["params"]["requestId"] == question["id"]
    assert code_of(client.answer(call)["result"]) == "OUTCOME_UNKNOWN"
    client.send({"id": question["id"], "result": {"roots": []}})
    assert word_of(client.tool("write", word="next")) == "next"


def test_questions_of_the_server_are_answered_by_the_client(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    call = client.ask("tools/call", {"name": "ask", "arguments": {"id": 1}})
    client.send({"id": client.notice("roots/list")["id"], "result": {"roots": []}})
    answered = json.loads(word_of(client.answer(call)["result"]))
    assert answered == {"jsonrpc": "2.0", "id": 1, "result": {"roots": []}}


def test_changed_lists_are_announced(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    before = [tool["name"] for tool in client.call("tools/list")["tools"]]
    client.tool("write", word="first")
    eventually(lambda: list(small.folders.home.glob("catalogues/*.json")), "the lists are known")
    small.configure("--tools", "added")
    assert small.cli("restart", "small").returncode == 0
    client.tool("write", word="second")
    client.notice("notifications/tools/list_changed")
    assert [tool["name"] for tool in client.call("tools/list")["tools"]] == [*before, "added"]


def test_a_cancelled_call_has_no_answer(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    call = client.ask("tools/call", {"name": "write", "arguments": {"word": "cancelled", "seconds": 60}})
    eventually(lambda: small.journal(word="cancelled"), "the call is executed")
    client.send({"method": "notifications/cancelled", "params": {"requestId": call}})
    eventually(lambda: small.journal(answered="cancelled"), "the server was told")
    client.tool("write", word="next")
    assert call not in client.unread_answers


@pytest.mark.parametrize("option", ["--json", "--pretty"])
def test_bodies_that_are_json_are_one_line_each(make_small: MakeSmall, connect: Connect, option: str) -> None:
    home = make_small("--json", *([option] if option != "--json" else []))
    client = connect(home)
    client.begin()
    assert len(client.call("tools/list")["tools"]) == 4
    assert word_of(client.tool("write", word="first")) == "first"


def test_a_large_answer_arrives_whole(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    size = 8 * 1024 * 1024
    assert len(client.tool("image", bytes=size)["content"][0]["data"]) == size
    large = "x" * (2 * 1024 * 1024)
    assert word_of(client.tool("write", word=large)) == large
