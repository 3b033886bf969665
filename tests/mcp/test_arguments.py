"""Reading and filling in one argument of a call: all other bytes stay."""

import json
import tracemalloc
from typing import Any

import pytest

from supervisor.mcp.core.messages.arguments import argument_at, given_argument, with_argument
from supervisor.mcp.core.messages.headers import modern
from supervisor.mcp.core.messages.message import Message, parse

NAME = "session_id"
BEGINNING = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":'


def call(params: bytes) -> Message:
    return parse(BEGINNING + params + b"}")


@pytest.mark.parametrize(
    ("params", "filled"),
    [
        (b'{"name":"x","arguments":{}}', b'{"name":"x","arguments":{"session_id":"e"}}'),
        (b'{"name":"x","arguments" : { } }', b'{"name":"x","arguments" : {"session_id":"e" } }'),
        (b'{"name":"x"}', b'{"arguments":{"session_id":"e"},"name":"x"}'),
        (b"{}", b'{"arguments":{"session_id":"e"}}'),
        (b'{"name":"x","arguments":null}', b'{"name":"x","arguments":{"session_id":"e"}}'),
        (
            b'{"arguments":{"a":12345678901234567890123456, "a":1E400,"b":"\\u00e9\\/"},"name":"x"}',
            b'{"arguments":{"session_id":"e","a":12345678901234567890123456, "a":1E400,"b":"\\u00e9\\/"},"name":"x"}',
        ),
        (b'{"arguments":{"session_id" : "" ,"a":1}}', b'{"arguments":{"session_id" : "e" ,"a":1}}'),
        (b'{"arguments":{"session_id":null}}', b'{"arguments":{"session_id":"e"}}'),
        (b'{"arguments":{"session\\u005fid":""}}', b'{"arguments":{"session\\u005fid":"e"}}'),
        # JSON parsers take the last member of a name.
        (b'{"arguments":{"session_id":"x","session_id":""}}', b'{"arguments":{"session_id":"x","session_id":"e"}}'),
        (b'{"arguments":{"a":1},"arguments":{}}', b'{"arguments":{"a":1},"arguments":{"session_id":"e"}}'),
        # Only a member of the arguments themselves counts.
        (b'{"arguments":{"a":{"session_id":"x"}}}', b'{"arguments":{"session_id":"e","a":{"session_id":"x"}}}'),
    ],
)
def test_an_argument_that_is_missing_is_filled_in(params: bytes, filled: bytes) -> None:
    message = call(params)
    assert given_argument(message, NAME) is None
    assert with_argument(message, NAME, "e").text == BEGINNING + filled + b"}"


@pytest.mark.parametrize("params", [b'{"name":"x","arguments":{"a":1,"session_id":""}}', b'{"name":"x"}'])
def test_a_header_gets_the_argument_too(params: bytes) -> None:
    schema = {"properties": {NAME: {"type": "string", "x-mcp-header": "Editor"}}}
    filled = with_argument(call(params), NAME, "e")
    assert dict(modern(filled, {"inputSchema": schema}))["Mcp-Param-Editor"] == "e"


@pytest.mark.parametrize("path", [("region",), ("inner", "region")])
def test_a_long_call_has_its_headers(path: tuple[str, ...]) -> None:
    inner = {"region": "eu", "text": "x" * 100_000}
    schema: dict[str, Any] = {"properties": {"region": {"x-mcp-header": "Region"}}}
    if len(path) > 1:
        inner, schema = {"inner": inner}, {"properties": {"inner": schema}}
    message = call(json.dumps({"name": "x", "arguments": inner}).encode())
    assert argument_at(message, path) == "eu"
    assert dict(modern(message, {"inputSchema": schema}))["Mcp-Param-Region"] == "eu"
    assert dict(modern(with_argument(message, NAME, "e"), {"inputSchema": schema}))["Mcp-Param-Region"] == "eu"


@pytest.mark.parametrize("value", ['"game@1"', "5", "false", "[]", '{"a":1}', '" "'])
def test_an_argument_that_the_client_has_given_is_seen(value: str) -> None:
    given = given_argument(call(b'{"name":"x","arguments":{"session_id":' + value.encode() + b"}}"), NAME)
    assert given == (json.loads(value) if value.startswith('"') else True)


@pytest.mark.parametrize("arguments", [b"[1]", b'"text"', b"7"])
def test_arguments_that_are_no_object_stay(arguments: bytes) -> None:
    message = call(b'{"name":"x","arguments":' + arguments + b"}")
    assert with_argument(message, NAME, "e") == message


def test_a_session_is_written_as_json() -> None:
    filled = with_argument(call(b'{"name":"x"}'), NAME, 'a"\\\n\u00e9\U0001f600')
    assert json.loads(filled.text)["params"]["arguments"] == {NAME: 'a"\\\n\u00e9\U0001f600'}


@pytest.mark.parametrize("given", ["", "mine"])
def test_long_arguments_are_not_built(given: str) -> None:
    image = "x" * (8 << 20)
    arguments: dict[str, Any] = {"image": image, NAME: given, "more": list(range(3000))}
    message = call(json.dumps({"name": "x", "arguments": arguments}).encode())
    tracemalloc.start()
    assert given_argument(message, NAME) == (given or None)
    filled = with_argument(message, NAME, "e")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * len(message.text)
    assert json.loads(filled.text)["params"]["arguments"] == {**arguments, NAME: "e"}


def test_deep_arguments_are_filled_in() -> None:
    # Deeper than a long text may be.
    params = b'{"arguments":{"a":' + b"[" * 600 + b"]" * 600 + b"}}"
    assert with_argument(call(params), NAME, "e").text.startswith(BEGINNING + b'{"arguments":{"session_id":"e","a":[')
