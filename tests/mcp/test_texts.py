"""Texts of the bridge: the scanner agrees with the JSON of the standard library, streams are cut where they end."""

import json
import math
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.mcp.core.events_and_actions import ClientSentLine, ClientSentTooLongLine
from supervisor.mcp.core.messages import scan
from supervisor.mcp.core.messages.event_stream import EventStream, TooLongError
from supervisor.mcp.core.messages.lines import LineCutter
from supervisor.mcp.core.messages.message import SMALL_TEXT_MAX, UnusableMessageError, parse, with_id
from tests.gates import examples

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
DAMAGE = b'{}[],:"\\0123e.-+tfnu \n\t\x00\x1f\x7f\xff'


def within_floats(text: str) -> float:
    """The number, or the largest one in place of one like 1e999."""
    value = float(text)
    return math.copysign(sys.float_info.max, value) if math.isinf(value) else value


def reads(text: bytes) -> dict[str, Any] | None:
    """The object that the standard library reads; None: no object."""

    def no_constant(name: str) -> None:
        raise ValueError(name)

    try:
        found = json.JSONDecoder(parse_constant=no_constant, parse_float=within_floats).decode(text.decode())
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def scans(text: bytes) -> dict[str, Any] | None:
    """The object that the scanner reads; None: no object."""
    try:
        scan.check_utf8(text)
        return {name: scan.value_at(text, span) for name, span in scan.member_spans(text).items()}
    except scan.NotJsonError:
        return None


@pytest.fixture(autouse=True, params=[scan.PIECE, 24], ids=["whole", "pieces"])
def piece(request: pytest.FixtureRequest) -> Iterator[int]:
    """Let values cross the end of a piece in half of the runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "PIECE", request.param)
        yield request.param


@given(st.dictionaries(st.text(max_size=6), VALUES, max_size=6), st.booleans(), st.sampled_from([None, 1]))
@settings(max_examples=examples(600))
def test_the_scanner_reads_what_json_reads(value: dict[str, Any], ascii_only: bool, indent: int | None) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    assert scans(text) == reads(text)


@given(st.integers(0, 2**32), VALUES)
@settings(max_examples=examples(1500))
def test_the_scanner_refuses_what_json_refuses(seed: int, value: Any) -> None:
    chance = random.Random(seed)
    text = bytearray(json.dumps({"a": value, "b": "x" * 600, "c": '\\"' * 300, "d": [{}]}).encode())
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(text))
        text[place : place + chance.randint(0, 1)] = bytes([chance.choice(DAMAGE)])
    expected = reads(bytes(text))
    # The scanner also refuses a key that stands twice in the outermost object.
    assert scans(bytes(text)) == expected or (expected is not None and len(expected) < 4)


@pytest.mark.parametrize(
    "text", [b'{"a":1,"a":2}', b"[" * 600, b'{"a":' * 600, b"{} {}", b"", b'{"a":01}', b'{"a":1.}']
)
def test_the_scanner_is_strict(text: bytes) -> None:
    assert scans(text) is None


@pytest.mark.parametrize(
    "value",
    [
        b"[" * 250 + b"1" + b"]" * 250,
        b'{"a":' * 250 + b"1" + b"}" * 250,
        b"[" + b"1," * 100 + b"2" * 5000 + b"]",
        b'[{"a":[],"b":"\\u00e9"},[1.5e3,null]]',
        '["\u00e9\U0001f600", {"\u00e9": [true]}]'.encode(),
    ],
)
def test_the_scanner_finds_where_a_value_ends(value: bytes) -> None:
    text = b'{"a":' + value + b',"b":7}'
    assert scan.member_spans(text) == {"a": (5, 5 + len(value)), "b": (len(text) - 2, len(text) - 1)}


@pytest.mark.parametrize(
    "value", [b"[1,]", b"[1,,2]", b"[1 2]", b"[[1,2},3]", b'{"a":1,}', b'{"a":1,"b"}', b'["a":1,2]']
)
def test_the_scanner_refuses_a_wrong_mark(value: bytes) -> None:
    for nested in (value, b"[" + value + b"]", b"[" + b"[0]," * 50 + value + b"]"):
        assert scans(b'{"a":' + nested + b"}") is None


@pytest.mark.parametrize("nest", [b"[%s,0]", b'{"a":%s,"b":[1,2]}'])
def test_the_time_of_a_scan_is_linear_in_large_nested_values(nest: bytes) -> None:
    # Each level is larger than a piece, so that the decoder would read each piece once for each level.
    value = b"[" + b"[[1],2]," * 60_000 + b"0]"
    for _ in range(200):
        value = nest % value
    began = time.process_time()
    assert scans_whole(b'{"a":' + value + b"}")
    assert time.process_time() - began < 20


def scans_whole(text: bytes) -> bool:
    return scan.member_spans(text)["a"] == (5, len(text) - 1)


def test_a_long_message_is_read_without_its_long_parts() -> None:
    image = "QUJD" * SMALL_TEXT_MAX
    meta = {"progressToken": "t"}
    params = {"name": "x", "_meta": meta, "arguments": {"image": image}}
    message = parse(json.dumps({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}).encode())
    assert (message.id, message.method, message.meta, message.params["name"]) == (7, "tools/call", meta, "x")
    assert "arguments" not in message.params
    answer = parse(json.dumps({"jsonrpc": "2.0", "id": "a", "result": {"image": image}}).encode())
    assert (answer.id, answer.is_answer, answer.is_error, answer.body) == ("a", True, False, {})


@pytest.mark.parametrize("padding", [0, SMALL_TEXT_MAX])
def test_a_message_on_several_lines_becomes_one_line(padding: int) -> None:
    value = {"jsonrpc": "2.0", "id": 1, "result": {"text": "a\nb" + " " * padding}}
    text = parse(json.dumps(value, indent=1).replace("\n", "\r\n").encode()).text
    assert b"\n" not in text
    assert b"\r" not in text
    assert json.loads(text) == value


def test_another_id_changes_nothing_else() -> None:
    text = b'{ "id" : 5 , "jsonrpc":"2.0", "params": {"id": 5, "x": 1.0}, "method":"m" }'
    assert with_id(parse(text), "new") == text.replace(b'"id" : 5', b'"id" : "new"', 1)


@pytest.mark.parametrize("text", [b'{"jsonrpc":"2.0","id":1,"result":1,"error":{}}', b'{"jsonrpc":"2.0","result":1}'])
def test_an_answer_has_an_id_and_one_content(text: bytes) -> None:
    with pytest.raises(UnusableMessageError):
        parse(text)


def events_of(text: str) -> list[str]:
    """The data of events, as the specification of server-sent events says."""
    found, data = [], list[str]()
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
        elif not line and data:
            found.append("\n".join(data))
            data = []
    return found


PARTS = st.lists(st.sampled_from(["data: x", "data:y", "data:", "\r", "\n", "\r\n", ": c", "id: 3", "event: m"]))


@given(PARTS, st.lists(st.integers(0, 5), min_size=1))
@settings(max_examples=examples(1500))
def test_events_are_cut_where_they_end(parts: list[str], sizes: list[int]) -> None:
    text = "".join(parts).encode()
    stream, found = EventStream(1000), list[bytearray]()
    while text:
        size = sizes[len(text) % len(sizes)] + 1
        found += stream.feed(text[:size])
        text = text[size:]
    assert [data.decode() for data in found] == events_of("".join(parts))


def test_an_event_that_is_too_long_is_refused() -> None:
    stream = EventStream(100)
    with pytest.raises(TooLongError):
        stream.feed(b"data: " + b"x" * 100)


@given(st.lists(st.binary(max_size=12)), st.integers(1, 7))
@settings(max_examples=examples(600))
def test_lines_are_cut_where_they_end(pieces: list[bytes], size: int) -> None:
    text = b"".join(pieces)
    cutter, found = LineCutter(10_000), []
    for start in range(0, len(text), size):
        found += cutter.feed(text[start : start + size])
    expected = [line.removesuffix(b"\r") for line in text.split(b"\n")[:-1] if line.removesuffix(b"\r").strip()]
    assert [bytes(event.text) for event in found if isinstance(event, ClientSentLine)] == expected


@pytest.mark.parametrize(
    ("head", "tail", "identifier"),
    [
        (b'{"jsonrpc":"2.0","id":7,"method":"m","params":"', b'"}', 7),
        (b'{"method":"m","params":"', b'","jsonrpc":"2.0","id":"seven"}', "seven"),
        (b'{"method":"m","params":{"id":7,"x":"', b'"}}', None),
    ],
)
def test_a_line_that_is_too_long_is_dropped(head: bytes, tail: bytes, identifier: object) -> None:
    cutter = LineCutter(2000)
    events = cutter.feed(head + b"x" * 5000) + cutter.feed(b"x" * 5000 + tail + b"\n{}\n")
    assert events == [ClientSentTooLongLine(2000, identifier), ClientSentLine(bytearray(b"{}"))]  # type: ignore[arg-type]
