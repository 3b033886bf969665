"""The bridge's link to the daemon, with a daemon that says what a test wants."""

import os
import threading
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, cast

import pytest

from supervisor.client import autostart, discovery
from supervisor.client.client import RemoteError
from supervisor.errors import TimedOut
from supervisor.mcp.bridge import daemon_link
from supervisor.mcp.bridge.call_link import CallLink
from supervisor.mcp.bridge.daemon_link import DaemonLink
from supervisor.mcp.bridge.daemon_rows import problem_from
from supervisor.mcp.core.events_and_actions import EnsureFailed, EnsureSucceeded, Event, IntroduceClient
from supervisor.native.facts import folders
from supervisor.native.startup.own_identity import own_process
from tests.e2e.home import eventually

if TYPE_CHECKING:
    from supervisor.client.client import Client
    from supervisor.mcp.bridge.loop import Loop

ROW = {
    "id": "small",
    "kind": "small",
    "project": None,
    "state": "ready",
    "url": "http://127.0.0.1:1/mcp",
    "version": "1",
    "process": {"pid": 1, "started_at": 1},
    "owners": [{"pid": os.getpid(), "editor": "e"}],
}


class Daemon:
    """A client of a daemon with one server. `subscribe` answers `events.subscribe`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
        self.row = {**ROW, **changes}
        self.subscriptions = 0
        self.subscribe: Callable[[], Any] = self.end_at_once
        self.editors: list[dict[str, Any]] = []
        self.released: list[Any] = []
        self.owners: list[dict[str, Any]] = []
        self.posted: list[Event] = []
        monkeypatch.setattr(autostart, "ensure_daemon", lambda *_, **__: self)
        monkeypatch.setattr(discovery, "connect", lambda *_: self)
        monkeypatch.setattr(daemon_link, "RECONNECT_PAUSES_S", (0.01, 0.01, 0.01))
        self.link = self.make_link("small", None)

    def make_link(self, kind: str | None, project: str | None) -> DaemonLink:
        return DaemonLink(
            folders(),
            kind,
            project,
            post=self.posted.append,
            on_address=lambda *_: None,
            start_service=lambda _: False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stay as it is."""

    def call(self, method: str, params: Any = None, **_: object) -> Any:
        if method == "server.release":
            self.released.append(params["server"])
        if method == "server.ensure":
            self.owners.append(params["owner"])
        if method == "status":
            return {"servers": [self.row], "editors": self.editors}
        return self.row if method == "server.ensure" else {"servers": []}

    def stream(self, _method: object) -> Any:
        self.subscriptions += 1
        return self.subscribe()

    def end_at_once(self) -> Any:
        return SimpleNamespace(answer={"snapshot": {"servers": [self.row]}}, listen=lambda: iter(()))

    def ensure_server(self) -> None:
        before = threading.enumerate()
        self.link.ensure_server()
        eventually(lambda: set(threading.enumerate()) <= set(before), "the threads have ended", 5)


def refuse() -> Any:
    raise TimedOut("no")


def fail() -> Any:
    raise ValueError("a defect")


def test_a_server_without_a_url_is_a_failure_only(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(monkeypatch, url="http://example.org/mcp")
    daemon.subscribe = refuse
    daemon.ensure_server()
    assert [type(event) for event in daemon.posted] == [EnsureFailed]


def test_a_bridge_claims_by_pid_and_start_token(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(monkeypatch)
    daemon.subscribe = refuse
    daemon.ensure_server()
    link = CallLink(cast("Loop", None), lambda _: cast("Client", daemon), daemon.posted.append, lambda: None)
    said: list[Mapping[str, Any]] = []
    monkeypatch.setattr(link, "_connection", daemon)
    monkeypatch.setattr(link, "_ask", lambda _, params: said.append(params))
    link.perform(IntroduceClient("test", "1"))
    assert len(daemon.owners) == len(said) == 1
    for claim in (*daemon.owners, *said):
        assert claim == {**claim, **own_process()}


def test_an_answer_of_another_shape_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(monkeypatch, owners=None)
    daemon.ensure_server()
    [event] = daemon.posted
    assert isinstance(event, EnsureFailed)
    assert event.problem.code == "INTERNAL"


def test_a_daemon_that_refuses_to_be_followed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(monkeypatch)
    daemon.subscribe = refuse
    daemon.ensure_server()
    assert [type(event) for event in daemon.posted] == [EnsureSucceeded]
    assert daemon.subscriptions == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_daemon_is_followed_again_after_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(monkeypatch)
    daemon.subscribe = fail
    daemon.ensure_server()
    daemon.ensure_server()
    assert daemon.subscriptions == 2


def editor(**changes: Any) -> dict[str, Any]:
    return {"id": "real", "project": "/game", "servers": ["small"], **changes}


def test_the_kind_is_that_of_an_editor_that_comes_later(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(monkeypatch)
    daemon.subscribe = refuse
    daemon.link = daemon.make_link(None, "/game")
    daemon.ensure_server()
    assert daemon.link.kind == "godot-ai"
    # What the daemon has of this process itself is no editor.
    daemon.editors = [editor(id="e")]
    daemon.ensure_server()
    assert daemon.link.kind == "godot-ai"
    daemon.editors = [editor(project="/other"), editor()]
    daemon.ensure_server()
    assert daemon.link.kind == "small"
    # An editor that is closed does not change the kind.
    daemon.editors = []
    daemon.ensure_server()
    assert daemon.link.kind == "small"


def test_a_given_kind_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(monkeypatch)
    daemon.subscribe = refuse
    daemon.link = daemon.make_link("other", "/game")
    daemon.editors = [editor()]
    daemon.ensure_server()
    assert daemon.link.kind == "other"


def test_the_server_before_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(monkeypatch)
    daemon.subscribe = refuse
    daemon.ensure_server()
    daemon.ensure_server()
    assert daemon.released == []
    daemon.row = {**daemon.row, "id": "small-2"}
    daemon.ensure_server()
    assert daemon.released == ["small"]


@pytest.mark.parametrize(("code", "kept"), [("EDITOR_BUSY", {"cause": "queue"}), ("START_FAILED", None)])
def test_only_a_busy_editor_has_data_for_a_model(code: str, kept: object) -> None:
    error = RemoteError({"message": "no", "data": {"code": code, "cause": "queue", "fault": "environment"}})
    assert problem_from(error).data == kept
