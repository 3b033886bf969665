"""Streams that servers close before the answer, and that the bridge asks for again (SEP-1699)."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from supervisor.mcp.core.events_and_actions import (
    AbortExchange,
    BeginExchange,
    ClientSentLine,
    ExchangeEnded,
    ServerGone,
    ServerSentMessage,
)
from supervisor.mcp.core.messages.event_stream import RETRY_MAX_S, EventStream
from supervisor.mcp.core.servers import Outcome
from supervisor.mcp.core.streams.response_streams import LEFT_OPEN_S, RESUME_PAUSE_S
from tests.mcp.test_conversation import HELLO, Talk

ANSWER = b'{"jsonrpc":"2.0","id":7,"result":{"content":[]}}'


def calling(session: str | None = "session") -> tuple[Talk, BeginExchange]:
    """Return a conversation in which a call was sent."""
    talk = Talk()
    talk.ask(0, "initialize", **HELLO)
    talk.open_session()
    if session is None:
        talk.core._server_side.session._id = None
    talk.ask(7, "tools/call", name="write")
    return talk, next(sent for sent in talk.sent if b'"id": 7' in sent.text)


def close(talk: Talk, sent: BeginExchange, **fields: Any) -> None:
    """Let the server close the stream of an exchange."""
    talk.feed(ExchangeEnded(sent.exchange, Outcome.COMPLETE, 200, **{"last_event_id": "e1", **fields}))


def resumed(talk: Talk) -> list[Mapping[str, str]]:
    """Return the headers of the streams that were asked for again."""
    return [dict(sent.headers) for sent in talk.sent if sent.method == "GET" and "Last-Event-ID" in dict(sent.headers)]


def codes(talk: Talk) -> list[str]:
    return [said["result"]["structuredContent"]["error"]["code"] for said in talk.said if said.get("id") == 7]


def test_a_closed_stream_goes_on_after_the_pause() -> None:
    talk, call = calling()
    close(talk, call, retry_after_s=0.5)
    talk.wait(0.49)
    assert resumed(talk) == []
    talk.wait(0.02)
    assert [(each["Last-Event-ID"], each["Mcp-Session-Id"]) for each in resumed(talk)] == [("e1", "session")]
    talk.feed(ServerSentMessage(talk.sent[-1].exchange, ANSWER))
    assert talk.said[-1] == json.loads(ANSWER)


def test_a_stream_may_be_closed_again_and_again() -> None:
    talk, call = calling()
    close(talk, call)
    for number in range(2, 5):
        talk.wait(RESUME_PAUSE_S)
        close(talk, talk.sent[-1], last_event_id=f"e{number}")
    talk.wait(RESUME_PAUSE_S)
    assert [each["Last-Event-ID"] for each in resumed(talk)] == ["e1", "e2", "e3", "e4"]
    talk.feed(ServerSentMessage(talk.sent[-1].exchange, ANSWER))
    assert talk.said[-1] == json.loads(ANSWER)


@pytest.mark.parametrize(
    "end",
    [
        ExchangeEnded(0, Outcome.NOT_SENT),
        ExchangeEnded(0, Outcome.REFUSED, 404),
        ExchangeEnded(0, Outcome.REFUSED, 405),
        ExchangeEnded(0, Outcome.REFUSED, 503, retry_after_s=1.0),
        ExchangeEnded(0, Outcome.INVALID, 200),
        ExchangeEnded(0, Outcome.LOST),
        ExchangeEnded(0, Outcome.COMPLETE, 200),
    ],
    ids=lambda end: f"{end.outcome.value} {end.status}",
)
def test_a_call_whose_stream_does_not_go_on_is_never_sent_again(end: ExchangeEnded) -> None:
    talk, call = calling()
    close(talk, call)
    talk.wait(RESUME_PAUSE_S)
    talk.feed(end._replace(exchange=talk.sent[-1].exchange))
    assert codes(talk) == ["OUTCOME_UNKNOWN"]
    assert [sent for sent in talk.sent if b'"id": 7' in sent.text] == [call]


@pytest.mark.parametrize("session", ["session", None])
@pytest.mark.parametrize("last_id", ["", "no\u00a0header", None, "e1"])
def test_only_a_stream_with_an_id_in_a_session_goes_on(session: str | None, last_id: str | None) -> None:
    talk, call = calling(session)
    close(talk, call, last_event_id=last_id)
    talk.wait(RESUME_PAUSE_S)
    assert bool(resumed(talk)) is (session is not None and last_id == "e1")
    assert codes(talk) == ([] if resumed(talk) else ["OUTCOME_UNKNOWN"])


def test_a_stream_of_a_server_that_ended_does_not_go_on() -> None:
    talk, call = calling()
    close(talk, call)
    talk.feed(ServerGone(1))
    assert codes(talk) == ["OUTCOME_UNKNOWN"]
    assert resumed(talk) == []


def test_a_cancelled_call_does_not_go_on() -> None:
    talk, call = calling()
    close(talk, call)
    cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
    talk.feed(ClientSentLine(json.dumps(cancelled).encode()))
    talk.wait(2 * RESUME_PAUSE_S)
    assert resumed(talk) == []
    assert codes(talk) == []


def test_a_stream_that_stays_open_after_the_answer_is_closed() -> None:
    talk, call = calling()
    talk.feed(ServerSentMessage(call.exchange, ANSWER))
    assert AbortExchange(call.exchange) not in talk.other
    talk.now += LEFT_OPEN_S
    talk.ask(8, "ping")
    assert AbortExchange(call.exchange) in talk.other


def test_ids_and_pauses_are_read_from_complete_events() -> None:
    stream = EventStream(1000)
    assert stream.feed(b"id: 1\nretry: 500\ndata: \n\nid: 2\ndata: {}\n") == [b""]
    assert (stream.last_id, stream.retry_s) == ("1", 0.5)
    stream.feed(b"\nretry: 99999999999999\nretry: soon\n\n")
    assert (stream.last_id, stream.retry_s) == ("2", RETRY_MAX_S)


@pytest.mark.parametrize("line", [b"id:", b"id: ", b"id"])
def test_an_empty_id_takes_the_one_before_back(line: bytes) -> None:
    stream = EventStream(1000)
    stream.feed(b"id: 1\ndata: {}\n\n" + line + b"\ndata: {}\n\ndata: {}\n\n")
    assert stream.last_id == ""
