"""The conversation with events by hand: what the simulation does not look at."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from supervisor.mcp.core.client_request import GREETING_WAIT_S, HOLD_S, LIST_WAIT_S, PROGRESS_S
from supervisor.mcp.core.conversation import Conversation
from supervisor.mcp.core.events_and_actions import (
    AbortExchange,
    BeginExchange,
    ClientSentLine,
    DeadlineReached,
    EnsureFailed,
    EnsureServer,
    EnsureSucceeded,
    Event,
    ExchangeEnded,
    IntroduceClient,
    Problem,
    ReleaseServer,
    SendToClient,
    ServerReady,
    ServerSentMessage,
    WriteCatalogue,
)
from supervisor.mcp.core.messages.catalogue import LEGACY, Catalogue, negotiate_version
from supervisor.mcp.core.messages.headers import header_value, parameter_headers
from supervisor.mcp.core.messages.message import SMALL_TEXT_MAX
from supervisor.mcp.core.server_need import RELEASE_S
from supervisor.mcp.core.servers import Outcome, Server

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
SERVER_SAYS = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s"}}


class Talk:
    """A conversation, its time, and what it has said and sent."""

    def __init__(self, catalogue: Catalogue | None = None) -> None:
        self.now = 0.0
        self.core = Conversation("small", "ours", catalogue, 0.0)
        self.said: list[dict[str, Any]] = []
        self.sent: list[BeginExchange] = []
        self.introduced: list[IntroduceClient] = []
        self.other: list[object] = []

    def feed(self, *events: Event) -> None:
        for event in events:
            for action in self.core.receive(event, self.now):
                if isinstance(action, SendToClient):
                    self.said.append(json.loads(action.text))
                elif isinstance(action, BeginExchange):
                    self.sent.append(action)
                elif isinstance(action, IntroduceClient):
                    self.introduced.append(action)
                else:
                    self.other.append(action)

    def ask(self, identifier: Any, method: str, **params: Any) -> None:
        message = {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}
        self.feed(ClientSentLine(json.dumps(message).encode()))

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.core.deadline <= end:
            self.now = max(self.now, self.core.deadline)
            self.feed(DeadlineReached())
        self.now = end

    def answer(self, sent: BeginExchange, result: Any, session: str | None = None) -> None:
        identifier = json.loads(sent.text)["id"]
        text = json.dumps({"jsonrpc": "2.0", "id": identifier, "result": result}).encode()
        self.feed(ServerSentMessage(sent.exchange, text, session), ExchangeEnded(sent.exchange, Outcome.COMPLETE, 200))

    def open_session(self) -> None:
        """Bring the server up and answer its `initialize`."""
        self.feed(EnsureSucceeded(Server(1, "1.0")))
        self.answer(self.sent[-1], SERVER_SAYS, "session")
        self.feed(ExchangeEnded(self.sent[-1].exchange, Outcome.COMPLETE, 202))

    def methods(self) -> list[str]:
        return [json.loads(sent.text)["method"] if sent.text else sent.method for sent in self.sent]


def known(**lists: list[Any]) -> Catalogue:
    catalogue = Catalogue("1.0")
    catalogue.eras[LEGACY].hello = SERVER_SAYS
    catalogue.eras[LEGACY].lists = {f"{name}/list": items for name, items in lists.items()}
    return catalogue


def test_the_catalogue_answers_without_a_server() -> None:
    talk = Talk(known(tools=[{"name": "a"}]))
    talk.ask(0, "initialize", **HELLO)
    talk.ask(1, "tools/list")
    assert talk.said[0]["result"]["protocolVersion"] == "2025-06-18"
    assert talk.said[0]["result"]["capabilities"] == {"tools": {"listChanged": True}}
    assert talk.said[1]["result"] == {"tools": [{"name": "a"}]}
    assert talk.other == talk.sent == []
    assert talk.core.deadline == float("inf")


def test_the_clients_own_params_open_the_session() -> None:
    talk = Talk()
    talk.ask("zero", "initialize", **HELLO)
    assert talk.other == [EnsureServer()]
    talk.open_session()
    opening, confirmation, *_ = talk.sent
    assert json.loads(opening.text)["params"] == HELLO
    assert json.loads(opening.text)["id"] != "zero"
    assert dict(confirmation.headers)["Mcp-Session-Id"] == "session"
    assert dict(confirmation.headers)["MCP-Protocol-Version"] == "2025-11-25"
    assert talk.said == [{"jsonrpc": "2.0", "id": "zero", "result": {**SERVER_SAYS, **talk.said[0]["result"]}}]


def test_a_client_that_cannot_wait_gets_empty_lists_first() -> None:
    talk = Talk()
    talk.ask(0, "initialize", **HELLO)
    talk.wait(GREETING_WAIT_S)
    assert talk.said[0]["result"]["serverInfo"]["name"] == "small"
    talk.ask(1, "tools/list")
    talk.wait(LIST_WAIT_S - GREETING_WAIT_S)
    assert talk.said[1]["result"] == {"tools": []}
    talk.open_session()
    listing = next(sent for sent in talk.sent if b"tools/list" in sent.text)
    talk.answer(listing, {"tools": [{"name": "a"}]})
    assert talk.said[2]["method"] == "notifications/tools/list_changed"
    assert isinstance(talk.other[-1], WriteCatalogue)


def test_a_held_call_tells_its_progress_and_ends() -> None:
    talk = Talk(known())
    talk.ask(0, "initialize", **HELLO)
    talk.ask(1, "tools/call", name="a", _meta={"progressToken": "p"})
    talk.wait(HOLD_S)
    progress = [said["params"]["progress"] for said in talk.said if said.get("method") == "notifications/progress"]
    assert len(progress) == HOLD_S // PROGRESS_S
    assert progress == sorted(progress)
    result = talk.said[-1]["result"]
    assert result["isError"]
    assert result["structuredContent"]["error"]["retryable"] is True
    assert "SERVER_NOT_READY" in result["content"][0]["text"]


@pytest.mark.parametrize(("retryable", "asks"), [(True, 2), (False, 1)])
def test_a_refusal_is_the_answer_unless_a_retry_helps(*, retryable: bool, asks: int) -> None:
    talk = Talk(known())
    talk.ask(0, "initialize", **HELLO)
    talk.ask(1, "tools/call", name="a")
    talk.feed(EnsureFailed(Problem("INSTALL_FAILED", "no network", "Hint: x.", retryable=retryable)))
    talk.wait(1)
    assert talk.other == [EnsureServer()] * asks
    assert (len(talk.said) == 2) is not retryable


def test_a_lasting_failure_is_the_answer_at_once() -> None:
    talk = Talk(known())
    talk.ask(0, "initialize", **HELLO)
    talk.ask(1, "tools/call", name="a")
    talk.feed(EnsureFailed(Problem("STATE_NOT_WRITABLE", "read-only", retryable=True), is_lasting=True))
    assert talk.said[-1]["result"]["structuredContent"]["error"]["retryable"] is True
    talk.wait(60)
    assert talk.other == [EnsureServer()]
    # The next request asks again.
    talk.ask(2, "tools/call", name="a")
    assert talk.other == [EnsureServer()] * 2


def test_an_idle_bridge_releases_the_server() -> None:
    talk = Talk(known())
    talk.ask(0, "initialize", **HELLO)
    talk.ask(1, "tools/call", name="a")
    talk.open_session()
    call = next(sent for sent in talk.sent if b"tools/call" in sent.text)
    talk.answer(call, {"content": []})
    talk.wait(RELEASE_S - 1)
    assert not any(isinstance(action, ReleaseServer) for action in talk.other)
    talk.wait(2)
    assert sum(isinstance(action, ReleaseServer) for action in talk.other) == 1
    assert talk.core.deadline == float("inf")


def refused(status: int, body: bytes = b"", retry_after_s: float | None = None) -> Callable[[BeginExchange], Event]:
    return lambda sent: ExchangeEnded(sent.exchange, Outcome.REFUSED, status, body, retry_after_s)


@pytest.mark.parametrize(
    ("end", "again"),
    [
        (lambda sent: ExchangeEnded(sent.exchange, Outcome.NOT_SENT), True),
        (refused(404), True),
        (refused(401), True),
        (refused(503, retry_after_s=1), True),
        (refused(503), False),
        (refused(500), False),
        (lambda sent: ExchangeEnded(sent.exchange, Outcome.LOST), False),
        (lambda sent: ExchangeEnded(sent.exchange, Outcome.INVALID), False),
        (lambda sent: ExchangeEnded(sent.exchange, Outcome.COMPLETE, 200), False),
    ],
)
def test_a_call_is_sent_again_only_if_it_was_not_received(
    *, end: Callable[[BeginExchange], Event], again: bool
) -> None:
    talk = Talk(known())
    talk.ask(0, "initialize", **HELLO)
    talk.ask(1, "tools/call", name="a")
    talk.open_session()
    call = next(sent for sent in talk.sent if b"tools/call" in sent.text)
    talk.feed(end(call))
    assert (len(talk.said) == 1) is again


def test_an_error_of_the_server_is_passed_on() -> None:
    talk = Talk(known())
    talk.ask(0, "initialize", **HELLO)
    talk.ask(1, "resources/read", uri="x")
    talk.open_session()
    read = next(sent for sent in talk.sent if b"resources/read" in sent.text)
    body = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"bad uri"}}'
    talk.feed(refused(400, body)(read))
    assert talk.said[-1]["id"] == 1
    assert talk.said[-1]["error"]["message"] == "bad uri"


@pytest.mark.parametrize(
    ("asked", "spoken", "version"),
    [
        ("2025-06-18", "2025-11-25", "2025-06-18"),
        ("2025-11-25", "2025-06-18", "2025-06-18"),
        ("2030-01-01", "2025-11-25", "2025-11-25"),
    ],
)
def test_versions_are_negotiated(asked: str, spoken: str, version: str) -> None:
    assert negotiate_version(asked, spoken) == version


@pytest.mark.parametrize("found", [None, 5, [], {}, {"schema": 99}, {"schema": 1, "eras": 5}])
def test_what_is_no_catalogue_is_none(found: object) -> None:
    assert Catalogue.from_json(found) is None


def test_a_catalogue_survives_its_file() -> None:
    catalogue = known(tools=[{"name": "a"}])
    again = Catalogue.from_json(json.loads(json.dumps(catalogue.to_json())))
    assert again is not None
    assert again.to_json() == catalogue.to_json()


def test_values_of_headers_are_plain_or_in_base64() -> None:
    assert header_value("plain text") == "plain text"
    assert header_value(" x") == "=?base64?IHg=?="
    assert header_value("\u00e9") == "=?base64?w6k=?="
    assert header_value("=?base64?eA==?=") != "=?base64?eA==?="


def test_headers_of_parameters_are_found_in_the_schema() -> None:
    inner = {"type": "object", "properties": {"b": {"type": "string", "x-mcp-header": "Deep"}}}
    schema = {"properties": {"a": inner, "c": {"x-mcp-header": "bad header"}, "d": 5}}
    assert list(parameter_headers(schema)) == [(("a", "b"), "Deep")]


def test_a_streams_id_is_its_own_until_it_is_cancelled() -> None:
    talk = Talk()
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    talk.ask(1, "subscriptions/listen", notifications={"toolsListChanged": True}, _meta=meta)
    talk.feed(EnsureSucceeded(Server(1, "1.0")))
    [stream] = talk.sent
    # `true` equals 1 in Python, and is no id.
    talk.feed(ClientSentLine(b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": true}}'))
    talk.feed(ClientSentLine(b'{"jsonrpc": "2.0", "id": 1, "method": 2}'))
    assert (talk.said[-1]["id"], talk.said[-1]["error"]["code"]) == (None, -32600)
    assert AbortExchange(stream.exchange) not in talk.other
    talk.feed(ClientSentLine(b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}'))
    assert AbortExchange(stream.exchange) in talk.other


def call_of(talk: Talk, method: str) -> BeginExchange:
    """Return the last exchange with this method."""
    return next(sent for sent in reversed(talk.sent) if f'"{method}"'.encode() in sent.text)


def use(catalogue: Catalogue | None = None) -> Talk:
    """A talk whose client has called a tool, and got its answer."""
    talk = Talk(catalogue or known(tools=[{"name": "a"}]))
    talk.ask(0, "initialize", **HELLO)
    talk.ask(1, "tools/call", name="a")
    talk.open_session()
    talk.answer(call_of(talk, "tools/call"), {"content": []})
    return talk


def test_a_success_that_comes_after_a_refusal_is_used() -> None:
    talk = Talk(known(tools=[{"name": "a"}]))
    talk.ask(0, "initialize", **HELLO)
    talk.ask(1, "tools/call", name="a")
    # The events of the daemon say first that the server is ready; the answer to `server.ensure` comes after a refusal.
    talk.feed(ServerReady(Server(1, "1.0")))
    talk.answer(talk.sent[-1], SERVER_SAYS, "session")
    talk.feed(ExchangeEnded(talk.sent[-1].exchange, Outcome.COMPLETE, 202))
    talk.feed(ExchangeEnded(call_of(talk, "tools/call").exchange, Outcome.REFUSED, 401))
    talk.feed(EnsureSucceeded(Server(1, "1.0")))
    talk.wait(1.0)
    talk.answer(talk.sent[-1], SERVER_SAYS, "another session")
    talk.feed(ExchangeEnded(talk.sent[-1].exchange, Outcome.COMPLETE, 202))
    talk.answer(call_of(talk, "tools/call"), {"content": []})
    assert talk.said[-1] == {"jsonrpc": "2.0", "id": 1, "result": {"content": []}}


def test_a_number_beyond_all_floats_stops_nothing() -> None:
    talk = Talk(known())
    talk.ask(0, "initialize", **HELLO)
    talk.feed(ClientSentLine(b'{"jsonrpc":"2.0","id":1e999,"method":"tools/call","params":{"name":"a"}}'))
    talk.wait(HOLD_S)
    assert talk.said[-1]["result"]["isError"]
    assert talk.core.deadline > talk.now


@pytest.mark.parametrize("padding", [0, SMALL_TEXT_MAX])
def test_lists_may_have_numbers_beyond_all_floats(padding: int) -> None:
    talk = use()
    listing = call_of(talk, "tools/list")
    identifier = json.loads(listing.text)["id"]
    text = b'{"jsonrpc":"2.0","id":"%s","result":{"tools":[{"name":"a","maximum":1e99999,"x":"%s"}]}}'
    talk.feed(ServerSentMessage(listing.exchange, text % (identifier.encode(), b"y" * padding)))
    talk.feed(ExchangeEnded(listing.exchange, Outcome.COMPLETE, 200))
    assert talk.said[-1]["method"] == "notifications/tools/list_changed"
    talk.ask(5, "ping")
    assert talk.said[-1] == {"jsonrpc": "2.0", "id": 5, "result": {}}


def test_a_long_list_that_cannot_be_built_is_asked_for_once() -> None:
    talk = use()
    listing = call_of(talk, "tools/list")
    identifier = json.loads(listing.text)["id"]
    text = b'{"jsonrpc":"2.0","id":"%s","result":{"tools":[%s],"x":"%s"}}'
    talk.feed(ServerSentMessage(listing.exchange, text % (identifier.encode(), b"1" * 5000, b"y" * SMALL_TEXT_MAX)))
    talk.feed(ExchangeEnded(listing.exchange, Outcome.COMPLETE, 200))
    assert talk.methods().count("tools/list") == 1


def test_a_long_greeting_of_the_server_is_read() -> None:
    talk = Talk()
    talk.ask(0, "initialize", **HELLO)
    talk.feed(EnsureSucceeded(Server(1, "1.0")))
    capabilities = {"tools": {}, "experimental": {"x": "y" * SMALL_TEXT_MAX}}
    talk.answer(talk.sent[-1], {**SERVER_SAYS, "capabilities": capabilities}, "session")
    assert talk.said[0]["result"]["capabilities"] == {**capabilities, "tools": {"listChanged": True}}


def test_a_long_discovery_is_read() -> None:
    talk = Talk()
    talk.ask(0, "server/discover", _meta={"io.modelcontextprotocol/protocolVersion": "2026-07-28"})
    talk.feed(EnsureSucceeded(Server(1, "1.0")))
    talk.answer(talk.sent[-1], {"capabilities": {"tools": {}}, "instructions": "y" * SMALL_TEXT_MAX})
    assert talk.said[0]["result"]["capabilities"] == {"tools": {"listChanged": True}}


def test_a_long_refusal_of_the_session_reaches_the_client() -> None:
    talk = Talk()
    talk.ask(0, "initialize", **HELLO)
    talk.feed(EnsureSucceeded(Server(1, "1.0")))
    identifier = json.loads(talk.sent[-1].text)["id"]
    error = {"code": -32602, "message": "unsupported", "data": {"x": "y" * SMALL_TEXT_MAX}}
    text = json.dumps({"jsonrpc": "2.0", "id": identifier, "error": error}).encode()
    exchange = talk.sent[-1].exchange
    talk.feed(ServerSentMessage(exchange, text), ExchangeEnded(exchange, Outcome.COMPLETE, 200))
    assert talk.said[0]["error"] == error


def test_half_a_surrogate_in_an_id_comes_back() -> None:
    talk = Talk()
    talk.feed(ClientSentLine(b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}'))
    assert talk.said == [{"jsonrpc": "2.0", "id": "\ud800", "result": {}}]


def test_a_version_that_no_header_can_carry_is_encoded() -> None:
    talk = Talk()
    talk.ask(1, "tools/call", name="a", _meta={"io.modelcontextprotocol/protocolVersion": "1\r\nX: \u00e9"})
    talk.feed(EnsureSucceeded(Server(1, "1.0")))
    assert dict(talk.sent[-1].headers)["MCP-Protocol-Version"] == header_value("1\r\nX: \u00e9")


@pytest.mark.parametrize(
    ("status", "code"), [(400, "SERVER_REFUSED"), (500, "OUTCOME_UNKNOWN"), (503, "OUTCOME_UNKNOWN")]
)
def test_a_server_that_failed_may_have_executed_the_call(status: int, code: str) -> None:
    talk = Talk(known())
    talk.ask(0, "initialize", **HELLO)
    talk.ask(1, "tools/call", name="a")
    talk.open_session()
    talk.feed(refused(status)(call_of(talk, "tools/call")))
    error = talk.said[-1]["result"]["structuredContent"]["error"]
    assert error["code"] == code
    assert str(status) in error["message"]


def test_the_client_is_introduced_to_the_daemon() -> None:
    talk = Talk(known(tools=[]))
    talk.ask(0, "initialize", **{**HELLO, "clientInfo": {"name": " Claude\nCode ", "version": 2, "title": "x" * 500}})
    talk.ask(1, "tools/list")
    assert talk.introduced == [IntroduceClient("Claude?Code", "", "x" * 100)]
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
    talk.ask(2, "server/discover", _meta={**meta, "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"}})
    talk.ask(3, "server/discover", _meta={**meta, "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"}})
    assert talk.introduced[1:] == [IntroduceClient("c", "1")]


def test_a_client_without_a_name_is_introduced_too() -> None:
    talk = Talk(known(tools=[]))
    talk.ask(0, "initialize", **{**HELLO, "clientInfo": ["no", "object"]})
    assert talk.introduced == [IntroduceClient("an AI client", "")]
