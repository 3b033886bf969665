"""The order in which the bridge performs the actions of one event."""

import os
from collections.abc import Callable, Iterator

import pytest

from supervisor.mcp.bridge import run
from supervisor.mcp.core.events_and_actions import (
    AbortExchange,
    Action,
    BeginCall,
    BeginExchange,
    DeadlineReached,
    EndCall,
    SendToClient,
    WriteCatalogue,
)
from supervisor.native.facts import HOME_VARIABLE, folders
from tests.mcp.test_loop import close_bell

Perform = Callable[..., list[Action]]

ANSWER, REQUEST = SendToClient(b"{}"), BeginExchange(2, 1, "POST", ())
BEGIN, NEWS = BeginCall(2, 1, "write", needs_admission=True), WriteCatalogue(None, {})


@pytest.fixture
def perform(tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Perform]:
    """Let a bridge perform these actions, which follow from one event, and return them in its order."""
    sink = os.open(os.devnull, os.O_WRONLY)
    monkeypatch.setattr(run, "redirect_stdout", lambda: sink)
    bridge = run.McpBridge("small", None, folders({HOME_VARIABLE: os.fspath(tmp_path)}), lambda _: False)

    def perform(*actions: Action | Exception) -> list[Action]:
        def receive(*_: object) -> Iterator[Action]:
            for action in actions:
                if isinstance(action, Exception):
                    raise action
                yield action

        performed: list[Action] = []
        monkeypatch.setattr(bridge._conversation, "receive", receive)
        monkeypatch.setattr(bridge, "_perform", performed.append)
        bridge._handle(DeadlineReached())
        return performed

    yield perform
    close_bell(bridge._loop._bell)
    os.close(sink)


def test_lines_and_requests_come_before_the_rest(perform: Perform) -> None:
    assert perform(NEWS, ANSWER, BEGIN, REQUEST) == [ANSWER, REQUEST, NEWS, BEGIN]


def test_a_call_ends_before_its_answer(perform: Perform) -> None:
    assert perform(EndCall(1), ANSWER, NEWS, REQUEST) == [EndCall(1), ANSWER, REQUEST, NEWS]


def test_a_call_ends_after_it_has_begun_and_its_exchange_was_closed(perform: Perform) -> None:
    assert perform(BEGIN, ANSWER, EndCall(2)) == [ANSWER, BEGIN, EndCall(2)]
    assert perform(AbortExchange(1), EndCall(1), ANSWER) == [ANSWER, AbortExchange(1), EndCall(1)]


def test_what_came_before_a_defect_is_performed(perform: Perform, capfd: pytest.CaptureFixture[str]) -> None:
    assert perform(NEWS, ANSWER, ValueError("a defect")) == [ANSWER, NEWS]
    assert "a defect" in capfd.readouterr().err
