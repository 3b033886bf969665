"""Two AI clients on two projects before one real godot-ai: no call reaches the editor of the other project."""

import random
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import godot_ai_config
from tests.e2e.home import Home
from tests.mcp.bridge_client import BridgeClient
from tests.mcp.conftest import Connect
from tests.mcp.steps import code_of, kill_server

pytestmark = [pytest.mark.needs_index, pytest.mark.timeout(300)]

NAME = "godot-ai"
VERSION, VERSION_BEFORE_4_7 = "4.3.1", "3.2.5"
PLAYER = Path(__file__).with_name("clients") / "playing_editor.py"
PROJECTS = ("one", "two")


class Editors:
    """Editors that play sessions with the server of a home, by project."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.running: list[subprocess.Popen[bytes]] = []

    def open(self, name: str, *, path: str | None = None) -> subprocess.Popen[bytes]:
        """Open a project, and wait for the session."""
        server = self.home.server(NAME)
        assert server is not None
        record = "-" if server["bearer"] is None else server["bearer"]["file"]
        # As the plugin writes it: with a slash at the end.
        project = f"{path or self.home.project(name)}/"
        words = (server["connect"][0] if server["connect"] else self.python(), "-P", str(PLAYER), record)
        suffix = "-old" if record == "-" else ""
        process: subprocess.Popen[bytes] = self.home.run(
            *words, str(server["ports"]["ws"]), project, suffix, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.running.append(process)
        self.wait_for_session(process)
        return process

    def python(self) -> str:
        """Return the interpreter of the server."""
        server = self.home.server(NAME)
        assert server is not None
        return str(Path(f"/proc/{server['process']['pid']}/exe").readlink())

    def wait_for_session(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the server has acknowledged a session."""
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"

    def close(self, process: subprocess.Popen[bytes]) -> None:
        """Close an editor."""
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)


@pytest.fixture(params=[VERSION, VERSION_BEFORE_4_7])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """A home for the real server in one version, its environment shared by all tests."""
    home = Home(tmp_path, f'{godot_ai_config(2, 2)}version = "{request.param}"\n')
    yield home
    home.close()


@pytest.fixture
def clients(home: Home, connect: Connect) -> Mapping[str, BridgeClient]:
    """A bridge for each project. The server is ready."""
    found = {name: connect(home, NAME, "--project", home.project(name)) for name in PROJECTS}
    for client in found.values():
        client.begin()
        client.call("tools/call", {"name": "session_manage", "arguments": {"op": "list"}})
    return found


def session_of(client: BridgeClient, editor: subprocess.Popen[bytes]) -> str:
    """Return the session of an editor, as the server lists it."""
    sessions = client.tool("session_manage", op="list")["structuredContent"]["sessions"]
    return next(str(each["session_id"]) for each in sessions if each["editor_pid"] == editor.pid)


def editor_of(result: dict[str, Any]) -> str:
    """Return the project whose editor has executed a call."""
    assert not result["isError"], result["content"]
    return Path(result["structuredContent"]["project_name"]).name


def call_a_thousand_times(home: Home, clients: Mapping[str, BridgeClient]) -> None:
    """Call from both clients in turn, with calls on the way when the server is killed."""
    chance = random.Random(14)
    asked: list[tuple[str, Any]] = []
    lost = 0
    for number in range(1000):
        name = chance.choice(PROJECTS)
        if number == 500:
            on_the_way = len(asked)
            kill_server(home, NAME)
        if number % 100 == 50:
            # A client chooses the active editor for the whole server.
            clients[name].tool("session_activate", session_id=Path(home.project(chance.choice(PROJECTS))).name)
        arguments = chance.choice([{}, {"session_id": ""}, {"session_id": None}])
        asked.append((name, clients[name].ask("tools/call", {"name": "editor_state", "arguments": arguments})))
        while len(asked) > chance.choice([0, 4, 8]) or (asked and number == 999):
            name, identifier = asked.pop(0)
            result = clients[name].answer(identifier)["result"]
            if result["isError"] and code_of(result) == "OUTCOME_UNKNOWN":
                lost += 1
            else:
                assert editor_of(result) == name
    assert lost <= on_the_way


def close_and_open_editors(home: Home, clients: Mapping[str, BridgeClient], editors: Editors) -> None:
    first, second = editors.running
    editors.close(first)
    closed = clients["one"].tool("editor_state")
    assert code_of(closed) == "EDITOR_CLOSED"
    error = closed["structuredContent"]["error"]
    assert [Path(path).name for path in error["data"]["open_projects"]] == ["two"]
    assert home.project("one") in error["hint"]
    assert editor_of(clients["two"].tool("editor_state")) == "two"
    editors.open("one")
    assert editor_of(clients["one"].tool("editor_state")) == "one"
    # This editor is closed while the server is away, and the other one comes back a moment after the server.
    editors.close(second)
    kill_server(home, NAME)
    assert editor_of(clients["one"].tool("editor_state")) == "one"
    assert code_of(clients["two"].tool("editor_state")) == "EDITOR_CLOSED"


@pytest.mark.full
def test_no_call_reaches_the_editor_of_another(home: Home, clients: Mapping[str, BridgeClient]) -> None:
    editors = Editors(home)
    assert code_of(clients["one"].tool("editor_state")) == "EDITOR_CLOSED"
    for name in PROJECTS:
        editors.open(name)
    call_a_thousand_times(home, clients)
    close_and_open_editors(home, clients, editors)


@pytest.mark.full
@pytest.mark.parametrize("home", [VERSION], indirect=True)
def test_editors_are_found_by_any_path_of_their_project(home: Home, clients: Mapping[str, BridgeClient]) -> None:
    editors = Editors(home)
    link = Path(home.project("one")).with_name("link")
    link.symlink_to(home.project("one"), target_is_directory=True)
    first = editors.open("one", path=str(link))
    assert editor_of(clients["one"].tool("editor_state")) == "link"
    # A second editor of the project does not take over, even if the sessions are looked at again after a failed call.
    second = editors.open("one")
    assert clients["one"].tool("editor_state", unknown=1)["isError"]
    assert clients["one"].tool("editor_state")["structuredContent"]["pid"] == first.pid
    # Resources are those of the active editor, or of none.
    active = clients["one"].answer(clients["one"].ask("resources/read", {"uri": "godot://editor/state"}))
    assert "link" in active["result"]["contents"][0]["text"]
    clients["one"].tool("session_activate", session_id=session_of(clients["one"], second))
    refused = clients["one"].answer(clients["one"].ask("resources/read", {"uri": "godot://editor/state"}))
    assert refused["error"]["data"]["code"] == "EDITOR_NOT_ACTIVE"
    # A client that names an editor gets that one, also if it is that of another project.
    other = session_of(clients["one"], second)
    assert clients["two"].tool("editor_state", session_id=other)["structuredContent"]["pid"] == second.pid
    editors.close(first)
    assert code_of(clients["one"].tool("editor_state")) == "EDITOR_CLOSED"
    assert clients["one"].tool("editor_state")["structuredContent"]["pid"] == second.pid
