"""Hypothesis against decoder, envelope and fields: the result is a message, or an error that can be sent."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.errors import InvalidParams, InvalidRequest, ParseError, SupervisorError
from supervisor.wire import fields, framing, jsonrpc
from supervisor.wire.messages.methods import METHODS
from tests import protocol
from tests.gates import examples
from tests.wire import hostile

# The same examples in every run, so that a build does not fail with an example that another build did not try.
BUDGET = settings(derandomize=True, max_examples=examples(200), deadline=None, database=None)
FOR_EACH_VERB = settings(BUDGET, max_examples=examples(40))


def sent(problem: SupervisorError, identifier: Any = None) -> None:
    """Check that the schema has the error, and that the error fits into a frame."""
    frame = framing.frame_message(jsonrpc.error_envelope(identifier, problem))
    protocol.check_frame(json.loads(frame))


@BUDGET
@given(st.lists(hostile.lines(), max_size=4), st.integers(1, 64))
def test_lines_survive_any_way_of_cutting_them(said: list[bytes], size: int) -> None:
    stream = b"".join(line + b"\n" for line in said)
    decoder = framing.LineDecoder()
    pieces = [stream[start : start + size * 1024] for start in range(0, len(stream), size * 1024)]
    heard = [line for piece in pieces for line in decoder.feed(piece)]
    assert heard == [line.removesuffix(b"\r") for line in stream.split(b"\n")[:-1]]


@BUDGET
@given(hostile.lines())
def test_a_line_is_a_message_or_a_typed_error(line: bytes) -> None:
    for parse in (jsonrpc.parse_from_client, jsonrpc.parse_from_daemon):
        try:
            message = parse(line)
        except jsonrpc.InvalidEnvelope as problem:
            sent(problem, problem.id)
        except (ParseError, InvalidRequest) as problem:
            sent(problem)
        else:
            assert isinstance(message, jsonrpc.Request | jsonrpc.Notification | jsonrpc.Success | jsonrpc.Failure)


@pytest.mark.parametrize("method", METHODS)
def test_params_are_accepted_or_the_wrong_field_is_named(method: str) -> None:
    @FOR_EACH_VERB
    @given(hostile.params_of(method))
    def attempt(value: Any) -> None:
        # As the wire transmits it, which has no tuples and no NaN.
        with contextlib.suppress(ParseError, InvalidRequest):
            request = jsonrpc.parse_from_client(json.dumps(jsonrpc.request_envelope(1, method, value)).encode())
            try:
                taken = fields.decode(METHODS[method].params, request.params)
            except InvalidParams as problem:
                sent(problem, 1)
            else:
                framing.frame_message(fields.encode(taken))

    attempt()
