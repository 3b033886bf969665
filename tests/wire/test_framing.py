import json
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import ParseError
from supervisor.wire.framing import FRAME_LIMIT, LineDecoder, frame_message

LINES = st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"").rstrip(b"\r")), max_size=10)


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in at)})
    return [stream[start:end] for start, end in pairwise(edges)]


@given(LINES, st.lists(st.integers(min_value=0)), st.sampled_from([b"\n", b"\r\n"]))
def test_lines_do_not_depend_on_how_a_stream_is_cut(lines: list[bytes], at: list[int], end: bytes) -> None:
    decoder = LineDecoder()
    found = [line for chunk in cut(b"".join(line + end for line in lines), at) for line in decoder.feed(chunk)]
    assert found == lines


@given(st.lists(st.binary(max_size=64)), st.integers(min_value=1, max_value=32))
def test_hostile_bytes_never_occupy_more_than_the_limit(chunks: list[bytes], limit: int) -> None:
    decoder = LineDecoder(limit)
    errors = 0
    for chunk in chunks:
        try:
            assert all(len(line) <= limit for line in decoder.feed(chunk))
        except ParseError:
            errors += 1
        assert len(decoder._tail) <= limit
    assert errors <= 1


def test_a_line_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert LineDecoder(4).feed(b"abcd\n") == [b"abcd"]
    with pytest.raises(ParseError, match="longer than 4 bytes"):
        LineDecoder(4).feed(b"abcde\n")


def test_an_unfinished_line_beyond_the_limit_is_refused() -> None:
    decoder = LineDecoder(4)
    assert decoder.feed(b"abc") == []
    with pytest.raises(ParseError):
        decoder.feed(b"de")


def test_input_after_an_oversized_line_is_dropped() -> None:
    decoder = LineDecoder(4)
    with pytest.raises(ParseError):
        decoder.feed(b"abcdef")
    assert decoder.feed(b"\nok\n") == []


def test_single_bytes_take_linear_time() -> None:
    def seconds(lines: int, length: int) -> float:
        start = time.thread_time()
        for _ in range(lines):
            decoder = LineDecoder()
            for _ in range(length):
                decoder.feed(b"x")
        return time.thread_time() - start

    # The same bytes in lines of a tenth, because Windows counts a thread's time in steps of 16 ms.
    short = min(seconds(20, 10_000) for _ in range(3))
    # Ten times linear is a hundred times quadratic; the bound leaves room for a noisy machine.
    assert min(seconds(2, 100_000) for _ in range(3)) < 4 * short


def test_a_frame_is_compact_utf8_with_one_line_feed() -> None:
    assert frame_message({"a": [1, "ü\n"]}) == '{"a":[1,"ü\\n"]}\n'.encode()


def test_undecodable_bytes_of_a_command_line_become_question_marks() -> None:
    text = b"\xff".decode(errors="surrogateescape")
    assert frame_message(text) == b'"?"\n'


@pytest.mark.parametrize("message", [float("nan"), float("inf"), "x" * FRAME_LIMIT])
def test_a_frame_that_no_reader_accepts_is_not_sent(message: object) -> None:
    with pytest.raises(ValueError, match=r"JSON|too long"):
        frame_message(message)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_an_encoded_message_reads_the_same(message: object) -> None:
    frame = frame_message(message)
    assert frame.count(b"\n") == 1
    assert json.loads(frame) == json.loads(json.dumps(message).encode("utf-8", "replace"))


def test_a_circular_message_is_an_error() -> None:
    circle: list[object] = []
    circle.append(circle)
    with pytest.raises(RecursionError):
        frame_message(circle)
