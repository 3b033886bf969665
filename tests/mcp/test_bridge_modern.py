"""The modern era of the protocol: stateless requests, and streams that live across restarts."""

from typing import Any

from tests.e2e.home import eventually
from tests.mcp.bridge_client import BridgeClient
from tests.mcp.conftest import Connect
from tests.mcp.home import SmallHome
from tests.mcp.steps import code_of, kill_server, word_of

VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


def call(client: BridgeClient, name: str, **arguments: Any) -> Any:
    return client.call("tools/call", {"name": name, "arguments": arguments, "_meta": META})


def test_modern_requests_are_forwarded_with_their_headers(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    hello = client.call("server/discover", {"_meta": META})
    assert hello["supportedVersions"] == [VERSION]
    assert hello["capabilities"]["tools"] == {"listChanged": True}
    assert len(client.call("tools/list", {"_meta": META})["tools"]) == 4
    assert word_of(call(client, "write", word="first")) == "first"
    # The catalogue is written before the lists are read, too.
    catalogues = small.folders.home / "catalogues"
    eventually(
        lambda: [path for path in catalogues.glob("*.json") if b"inputSchema" in path.read_bytes()], "the schemas"
    )
    assert word_of(call(client, "write", word="second", where="h\u00e9re")) == "second"
    assert small.journal(word="second")[0]["where"] == "=?base64?aMOpcmU=?="
    assert small.journal(word="first")[0]["where"] is None


def test_modern_calls_survive_the_servers_death(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.call("server/discover", {"_meta": META})
    call(client, "write", word="first")
    kill_server(small)
    assert word_of(call(client, "write", word="second")) == "second"
    dying = client.ask("tools/call", {"name": "write", "arguments": {"word": "dies", "seconds": 60}, "_meta": META})
    eventually(lambda: small.journal(word="dies"), "the call is executed")
    kill_server(small)
    assert code_of(client.answer(dying)["result"]) == "OUTCOME_UNKNOWN"
    assert len(small.journal(word="dies")) == len(small.journal(word="second")) == 1


def test_a_stream_lives_across_restarts(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.call("server/discover", {"_meta": META})
    wanted = {"toolsListChanged": True}
    client.ask("subscriptions/listen", {"notifications": wanted, "_meta": META}, "listen:1")
    accepted = client.notice("notifications/subscriptions/acknowledged")["params"]
    assert (accepted["_meta"][SUBSCRIPTION], accepted["notifications"]) == ("listen:1", wanted)
    call(client, "write", word="first")
    told = client.notice("notifications/tools/list_changed")
    assert told["params"]["_meta"][SUBSCRIPTION] == "listen:1"
    kill_server(small)
    call(client, "write", word="second")
    client.notice("notifications/tools/list_changed")
    assert len(small.journal(listens="listen:1")) == 2
    assert [each["method"] for each in client.notices if "acknowledged" in each["method"]] == []
    client.send({"method": "notifications/cancelled", "params": {"requestId": "listen:1"}})
    assert client.call("ping") == {}
    assert "listen:1" not in client.unread_answers


def test_a_modern_client_of_a_legacy_server_falls_back(small: SmallHome, connect: Connect) -> None:
    small.configure_file("--legacy-only")
    client = connect(small)
    assert client.answer(client.ask("server/discover", {"_meta": META}))["error"]["code"] == -32601
    client.begin()
    assert word_of(client.tool("write", word="first")) == "first"
