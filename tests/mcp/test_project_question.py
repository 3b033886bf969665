"""The project that only the client can tell: its roots, in both eras."""

import json
from typing import Any

import pytest

from supervisor.mcp.core.conversation import Conversation
from supervisor.mcp.core.events_and_actions import (
    BeginExchange,
    ClientSentLine,
    EnsureFailed,
    EnsureServer,
    EnsureSucceeded,
    FindProject,
    Problem,
    ProjectDecided,
)
from supervisor.mcp.core.messages.catalogue import LEGACY, MODERN, Catalogue
from supervisor.mcp.core.project_question import ROOTS_MAX, ROOTS_WAIT_S
from supervisor.mcp.core.servers import Server
from tests.mcp.test_conversation import HELLO, SERVER_SAYS, Talk

ROOTS = {"roots": {"listChanged": True}}
URI = "file:///home/u/game"


def known_catalogue() -> Catalogue:
    catalogue = Catalogue("1")
    for era in (LEGACY, MODERN):
        catalogue.eras[era].hello = dict(SERVER_SAYS)
        catalogue.eras[era].lists = {"tools/list": [{"name": "a"}]}
    return catalogue


class RootsTalk(Talk):
    """A conversation whose project nothing but the client tells."""

    def __init__(self) -> None:
        super().__init__()
        self.core = Conversation("small", "ours", known_catalogue(), 0.0, asks_project=True)

    def begin(self, **capabilities: Any) -> None:
        self.ask(0, "initialize", **{**HELLO, "capabilities": capabilities})
        self.notify("notifications/initialized")

    def notify(self, method: str) -> None:
        self.feed(ClientSentLine(json.dumps({"jsonrpc": "2.0", "method": method}).encode()))

    def question(self) -> Any:
        """Return the id of the last `roots/list`. None if there is none."""
        asked = [each["id"] for each in self.said if each.get("method") == "roots/list"]
        return asked[-1] if asked else None

    def reply(self, identifier: Any, **answer: Any) -> None:
        self.feed(ClientSentLine(json.dumps({"jsonrpc": "2.0", "id": identifier, **answer}).encode()))

    def open_modern(self) -> None:
        self.feed(EnsureSucceeded(Server(1, "1.0")))

    @property
    def sought(self) -> list[tuple[str, ...]]:
        return [each.roots for each in self.other if isinstance(each, FindProject)]

    @property
    def asked_servers(self) -> int:
        return sum(isinstance(each, EnsureServer) for each in self.other)


def test_requests_wait_for_the_clients_roots() -> None:
    talk = RootsTalk()
    talk.begin(**ROOTS)
    assert talk.said[0]["id"] == 0
    talk.ask(1, "tools/list")
    talk.ask(2, "tools/call", name="a")
    assert (talk.asked_servers, len(talk.said)) == (0, 2)
    talk.reply(talk.question(), result={"roots": [{"uri": URI, "name": "game"}, {"uri": "file:///x"}, 5, {}]})
    assert talk.sought == [(URI, "file:///x")]
    assert talk.asked_servers == 0
    talk.feed(ProjectDecided(has_changed=True))
    assert (talk.asked_servers, talk.said[-1]["id"]) == (1, 1)


def test_a_client_without_roots_is_not_asked() -> None:
    talk = RootsTalk()
    talk.begin()
    talk.ask(2, "tools/call", name="a")
    assert (talk.question(), talk.asked_servers) == (None, 1)


def test_a_bridge_with_a_project_does_not_ask() -> None:
    talk = RootsTalk()
    talk.core = Conversation("small", "ours", known_catalogue(), 0.0)
    talk.begin(**ROOTS)
    talk.ask(2, "tools/call", name="a")
    assert (talk.question(), talk.asked_servers) == (None, 1)


def test_without_an_answer_requests_wait_two_seconds() -> None:
    talk = RootsTalk()
    talk.begin(**ROOTS)
    talk.ask(2, "tools/call", name="a")
    talk.wait(ROOTS_WAIT_S - 0.1)
    assert talk.asked_servers == 0
    talk.wait(0.2)
    assert talk.asked_servers == 1
    talk.reply(talk.question(), result={"roots": [{"uri": URI}]})
    assert talk.sought == [(URI,)]


def test_a_client_that_never_confirms_waits_two_seconds() -> None:
    talk = RootsTalk()
    talk.ask(0, "initialize", **{**HELLO, "capabilities": ROOTS})
    talk.ask(2, "tools/call", name="a")
    talk.wait(ROOTS_WAIT_S + 0.1)
    assert (talk.question(), talk.asked_servers) == (None, 1)


@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": -32601, "message": "no"}},
        {"result": {}},
        {"result": {"roots": "x"}},
        {"result": {"roots": []}},
        {"result": []},
    ],
)
def test_an_answer_without_roots_is_an_empty_list(answer: dict[str, Any]) -> None:
    talk = RootsTalk()
    talk.begin(**ROOTS)
    talk.reply(talk.question(), **answer)
    assert talk.sought == [()]


def test_a_hundred_roots_are_looked_at() -> None:
    talk = RootsTalk()
    talk.begin(**ROOTS)
    talk.reply(talk.question(), result={"roots": [{"uri": f"file:///{each}"} for each in range(200)]})
    assert len(talk.sought[0]) == ROOTS_MAX


def test_the_client_is_asked_again_when_roots_change() -> None:
    talk = RootsTalk()
    talk.begin(**ROOTS)
    first = talk.question()
    talk.notify("notifications/roots/list_changed")
    second = talk.question()
    assert second != first
    talk.reply(first, result={"roots": [{"uri": "file:///old"}]})
    assert talk.sought == []
    talk.reply(second, result={"roots": [{"uri": URI}]})
    assert talk.sought == [(URI,)]


def test_another_project_gets_a_server_of_its_own() -> None:
    talk = RootsTalk()
    talk.begin()
    talk.ask(1, "tools/call", name="a")
    talk.open_session()
    [call] = [each for each in talk.sent if b"tools/call" in each.text]
    talk.answer(call, {})
    other = known_catalogue()
    other.eras[LEGACY].lists = {"tools/list": [{"name": "b"}]}
    talk.feed(ProjectDecided(has_changed=True, content=other.to_json()))
    assert talk.said[-1]["method"] == "notifications/tools/list_changed"
    talk.ask(2, "tools/call", name="b")
    assert [each for each in talk.sent if b"tools/call" in each.text] == [call]
    assert talk.asked_servers == 2


def modern(**capabilities: Any) -> dict[str, Any]:
    version = "io.modelcontextprotocol/protocolVersion"
    return {"_meta": {version: "2026-07-28", "io.modelcontextprotocol/clientCapabilities": capabilities}}


def test_a_modern_call_is_answered_by_the_question() -> None:
    talk = RootsTalk()
    talk.ask(1, "server/discover", **modern(roots={}))
    talk.ask(2, "tools/list", **modern(roots={}))
    assert [each["id"] for each in talk.said] == [1, 2]
    talk.ask(3, "tools/call", name="a", arguments={"x": 1}, **modern(roots={}))
    asked = talk.said[-1]
    assert (asked["id"], asked["result"]["resultType"], talk.asked_servers) == (3, "input_required", 0)
    [(key, question)] = asked["result"]["inputRequests"].items()
    assert question == {"method": "roots/list"}
    # Another call waits for the answer to the first.
    talk.ask(4, "tools/call", name="a", **modern(roots={}))
    assert (talk.said[-1]["id"], talk.asked_servers) == (3, 0)
    given = {"inputResponses": {key: {"roots": [{"uri": URI}]}}, "requestState": asked["result"]["requestState"]}
    talk.ask(5, "tools/call", name="a", arguments={"x": 1}, **given, **modern(roots={}))
    assert talk.sought == [(URI,)]
    talk.feed(ProjectDecided(has_changed=True))
    assert talk.asked_servers == 1
    talk.open_modern()
    sent = {json.loads(each.text)["id"]: json.loads(each.text)["params"] for each in talk.sent}
    assert sent[5] == {"name": "a", "arguments": {"x": 1}, **modern(roots={})}
    assert 4 in sent


def test_the_answer_may_come_twice() -> None:
    talk = RootsTalk()
    talk.ask(3, "tools/call", name="a", **modern(roots={}))
    state = talk.said[-1]["result"]["requestState"]
    given = {"inputResponses": {state: {"roots": [{"uri": URI}]}}, "requestState": state}
    for identifier in (4, 5):
        talk.ask(identifier, "tools/call", name="a", **given, **modern(roots={}))
    assert talk.sought == [(URI,)]
    talk.feed(ProjectDecided(has_changed=True))
    talk.open_modern()
    sent = [json.loads(each.text)["params"] for each in talk.sent if b"tools/call" in each.text]
    assert sent == [{"name": "a", **modern(roots={})}] * 2


def test_a_modern_client_without_roots_is_not_asked() -> None:
    talk = RootsTalk()
    talk.ask(3, "tools/call", name="a", **modern())
    assert (talk.said, talk.asked_servers) == ([], 1)


def test_the_input_of_a_server_passes_through() -> None:
    talk = RootsTalk()
    talk.ask(3, "tools/call", name="a", **modern(roots={}))
    talk.wait(ROOTS_WAIT_S)
    given = {"inputResponses": {"theirs": {}}, "requestState": "theirs"}
    talk.ask(5, "tools/call", name="a", **given, **modern(roots={}))
    talk.open_modern()
    exchange = talk.sent[-1]
    assert isinstance(exchange, BeginExchange)
    assert json.loads(exchange.text)["params"] == {"name": "a", **given, **modern(roots={})}


def test_our_own_results_of_the_modern_era_have_a_type() -> None:
    talk = RootsTalk()
    talk.core = Conversation("small", "ours", None, 0.0)
    talk.ask(1, "tools/call", name="a", **modern())
    talk.ask(2, "tools/list", **modern())
    talk.feed(EnsureFailed(Problem("NOT_OURS", "no")))
    call, listed = (each["result"] for each in talk.said)
    assert (call["resultType"], call["isError"]) == ("complete", True)
    assert listed == {"resultType": "complete", "ttlMs": 0, "cacheScope": "private", "tools": []}
    talk.ask(0, "initialize", **HELLO)
    talk.ask(3, "tools/call", name="a")
    talk.feed(EnsureFailed(Problem("NOT_OURS", "no")))
    assert "resultType" not in talk.said[-1]["result"]
