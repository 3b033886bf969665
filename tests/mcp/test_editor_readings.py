"""Looks at a server's list of its editors that hang, are put off or become old, and calls that wait meanwhile."""

import json

import pytest

from supervisor.mcp.core.calls.editor_sessions import READING_S, TRIES_MAX
from supervisor.mcp.core.calls.preparation import ASK_PAUSE_S
from supervisor.mcp.core.client_request import HOLD_S, PROGRESS_S
from supervisor.mcp.core.events_and_actions import (
    AbortExchange,
    CallAdmitted,
    CallRefused,
    EditorsExamined,
    EnsureFailed,
    ExamineEditors,
    ExchangeEnded,
    Problem,
    ServerGone,
    ServerSentMessage,
)
from supervisor.mcp.core.servers import Outcome
from supervisor.mcp.core.streams.response_streams import CANCELLED_S
from tests.mcp.test_calls import HERE, PIN, THERE, CallTalk, cancel

ACTIVE_PIN = PIN._replace(active="active")


def list_active(talk: CallTalk, active: str) -> None:
    """Answer the last reading of the sessions: this editor is the active one."""
    rows = [{"id": path, "path": path, "pid": 8, "active": path == active} for path in (HERE, THERE)]
    talk.answer(talk.sent[-1], {"contents": [{"text": json.dumps({"sessions": rows})}]})
    asked = [each for each in talk.other if isinstance(each, ExamineEditors)][-1]
    talk.feed(EditorsExamined(asked.reading, frozenset({HERE}), frozenset()))


@pytest.mark.parametrize("is_answered", [False, True])
def test_a_reading_that_hangs_is_tried_again(is_answered: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    talk = CallTalk()
    talk.call("write")
    first = talk.sent[-1]
    if is_answered:
        # The paths in the list are not examined in time.
        rows = {"sessions": [{"id": "h", "path": HERE}]}
        text = {
            "jsonrpc": "2.0",
            "id": json.loads(first.text)["id"],
            "result": {"contents": [{"text": json.dumps(rows)}]},
        }
        talk.feed(ServerSentMessage(first.exchange, json.dumps(text).encode()))
    talk.wait(READING_S)
    assert (talk.readings(), AbortExchange(first.exchange) in talk.other) == (2, True)
    talk.list_sessions(("h", HERE, 8))
    assert talk.calls() == [{"editor": "h"}]


def test_a_call_whose_readings_all_hang_is_refused() -> None:
    talk = CallTalk()
    talk.call("write")
    talk.wait(HOLD_S + 1)
    assert (talk.error()["code"], talk.calls()) == ("SESSIONS_UNREADABLE", [])


def test_a_reading_is_put_off_as_the_server_wants() -> None:
    talk = CallTalk()
    talk.call("write")
    for _ in range(TRIES_MAX + 1):
        talk.feed(ExchangeEnded(talk.sent[-1].exchange, Outcome.REFUSED, 503, retry_after_s=1.0))
        before = talk.readings()
        talk.wait(0.9)
        assert talk.readings() == before
        talk.wait(0.2)
        assert talk.readings() == before + 1
    talk.list_sessions(("h", HERE, 8))
    assert talk.calls() == [{"editor": "h"}]


def test_a_resource_that_is_sent_again_needs_a_new_look() -> None:
    talk = CallTalk(pin=ACTIVE_PIN)
    talk.ask(1, "resources/read", uri="x://scene")
    list_active(talk, HERE)
    talk.feed(ExchangeEnded(talk.sent[-1].exchange, Outcome.REFUSED, 503, retry_after_s=1.0))
    talk.wait(1)
    list_active(talk, THERE)
    assert sum(b"x://scene" in each.text for each in talk.sent) == 1
    assert talk.said[-1]["error"]["data"]["code"] == "EDITOR_NOT_ACTIVE"


def test_a_call_that_has_waited_for_others_needs_a_new_look() -> None:
    talk = CallTalk(gate="serialize", pin=ACTIVE_PIN)
    talk.call("plain")
    list_active(talk, HERE)
    talk.feed(CallAdmitted(talk.begun[-1].call))
    assert talk.calls() == []
    list_active(talk, THERE)
    assert (talk.error()["code"], talk.calls(), talk.running) == ("EDITOR_NOT_ACTIVE", [], [])


@pytest.mark.parametrize("pid", [2**32, 2**70, 0, -1, True, "8"])
def test_what_is_no_process_is_not_one(pid: object) -> None:
    talk = CallTalk()
    talk.call("write")
    talk.list_sessions(("h", HERE, pid))  # type: ignore[arg-type]
    assert (talk.calls(), talk.begun[-1].editor_pid) == ([{"editor": "h"}], None)


def test_a_cancelled_call_that_the_server_never_ends_is_closed() -> None:
    talk = CallTalk(gate="serialize", pin=None)
    talk.call("write")
    talk.feed(CallAdmitted(talk.begun[-1].call))
    cancel(talk)
    talk.wait(CANCELLED_S - 1)
    assert talk.running == ["write"]
    talk.wait(1)
    assert (talk.running, AbortExchange(talk.last_call().exchange) in talk.other) == ([], True)


def test_a_call_that_waits_for_a_server_does_not_wait_for_what_was_before() -> None:
    talk = CallTalk(gate="serialize", pin=None)
    talk.ask(1, "tools/call", name="write", arguments={}, _meta={"progressToken": 5})
    talk.feed(ServerGone(1), EnsureFailed(Problem("NO_PORT", "none is free", retryable=True)))
    talk.wait(PROGRESS_S)
    assert talk.said[-1]["params"]["message"] == "waiting for the server"
    talk.wait(HOLD_S)
    assert talk.error()["code"] == "NO_PORT"


def test_a_call_that_the_daemon_never_judges_gets_its_reason() -> None:
    talk = CallTalk(gate="serialize", pin=None)
    talk.call("write")
    talk.feed(CallRefused(talk.begun[-1].call, Problem("NO_DAEMON", "it does not start", retryable=True)))
    talk.wait(ASK_PAUSE_S + HOLD_S)
    assert talk.error()["code"] == "NO_DAEMON"


def test_a_list_of_tools_that_never_comes_has_a_reason() -> None:
    talk = CallTalk()
    talk.call("new")
    talk.wait(HOLD_S + 1)
    assert (talk.error()["code"], talk.error()["message"]) == (
        "SERVER_NOT_READY",
        "the server has not listed its tools in time",
    )
