import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import Busy, InvalidRequest, ParseError
from supervisor.wire import framing, jsonrpc
from supervisor.wire.jsonrpc import Failure, InvalidEnvelope, Notification, Request, Success

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
PARAMS = st.dictionaries(TEXT, JSON, max_size=4)
METHOD = TEXT.filter(bool)


def line(message: object) -> bytes:
    return framing.frame_message(message).rstrip(b"\n")


@given(st.integers() | TEXT, METHOD, PARAMS)
def test_a_request_survives_the_wire(identifier: int | str, method: str, params: dict[str, Any]) -> None:
    sent = line(jsonrpc.request_envelope(identifier, method, params))
    assert jsonrpc.parse_from_client(sent) == Request(identifier, method, params)


@given(METHOD, PARAMS)
def test_a_notification_survives_the_wire_both_ways(method: str, params: dict[str, Any]) -> None:
    sent = line(jsonrpc.notification_envelope(method, params))
    assert jsonrpc.parse_from_client(sent) == Notification(method, params) == jsonrpc.parse_from_daemon(sent)


@given(st.integers() | TEXT, JSON)
def test_a_result_survives_the_wire(identifier: int | str, value: object) -> None:
    assert jsonrpc.parse_from_daemon(jsonrpc.result_envelope_text(identifier, json.dumps(value)).encode()) == Success(
        identifier, value
    )


@given(st.none() | st.integers() | TEXT)
def test_an_error_survives_the_wire(identifier: int | str | None) -> None:
    problem = Busy("another operation is running", retry_after_ms=5)
    assert jsonrpc.parse_from_daemon(line(jsonrpc.error_envelope(identifier, problem))) == Failure(
        identifier, problem.to_wire()
    )


@given(st.binary(max_size=200) | JSON.map(line))
def test_hostile_bytes_are_a_typed_error_or_a_message(received: bytes) -> None:
    for parse in (jsonrpc.parse_from_client, jsonrpc.parse_from_daemon):
        with contextlib.suppress(ParseError, InvalidRequest):
            parse(received)


def test_params_may_be_absent() -> None:
    assert jsonrpc.parse_from_client(b'{"jsonrpc":"2.0","id":1,"method":"ping"}') == Request(1, "ping", {})


@pytest.mark.parametrize(
    "received",
    [
        b"",
        b"GET / HTTP/1.1",
        b'{"a":1',
        b"\xff\xfe",
        '{"jsonrpc":"2.0"}'.encode("utf-16"),
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":1,"a":2}',
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"pid":1,"pid":2}}',
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
    ],
    ids=lambda received: repr(received[:24]),
)
def test_ambiguous_json_is_a_parse_error(received: bytes) -> None:
    with pytest.raises(ParseError):
        jsonrpc.parse_from_client(received)


REQUEST = {"jsonrpc": "2.0", "id": 7, "method": "ping", "params": {}}


@pytest.mark.parametrize(
    ("message", "reply_to"),
    [
        ([], None),
        ([REQUEST], None),
        (1, None),
        ("ping", None),
        (None, None),
        ({}, None),
        ({**REQUEST, "jsonrpc": "1.0"}, 7),
        ({**REQUEST, "jsonrpc": "1.0", "id": "seven"}, "seven"),
        ({**REQUEST, "jsonrpc": "1.0", "id": None}, None),
        ({**REQUEST, "id": None}, None),
        ({**REQUEST, "id": True}, None),
        ({**REQUEST, "id": 1.5}, None),
        ({**REQUEST, "id": ["x"]}, None),
        ({**REQUEST, "id": "x" * 257}, None),
        ({**REQUEST, "method": ""}, 7),
        ({**REQUEST, "method": 5}, 7),
        ({**REQUEST, "method": "x" * 129}, 7),
        ({**REQUEST, "params": []}, 7),
        ({**REQUEST, "params": None}, 7),
        ({"jsonrpc": "2.0", "id": 7, "result": {}}, 7),
    ],
)
def test_json_that_is_no_request_is_answered_with_its_id(message: object, reply_to: object) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        jsonrpc.parse_from_client(line(message))
    assert caught.value.id == reply_to
    assert caught.value.code == "INVALID_REQUEST"


@pytest.mark.parametrize(
    "message",
    [
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "result": 1},
        {"jsonrpc": "2.0", "id": None, "result": 1},
        {"jsonrpc": "2.0", "id": 1, "error": "no"},
        {"jsonrpc": "2.0", "id": 1, "error": {}, "result": 1},
        {"jsonrpc": "2.0", "id": [], "error": {}},
    ],
)
def test_a_message_that_is_no_answer_is_refused(message: object) -> None:
    with pytest.raises(InvalidRequest):
        jsonrpc.parse_from_daemon(line(message))


def test_an_error_object_has_the_code_of_the_contract() -> None:
    sent = json.loads(
        line(jsonrpc.error_envelope(None, Busy("x", hint="wait", data={"running": {"method": "server.stop"}})))
    )
    assert sent["id"] is None
    assert sent["error"]["data"]["code"] == "BUSY"
    assert sent["error"]["data"]["retryable"] is True
    assert sent["error"]["data"]["hint"] == "wait"
    assert sent["error"]["data"]["running"] == {"method": "server.stop"}
