"""The preparation of calls by hand-made events: which editor they name, and the gate."""

import json
from typing import Any

import pytest

from supervisor.mcp.core.calls.editor_sessions import FRESH_S, RETURN_S, TRIES_MAX, UNKNOWN_RETURN_S
from supervisor.mcp.core.calls.preparation import ASK_PAUSE_S
from supervisor.mcp.core.client_request import HOLD_S
from supervisor.mcp.core.conversation import Conversation
from supervisor.mcp.core.events_and_actions import (
    BeginCall,
    BeginExchange,
    CallAdmitted,
    CallRefused,
    ClientSentLine,
    EditorsChanged,
    EditorsExamined,
    EndCall,
    EnsureSucceeded,
    ExamineEditors,
    ExchangeEnded,
    Problem,
    ServerGone,
    ServerSentMessage,
)
from supervisor.mcp.core.messages.catalogue import LEGACY, Catalogue
from supervisor.mcp.core.servers import Outcome, Pin, Server
from supervisor.wire import fields
from supervisor.wire.messages.clients import CallBegin
from tests.mcp.test_conversation import SERVER_SAYS, Talk

HERE, THERE = "/games/here/", "/games/there/"

PIN = Pin("editor", resource="x://sessions", id="id", project="path", pid="pid", unknown="who?", exempt=("sessions",))

SCHEMA = {"type": "object", "properties": {"editor": {"type": "string"}}}

TOOLS: list[dict[str, Any]] = [
    {"name": "write", "inputSchema": SCHEMA},
    {"name": "look", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}},
    {"name": "sessions", "inputSchema": SCHEMA},
    {"name": "plain", "inputSchema": {"type": "object", "properties": {}}},
]

Row = tuple[str, str, int | None]


class CallTalk(Talk):
    """A conversation with a server of several editors, whose tools are known."""

    def __init__(self, *, gate: str = "off", pin: Pin | None = PIN, project: str | None = "/games/here") -> None:
        super().__init__()
        catalogue = Catalogue("1.0")
        catalogue.eras[LEGACY].hello = dict(SERVER_SAYS)
        catalogue.eras[LEGACY].lists = {"tools/list": TOOLS}
        self.core = Conversation("small", "ours", catalogue, 0.0, project=project)
        self.gate, self.pin = gate, pin
        self.answered = 0
        self.start_server(1)

    def start_server(self, number: int) -> None:
        self.feed(EnsureSucceeded(Server(number, "1.0", "small", self.gate, self.pin)))
        self.call("sessions", identifier=f"opens {number}")
        self.answer(self.sent[-1], SERVER_SAYS, "session")
        self.feed(ExchangeEnded(self.sent[-1].exchange, Outcome.COMPLETE, 202))
        if self.gate != "off":
            self.feed(CallAdmitted(self.begun[-1].call))
        self.answer(next(each for each in reversed(self.sent) if b'"opens' in each.text), {})
        self.wait(UNKNOWN_RETURN_S + 1)

    def call(self, tool: str, *, identifier: Any = 1, **arguments: Any) -> None:
        self.ask(identifier, "tools/call", name=tool, arguments=arguments)

    def list_sessions(self, *rows: Row, running: frozenset[int] = frozenset()) -> None:
        """Answer the last reading of the sessions, and its examination."""
        listed = [{"id": name, "path": path, "pid": pid} for name, path, pid in rows]
        sent = next(each for each in reversed(self.sent) if b"resources/read" in each.text)
        self.answer(sent, {"contents": [{"uri": "x://sessions", "text": json.dumps({"sessions": listed})}]})
        asked = [each for each in self.other if isinstance(each, ExamineEditors)][-1]
        ours = frozenset(path for path in asked.projects if path == HERE)
        self.feed(EditorsExamined(asked.reading, ours, asked.pids & running))

    def calls(self) -> list[dict[str, Any]]:
        """Return the arguments of all calls that were sent, without those that open a session."""
        sent = [json.loads(each.text) for each in self.sent if b'"tools/call"' in each.text]
        return [each["params"]["arguments"] for each in sent if not str(each["id"]).startswith("opens")]

    def readings(self) -> int:
        return sum(b"resources/read" in each.text for each in self.sent)

    def last_call(self) -> BeginExchange:
        return next(each for each in reversed(self.sent) if b'"tools/call"' in each.text)

    def error(self) -> dict[str, Any]:
        """Return the error in the last answer."""
        result = self.said[-1]["result"]
        assert result["isError"]
        found: dict[str, Any] = result["structuredContent"]["error"]
        return found

    @property
    def begun(self) -> list[BeginCall]:
        return [each for each in self.other if isinstance(each, BeginCall)]

    @property
    def running(self) -> list[str]:
        """Return the tools of the calls that have begun and not ended."""
        ended = [each.call for each in self.other if isinstance(each, EndCall)]
        assert len(ended) == len(set(ended))
        return [each.tool for each in self.begun if each.call not in ended]


# --- pinning ---


def test_a_call_names_the_editor_of_the_project() -> None:
    talk = CallTalk()
    talk.call("write", a=1)
    assert talk.calls() == []
    talk.list_sessions(("t", THERE, 7), ("h", HERE, 8))
    assert talk.calls() == [{"editor": "h", "a": 1}]
    assert (talk.begun[-1].editor_pid, talk.begun[-1].needs_admission) == (8, False)
    talk.answer(talk.last_call(), {"content": []})
    talk.call("look", identifier=2, editor="")
    talk.call("look", identifier=3, editor=None)
    assert talk.calls()[1:] == [{"editor": "h"}, {"editor": "h"}]
    assert talk.readings() == 1


@pytest.mark.parametrize(
    ("tool", "arguments"), [("write", {"editor": "t"}), ("write", {"editor": 5}), ("sessions", {}), ("plain", {})]
)
def test_some_calls_are_sent_as_they_are(tool: str, arguments: dict[str, Any]) -> None:
    talk = CallTalk()
    sent = len(talk.sent)
    talk.call(tool, **arguments)
    assert [json.loads(each.text)["params"]["arguments"] for each in talk.sent[sent:]] == [arguments]


def test_a_bridge_without_a_project_pins_nothing() -> None:
    talk = CallTalk(project=None)
    talk.call("write")
    assert talk.calls() == [{}]


def test_unknown_tools_wait_for_the_list_of_tools() -> None:
    talk = CallTalk()
    talk.call("new")
    assert talk.methods()[-1] == "tools/list"
    talk.answer(talk.sent[-1], {"tools": [*TOOLS, {"name": "new", "inputSchema": SCHEMA}]})
    talk.list_sessions(("h", HERE, 8))
    assert talk.calls() == [{"editor": "h"}]


def test_a_closed_editor_names_the_open_projects() -> None:
    talk = CallTalk()
    talk.call("write")
    talk.list_sessions(("t", THERE, 7))
    error = talk.error()
    assert (error["code"], error["data"]["open_projects"]) == ("EDITOR_CLOSED", [THERE])
    assert "Open the project /games/here in Godot, then call again" in error["text"]
    talk.call("write", identifier=2)
    talk.list_sessions(("t", THERE, 7), ("h", HERE, 8))
    assert talk.calls() == [{"editor": "h"}]


def test_a_call_waits_for_an_editor_that_runs() -> None:
    talk = CallTalk()
    talk.call("write")
    talk.list_sessions(("h", HERE, 8))
    talk.answer(talk.last_call(), {})
    talk.feed(ServerGone(1))
    talk.start_server(2)
    talk.call("write", identifier=2)
    for _ in range(20):
        talk.list_sessions(running=frozenset({8}))
        talk.wait(1)
    assert len(talk.calls()) == 1
    talk.list_sessions(("h2", HERE, 8))
    assert talk.calls()[1:] == [{"editor": "h2"}]


def test_an_editor_that_does_not_come_back_counts_as_closed() -> None:
    talk = CallTalk()
    talk.feed(EditorsChanged(frozenset({8})))
    talk.call("write")
    talk.list_sessions(running=frozenset({8}))
    talk.wait(RETURN_S + 1)
    assert talk.error()["code"] == "EDITOR_CLOSED"
    # The next call does not wait as long again.
    talk.call("write", identifier=2)
    for _ in range(2):
        # A reading had begun before this call.
        talk.list_sessions(running=frozenset({8}))
    assert (talk.said[-1]["id"], talk.error()["code"]) == (2, "EDITOR_CLOSED")


def test_sessions_are_read_again_after_a_while_and_a_failure() -> None:
    talk = CallTalk()
    talk.call("write")
    talk.list_sessions(("h", HERE, 8))
    talk.answer(talk.last_call(), {"isError": True})
    talk.call("write", identifier=2)
    assert talk.readings() == 2
    talk.list_sessions(("h", HERE, 8))
    talk.answer(talk.last_call(), {})
    talk.wait(FRESH_S + 0.1)
    talk.call("write", identifier=3)
    assert talk.readings() == 3
    talk.list_sessions(("h", HERE, 8))
    talk.feed(EditorsChanged())
    talk.call("write", identifier=4)
    assert (talk.readings(), len(talk.calls())) == (4, 3)


def test_the_editor_that_was_used_before_is_used_again() -> None:
    talk = CallTalk()
    talk.feed(EditorsChanged(frozenset({8, 9})))
    talk.call("write")
    # Of two editors, the one that the daemon knows; then the same process, whatever its session is.
    talk.list_sessions(("a", HERE, 8), ("b", HERE, 5))
    talk.answer(talk.last_call(), {"isError": True})
    talk.call("write", identifier=2)
    talk.list_sessions(("b", HERE, 5), ("a2", HERE, 8), ("c", HERE, 9))
    assert talk.calls() == [{"editor": "a"}, {"editor": "a2"}]


def test_a_lost_session_is_named_again_only_if_that_does_no_harm() -> None:
    talk = CallTalk()
    talk.call("look")
    talk.list_sessions(("h", HERE, 8))
    talk.answer(talk.last_call(), {"isError": True, "content": [{"type": "text", "text": "who? h"}]})
    talk.list_sessions(("h2", HERE, 8))
    assert talk.calls() == [{"editor": "h"}, {"editor": "h2"}]
    talk.answer(talk.last_call(), {"content": []})
    talk.call("write", identifier=2)
    talk.answer(talk.last_call(), {"isError": True, "content": [{"type": "text", "text": "Error: WHO? h2"}]})
    talk.list_sessions(("h3", HERE, 8))
    assert (talk.said[-1]["id"], talk.error()["code"], talk.error()["retryable"]) == (2, "EDITOR_CLOSED", True)
    assert len(talk.calls()) == 3


def test_a_list_that_cannot_be_read_is_an_error() -> None:
    talk = CallTalk()
    talk.call("write")
    for _ in range(TRIES_MAX):
        talk.answer(talk.sent[-1], {"contents": [{"text": "[]"}]})
        talk.wait(1)
    assert talk.error()["code"] == "SESSIONS_UNREADABLE"
    assert talk.calls() == []


@pytest.mark.parametrize(("active", "sent"), [(HERE, 1), (THERE, 0), (None, 0)])
def test_resources_of_another_editor_are_not_read(active: str | None, sent: int) -> None:
    talk = CallTalk(pin=PIN._replace(active="active"))
    talk.ask(1, "resources/read", uri="x://scene")
    rows = [{"id": path, "path": path, "pid": 8, "active": path == active} for path in (HERE, THERE)]
    talk.answer(talk.sent[-1], {"contents": [{"text": json.dumps({"sessions": rows})}]})
    asked = [each for each in talk.other if isinstance(each, ExamineEditors)][-1]
    talk.feed(EditorsExamined(asked.reading, frozenset({HERE}), frozenset()))
    assert sum(b"x://scene" in each.text for each in talk.sent) == sent
    if not sent:
        error = talk.said[-1]["error"]["data"]
        assert (error["code"], error["data"]["open_projects"]) == ("EDITOR_NOT_ACTIVE", [HERE, THERE])


@pytest.mark.parametrize(("active", "sent"), [(HERE, 1), (THERE, 0)])
def test_tools_without_the_argument_need_the_active_editor(active: str, sent: int) -> None:
    talk = CallTalk(pin=PIN._replace(active="active"))
    talk.call("plain")
    rows = [{"id": path, "path": path, "pid": 8, "active": path == active} for path in (HERE, THERE)]
    talk.answer(talk.sent[-1], {"contents": [{"text": json.dumps({"sessions": rows})}]})
    asked = [each for each in talk.other if isinstance(each, ExamineEditors)][-1]
    talk.feed(EditorsExamined(asked.reading, frozenset({HERE}), frozenset()))
    assert len(talk.calls()) == sent
    if sent:
        assert talk.begun[-1].editor_pid == 8
    else:
        assert talk.error()["code"] == "EDITOR_NOT_ACTIVE"


@pytest.mark.parametrize("uri", ["x://sessions", "x://manual"])
def test_some_resources_are_read_without_an_editor(uri: str) -> None:
    talk = CallTalk(pin=PIN._replace(active="active", exempt=("x://manual", "sessions")))
    talk.ask(1, "resources/read", uri=uri)
    assert json.loads(talk.sent[-1].text)["params"] == {"uri": uri}


# --- the gate ---


@pytest.mark.parametrize("tool", ["write\0", "\ud800", "x" * 1000, " ", "two\nlines"])
@pytest.mark.parametrize("gate", ["off", "serialize"])
def test_a_tool_of_any_name_can_be_told_to_the_daemon(tool: str, gate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "TOOLS", [*TOOLS, {"name": tool, "inputSchema": SCHEMA}])
    talk = CallTalk(gate=gate, pin=None)
    before = len(talk.begun)
    talk.call(tool)
    [begun] = talk.begun[before:]
    message = {"server": "small", "call": 1, "tool": begun.tool}
    assert fields.decode(CallBegin, message).tool.isprintable()


def test_a_gated_call_is_sent_when_it_is_admitted() -> None:
    talk = CallTalk(gate="serialize", pin=None)
    talk.call("write")
    assert talk.begun[-1] == BeginCall(talk.begun[-1].call, 1, "write", None, needs_admission=True)
    assert talk.calls() == []
    talk.feed(CallAdmitted(talk.begun[-1].call))
    assert (talk.calls(), talk.running) == ([{}], ["write"])
    talk.answer(talk.last_call(), {})
    assert talk.running == []


def test_the_gate_gets_the_editor_of_a_call() -> None:
    talk = CallTalk(gate="reject")
    talk.call("write")
    talk.list_sessions(("h", HERE, 8), ("t", THERE, 7))
    assert talk.begun[-1].editor_pid == 8
    talk.call("write", identifier=2, editor="t")
    assert talk.begun[-1].editor_pid == 7


def test_reading_tools_pass_the_gate() -> None:
    talk = CallTalk(gate="reject", pin=None)
    talk.call("look")
    assert (talk.calls(), talk.begun[-1].needs_admission) == ([{}], False)


def test_a_refused_call_is_answered() -> None:
    talk = CallTalk(gate="reject", pin=None)
    talk.call("write")
    busy = Problem("EDITOR_BUSY", "codex runs write", retryable=True, retry_after_ms=500, data={"running": ["write"]})
    talk.feed(CallRefused(talk.begun[-1].call, busy))
    error = talk.error()
    assert (error["code"], error["retryable"], error["retry_after_ms"]) == ("EDITOR_BUSY", True, 500)
    assert error["data"] == {"running": ["write"]}
    assert "codex runs write" in error["text"]
    talk.wait(HOLD_S)
    assert (len(talk.begun), talk.calls()) == (2, [])


def test_a_call_that_the_daemon_did_not_judge_is_asked_about_again() -> None:
    talk = CallTalk(gate="serialize", pin=None)
    talk.call("write")
    talk.feed(CallRefused(talk.begun[-1].call, Problem("DISCONNECTED_BEFORE_ACCEPT", "gone", retryable=True)))
    talk.wait(ASK_PAUSE_S + 0.1)
    assert len(talk.begun) == 3
    talk.feed(CallAdmitted(talk.begun[-1].call))
    assert talk.calls() == [{}]


def cancel(talk: CallTalk) -> None:
    notice = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}
    talk.feed(ClientSentLine(json.dumps(notice).encode()))


def test_a_cancelled_call_leaves_the_queue() -> None:
    talk = CallTalk(gate="serialize", pin=None)
    said = len(talk.said)
    talk.call("write")
    cancel(talk)
    assert (talk.running, len(talk.said), talk.calls()) == ([], said, [])
    # The daemon's verdict may have been on its way.
    talk.feed(CallAdmitted(talk.begun[-1].call))
    assert talk.calls() == []


def test_a_call_that_is_cancelled_late_runs_until_the_server_ends_it() -> None:
    talk = CallTalk(gate="serialize", pin=None)
    talk.call("write")
    talk.feed(CallAdmitted(talk.begun[-1].call))
    cancel(talk)
    assert talk.running == ["write"]
    talk.feed(ExchangeEnded(talk.last_call().exchange, Outcome.COMPLETE, 200))
    assert talk.running == []


def test_a_call_that_waits_is_asked_about_for_the_next_server() -> None:
    talk = CallTalk(gate="serialize", pin=None)
    talk.call("write")
    talk.feed(ServerGone(1))
    assert talk.running == []
    talk.feed(EnsureSucceeded(Server(2, "1.0", "small", "serialize")))
    talk.answer(talk.sent[-1], SERVER_SAYS, "session")
    talk.feed(ExchangeEnded(talk.sent[-1].exchange, Outcome.COMPLETE, 202))
    assert (talk.begun[-1].server, talk.running) == (2, ["write"])


def test_a_call_ends_when_nothing_admits_it_in_time() -> None:
    talk = CallTalk(gate="serialize", pin=None)
    talk.call("write")
    talk.wait(HOLD_S + 1)
    assert (talk.error()["code"], talk.running) == ("EDITOR_BUSY", [])


@pytest.mark.parametrize("outcome", [Outcome.LOST, Outcome.NOT_SENT, Outcome.INVALID])
def test_a_call_ends_with_its_exchange(outcome: Outcome) -> None:
    talk = CallTalk(gate="serialize", pin=None)
    talk.call("write")
    talk.feed(CallAdmitted(talk.begun[-1].call))
    talk.feed(ExchangeEnded(talk.last_call().exchange, outcome))
    assert talk.running == []


def test_a_call_runs_while_its_stream_is_resumed() -> None:
    talk = CallTalk(gate="serialize", pin=None)
    talk.call("write")
    talk.feed(CallAdmitted(talk.begun[-1].call))
    talk.feed(ExchangeEnded(talk.last_call().exchange, Outcome.COMPLETE, 200, last_event_id="7"))
    assert talk.running == ["write"]
    talk.wait(5)
    resumed = talk.sent[-1]
    assert resumed.method == "GET"
    assert talk.running == ["write"]
    talk.feed(ServerSentMessage(resumed.exchange, b'{"jsonrpc":"2.0","id":1,"result":{}}'))
    assert talk.running == []
