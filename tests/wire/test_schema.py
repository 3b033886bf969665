"""docs/protocol.schema.json matches the messages, and `wire.fields` matches the schema."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from supervisor.client import endpoint, start_file
from supervisor.client.endpoint import Endpoint, ProtocolRange
from supervisor.errors import Busy, InvalidParams, SupervisorError
from supervisor.native.facts import Folders
from supervisor.wire import fields, jsonrpc
from supervisor.wire.messages.methods import METHODS
from supervisor.wire.messages.notifications import NOTIFICATIONS, EventNotice
from tests.gates import examples
from tests.protocol import SCHEMA, check, check_frame, fits
from tests.wire import schema
from tests.wire.instances import near
from tests.wire.shapes import Shapes

DOCUMENT = schema.document()
SENT = sorted({call.result for call in METHODS.values()} | {*NOTIFICATIONS.values()}, key=lambda cls: cls.__name__)
NOT_TO_BE_GUESSED = {EventNotice: {"details": st.dictionaries(st.text(), st.none() | st.integers() | st.text())}}


def test_the_schema_file_is_up_to_date() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == schema.text(), f"write it anew: {schema.COMMAND}"


def test_the_file_is_a_valid_json_schema() -> None:
    Draft202012Validator.check_schema(DOCUMENT)


def test_every_reference_leads_somewhere() -> None:
    names = {part.partition('"')[0] for part in json.dumps(DOCUMENT).split('"#/$defs/')[1:]}
    assert names - DOCUMENT["$defs"].keys() == set()
    assert {f"{method}.{half}" for method in METHODS for half in ("params", "result")} <= DOCUMENT["$defs"].keys()


def test_every_message_class_has_a_description() -> None:
    objects = [each for each in DOCUMENT["$defs"].values() if each.get("type") == "object"]
    assert [each for each in objects if len(each.get("description", "")) < len("No params.")] == []


@pytest.mark.parametrize("method", METHODS)
def test_the_schema_accepts_the_params_that_the_daemon_accepts(method: str) -> None:
    @settings(max_examples=examples(150, at_most_in_dev=20), deadline=None)
    @given(near(DOCUMENT, f"{method}.params"))
    def agree(params: Any) -> None:
        try:
            fields.decode(METHODS[method].params, params)
        except InvalidParams:
            assert not fits(f"{method}.params", params)
        else:
            assert fits(f"{method}.params", params)

    agree()


@pytest.mark.parametrize("cls", SENT, ids=lambda cls: cls.__name__)
def test_the_schema_accepts_every_result_of_the_daemon(cls: type[Any]) -> None:
    required = DOCUMENT["$defs"][cls.__name__].get("required", [])

    @settings(max_examples=examples(20), deadline=None)
    @given(st.builds(cls, **NOT_TO_BE_GUESSED.get(cls, {})))
    def known(message: Any) -> None:
        said = json.loads(json.dumps(fields.encode(message)))
        assert fits(cls.__name__, said)
        assert fits(cls.__name__, {**said, "a field of a later release": {}})
        for name in required:
            assert not fits(cls.__name__, {key: value for key, value in said.items() if key != name})

    known()


@pytest.mark.parametrize("cls", [*schema.error_classes()], ids=lambda cls: cls.code)
def test_every_error_is_an_error_of_the_schema(cls: type[SupervisorError]) -> None:
    problem = cls("field", "wrong") if cls is InvalidParams else cls("wrong", hint="mend it", retry_after_ms=5)
    frame = jsonrpc.error_envelope(7, problem)
    check_frame(frame)
    assert not fits("Failure", {**frame, "error": {**frame["error"], "data": {}}})


def test_a_refusal_names_the_running_operation() -> None:
    running = {"method": "server.stop", "request": "r-1", "holder": "a client", "elapsed_ms": 12}
    check_frame(jsonrpc.error_envelope(7, Busy("wait", data={"running": running, "requested": "server.ensure"})))
    for broken in ({"running": running}, {"running": {}, "requested": "server.ensure"}):
        assert not fits("Failure", jsonrpc.error_envelope(7, Busy("wait", data=broken)))


@pytest.mark.parametrize(
    "frame",
    [
        jsonrpc.request_envelope("a", "ping", {}),
        {"jsonrpc": "2.0", "id": 1, "method": "status"},
        jsonrpc.request_envelope(1, "later.method", {"any": "thing"}),
        {"jsonrpc": "2.0", "id": 1, "result": {}},
        jsonrpc.notification_envelope("resync", {"id": 1, "reason": "too slow"}),
    ],
)
def test_a_frame_of_the_protocol_fits_the_schema(frame: dict[str, Any]) -> None:
    check_frame(frame)
    Draft202012Validator(DOCUMENT).validate(frame)


@pytest.mark.parametrize(
    "frame",
    [
        jsonrpc.request_envelope(1, "server.get", {}),
        {"jsonrpc": "2.0", "id": 1, "method": "server.get"},
        {"jsonrpc": "2.0", "id": None, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1.5, "method": "ping"},
        {"jsonrpc": "1.0", "id": 1, "result": {}},
        {"jsonrpc": "2.0", "id": 1},
        jsonrpc.notification_envelope("resync", {}),
        jsonrpc.notification_envelope("accepted", {"id": 1, "request": "r-1", "joined": "no", "deadline_s": 1}),
    ],
)
def test_a_wrong_frame_does_not_fit_the_schema(frame: dict[str, Any]) -> None:
    assert not Draft202012Validator(DOCUMENT).is_valid(frame)


def test_the_endpoint_file_is_in_the_schema() -> None:
    transports = ({"kind": "unix", "path": "/run/socket"}, {"kind": "tcp", "host": "127.0.0.1", "port": 4000})
    published = Endpoint(1, 4, "boot:5", "i-1", "0.1.0", ProtocolRange(1, 1), "t", (*transports, {"kind": "pigeon"}))
    written = json.loads(endpoint.encode(published))
    assert fits("endpoint.json", written)
    for wrong in ({"kind": "unix"}, {**transports[1], "host": "0.0.0.0"}, {**transports[1], "port": 0}):
        assert not fits("endpoint.json", {**written, "transports": [wrong]})


def test_the_start_file_is_in_the_schema(tmp_path: Path) -> None:
    how = start_file.describe(Folders(tmp_path, moved=True), "0.1.0", service=False)
    written = json.loads(start_file.encode(how))
    assert fits("start.json", written)
    assert not fits("start.json", {**written, "command": "sh"})


def test_an_answer_of_another_method_is_noticed() -> None:
    hello = {"protocol": 1, "instance_id": "i-1", "version": "0.1.0", "capabilities": ["ping"]}
    check("hello", hello)
    with pytest.raises(AssertionError, match=r"no hello.result: \$.capabilities: 'ping' is not of type 'array'"):
        check("hello", {**hello, "capabilities": "ping"})


def test_a_hint_without_a_schema_is_noticed() -> None:
    with pytest.raises(TypeError, match="set"):
        Shapes(read=True).of(set[int])
