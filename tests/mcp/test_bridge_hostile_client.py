"""Clients that send anything but MCP: each line has one outcome, and the next request is answered."""

import json
import os
import queue
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from supervisor.mcp.core.messages.lines import LINE_MAX
from supervisor.native.facts import HOME_VARIABLE
from tests.mcp.bridge_client import BridgeClient

SOON_S = 10.0


def ping(identifier: bytes, more: bytes = b"") -> bytes:
    return b'{"jsonrpc":"2.0","id":' + identifier + b',"method":"ping"' + more + b"}"


def filled(length: int) -> bytes:
    """Return a ping of this length."""
    begun = ping(b"1", b',"params":{"x":""}')
    return begun.replace(b'""', b'"' + b"y" * (length - len(begun)) + b'"')


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BridgeClient]:
    """Start a bridge for all lines, in a home without a daemon."""
    folder = str(tmp_path_factory.mktemp("alone"))
    made = BridgeClient("small", environment={**os.environ, HOME_VARIABLE: folder}, folder=folder)
    yield made
    assert made.close() == 0
    made.kill()


def answers(client: BridgeClient, line: bytes) -> list[dict[str, Any]]:
    """Return everything that is said to a line, up to the answer to a ping after it."""
    client.write(line + b'\n{"jsonrpc":"2.0","id":"the end","method":"ping"}\n')
    said = []
    while (message := client.lines.get(timeout=SOON_S)).get("id") != "the end":
        said.append(message)
    return said


OK, PARSE, INVALID = "result", -32700, -32600

LINES: list[tuple[str, bytes, Any, Any]] = [
    ("a line of the greatest length", filled(LINE_MAX), OK, 1),
    ("a line that is one byte longer", filled(LINE_MAX + 1), INVALID, 1),
    ("a long line that is no JSON", b"x" * (LINE_MAX + 1), INVALID, None),
    ("the end of a line of Windows", ping(b"1") + b"\r", OK, 1),
    ("spaces around", b"  \t" + ping(b"1") + b"  ", OK, 1),
    ("a byte order mark", b"\xef\xbb\xbf" + ping(b"1"), PARSE, None),
    ("UTF-16", ping(b"1").decode().encode("utf-16"), PARSE, None),
    ("a zero byte", b"\0" + ping(b"1"), PARSE, None),
    ("half a character", ping(b'"\xe2\x82"'), PARSE, None),
    ("half a surrogate", ping(rb'"\ud800"'), OK, "\ud800"),
    ("half a message", ping(b"1")[:-1], PARSE, None),
    ("two messages", ping(b"1") + ping(b"2"), PARSE, None),
    ("single quotes", b"{'jsonrpc': '2.0', 'id': 1, 'method': 'ping'}", PARSE, None),
    ("a comment", ping(b"1") + b" // x", PARSE, None),
    ("a comma too many", ping(b"1", b","), PARSE, None),
    ("infinity", ping(b"1", b',"params":{"x":Infinity}'), PARSE, None),
    ("a text", b'"ping"', INVALID, None),
    ("a number", b"7", INVALID, None),
    ("null", b"null", INVALID, None),
    ("an empty batch", b"[]", INVALID, None),
    ("an empty object", b"{}", INVALID, None),
    ("an id twice", b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}', OK, 2),
    ("a number beyond floats as the id", ping(b"1e999"), OK, sys.float_info.max),
    ("a list as the id", ping(b"[1]"), INVALID, None),
    ("null as the id", ping(b"null"), INVALID, None),
    ("false as the id", ping(b"false"), INVALID, None),
    ("a number as the version", b'{"jsonrpc":2.0,"id":1,"method":"ping"}', INVALID, 1),
    ("no version", b'{"id":1,"method":"ping"}', INVALID, 1),
    ("null as the method", b'{"jsonrpc":"2.0","id":1,"method":null}', INVALID, 1),
    ("null as the params", ping(b"1", b',"params":null'), INVALID, 1),
    ("a text as the params", ping(b"1", b',"params":"x"'), INVALID, 1),
    ("a text as the meta", ping(b"1", b',"params":{"_meta":"x"}'), OK, 1),
    ("result and error", b'{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', INVALID, 1),
    ("an answer without an id", b'{"jsonrpc":"2.0","result":{}}', INVALID, None),
    ("10 000 digits", ping(b"1" * 10_000), PARSE, None),
]

SILENT = {
    "an empty line": b"",
    "spaces": b" \t \r",
    "an answer to nothing": b'{"jsonrpc":"2.0","id":5,"result":{}}',
    "an error without an id": b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}',
    "an unknown notification": b'{"jsonrpc":"2.0","method":"notifications/none"}',
    "a ping without an id": b'{"jsonrpc":"2.0","method":"ping"}',
    "a call without an id": b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"write"}}',
    "a cancellation of nothing": b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":5}}',
    "a cancellation of everything": b'{"jsonrpc":"2.0","method":"notifications/cancelled"}',
    "a cancellation of an object": b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}',
}


@pytest.mark.parametrize(("line", "outcome", "identifier"), [row[1:] for row in LINES], ids=[row[0] for row in LINES])
def test_each_faulty_line_has_one_answer(client: BridgeClient, line: bytes, outcome: Any, identifier: Any) -> None:
    (answer,) = answers(client, line)
    assert answer["id"] == identifier
    assert answer["result"] == {} if outcome == OK else answer["error"]["code"] == outcome


@pytest.mark.parametrize("name", SILENT)
def test_lines_that_ask_for_nothing_have_no_answer(client: BridgeClient, name: str) -> None:
    assert answers(client, SILENT[name]) == []


def test_an_id_may_be_used_again_after_its_answer(client: BridgeClient) -> None:
    assert [answer["id"] for answer in answers(client, ping(b"1") + b"\n" + ping(b"1"))] == [1, 1]


def test_an_id_in_use_is_refused_in_each_of_its_forms(client: BridgeClient) -> None:
    list_tools = b'{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"write"}}'
    said = answers(client, b"\n".join(list_tools % each for each in (b"9", b"9", b"9.0", b'"9"', b'"9"')))
    assert [(answer["id"], answer["error"]["code"]) for answer in said] == [(None, INVALID)] * 3
    for each in (9, "9"):
        client.send({"method": "notifications/cancelled", "params": {"requestId": each}})
    assert answers(client, b"") == []
    with pytest.raises(queue.Empty):
        client.lines.get(timeout=0.05)


def test_half_a_line_waits_for_the_rest(client: BridgeClient) -> None:
    line = ping(b"1") + b"\n"
    for place in range(0, len(line), 7):
        client.write(line[place : place + 7])
    assert client.lines.get(timeout=SOON_S) == json.loads('{"jsonrpc":"2.0","id":1,"result":{}}')
