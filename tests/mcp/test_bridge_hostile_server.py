"""Servers that answer with anything but MCP: each case has one outcome, and the next call succeeds."""

import itertools
import json
import os
import queue
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.home import Home, eventually
from tests.gates import rest_in_full
from tests.mcp.bridge_client import BridgeClient
from tests.mcp.hostile import plays
from tests.mcp.hostile.plays import FLOODS, LONG, OPEN, PLAYS
from tests.mcp.steps import kill_server
from tests.ports import reach

CONFIG = """
[daemon]
discover = "off"

[kinds.raw]
command = ["{python}", "{server}", "{{http}}", "{plays}", "{journal}"]
ports = {{ http = "{http}" }}
identify = {{ http = "/health", match = {{ name = "raw-server" }}, version = "version" }}
url = "http://127.0.0.1:{{http}}/mcp"
topology = "shared"
grace_s = 60
"""

SERVER = Path(__file__).parent / "hostile" / "raw_server.py"
QUICK = [name for name in PLAYS if name not in LONG]
SOON_S = 20.0
CALLS = itertools.count(1_000_000)


class RawHome(Home):
    """A home with the server that answers with any bytes, and a program that no request must reach."""

    def __init__(self, folder: Path) -> None:
        self.elsewhere = socket.create_server(("127.0.0.1", 0))
        self.elsewhere.setblocking(False)
        self._journal = folder / "journal"
        script = folder / "plays.json"
        script.write_text(plays.as_json(self.elsewhere.getsockname()[1]))
        super().__init__(
            folder,
            CONFIG.format(python=sys.executable, server=SERVER, plays=script, journal=self._journal, http=reach(0)),
        )

    def received(self, play: str) -> list[dict[str, Any]]:
        """Return the requests with this play that servers have received."""
        rows = [json.loads(line) for line in self._journal.read_text().splitlines()]
        return [row for row in rows if row["play"] == play]

    def reached_elsewhere(self) -> bool:
        """Return whether a connection was made to the other program."""
        try:
            self.elsewhere.accept()[0].close()
        except BlockingIOError:
            return False
        return True


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawHome]:
    made = RawHome(tmp_path_factory.mktemp("raw"))
    yield made
    made.close()
    made.elsewhere.close()


@pytest.fixture(scope="module")
def client(home: RawHome) -> Iterator[BridgeClient]:
    """Start a bridge for all cases: none of them ends it."""
    made = BridgeClient("raw", environment=home.environment, folder=home.project())
    made.begin()
    assert outcome_of(made, None) == "good"
    yield made
    assert made.close() == 0
    made.kill()


def call(client: BridgeClient, play: str | None, **params: Any) -> Any:
    arguments = {} if play is None else {"play": play}
    return client.ask("tools/call", {"name": "write", "arguments": arguments, **params}, next(CALLS))


def outcome_of(client: BridgeClient, play: str | None) -> str:
    """Return the text or the code with which a call is answered. Nothing else may be said."""
    answer = client.answer(call(client, play), SOON_S)
    assert not client.unread_answers
    assert [notice["method"] for notice in client.notices if "list_changed" not in notice["method"]] == []
    if "error" in answer:
        return str(answer["error"]["code"])
    result = answer["result"]
    return str(result["structuredContent"]["error"]["code"] if result.get("isError") else result["content"][0]["text"])


@pytest.mark.parametrize("name", [*QUICK, *rest_in_full([*LONG, *FLOODS], keep=0)])
def test_each_faulty_answer_has_one_outcome(home: RawHome, client: BridgeClient, name: str) -> None:
    _, outcome, times = {**PLAYS, **FLOODS}[name]
    begun = time.monotonic()
    assert outcome_of(client, name) == outcome
    assert len(home.received(name)) == times
    assert outcome_of(client, None) == "good"
    assert not home.reached_elsewhere()
    assert time.monotonic() - begun < SOON_S


@pytest.mark.parametrize("name", OPEN)
def test_a_call_without_an_answer_can_be_cancelled(home: RawHome, client: BridgeClient, name: str) -> None:
    waiting = call(client, name)
    eventually(lambda: home.received(name), "the call is executed")
    assert outcome_of(client, None) == "good"
    client.send({"method": "notifications/cancelled", "params": {"requestId": waiting}})
    assert outcome_of(client, None) == "good"
    with pytest.raises(queue.Empty):
        client.lines.get(timeout=0.05)


@pytest.mark.parametrize(
    ("name", "code"),
    [("garbage", "SERVER_UNREACHABLE"), ("202 for a call", "SERVER_UNREACHABLE"), ("403", "SERVER_REFUSED")],
)
def test_a_request_that_is_no_call_is_an_error(home: RawHome, client: BridgeClient, name: str, code: str) -> None:
    before = len(home.received(name))
    error = client.answer(client.ask("resources/read", {"uri": "x:y", "play": name}, next(CALLS)), SOON_S)["error"]
    assert (error["code"], error["data"]["code"]) == (-32000, code)
    # A request that may have been handled is sent once more, because that does no harm.
    assert len(home.received(name)) - before == (2 if code == "SERVER_UNREACHABLE" else 1)
    assert outcome_of(client, None) == "good"


def test_a_connection_that_the_server_closes_is_not_used_again(home: RawHome, client: BridgeClient) -> None:
    for _ in range(20):
        assert outcome_of(client, "an answer, then the end") == "good"
    assert len(home.received("an answer, then the end")) >= 20


def test_a_call_that_was_never_read_is_sent_to_the_next_server(home: RawHome, client: BridgeClient) -> None:
    server = home.server_in("raw", "ready")
    assert server is not None
    os.kill(server["process"]["pid"], signal.SIGSTOP)
    # More than the buffers of the system take.
    waiting = call(client, None, padding="x" * 12_000_000)
    with pytest.raises(queue.Empty):
        client.lines.get(timeout=0.3)
    kill_server(home, "raw")
    assert client.answer(waiting, 60)["result"]["content"][0]["text"] == "good"


def test_a_program_that_takes_the_port_over_gets_nothing(home: RawHome, client: BridgeClient) -> None:
    port = kill_server(home, "raw")["ports"]["http"]
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other.bind(("127.0.0.1", port))
        except OSError:
            pytest.fail("the next server was started before the other program")
        other.listen()
        other.setblocking(False)
        assert outcome_of(client, None) == "good"
        moved = home.server_in("raw", "ready")
        assert moved is not None
        assert moved["ports"]["http"] != port
        # The daemon may have asked the program who it is. The bridge sends nothing there.
        while True:
            try:
                theirs, _ = other.accept()
            except BlockingIOError:
                break
            theirs.settimeout(1)
            with theirs:
                assert b"POST" not in theirs.recv(65536)
