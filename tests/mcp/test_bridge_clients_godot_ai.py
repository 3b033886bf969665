"""The gate before a real godot-ai: two AI clients on two projects, each with its editor."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import godot_ai_config
from tests.e2e.home import Home, eventually
from tests.e2e.line import Line
from tests.mcp.conftest import Connect
from tests.mcp.steps import code_of
from tests.mcp.test_bridge_pinning import Editors, editor_of

pytestmark = [pytest.mark.needs_index, pytest.mark.full, pytest.mark.timeout(300)]

NAME = "godot-ai"
PROJECTS = ("one", "two")


@pytest.fixture
def gated(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path, f'{godot_ai_config(2, 2)}gate = "reject"\n')
    yield home
    home.close()


def test_the_gate_is_one_for_each_editor(gated: Home, connect: Connect) -> None:
    clients = {name: connect(gated, NAME, "--project", gated.project(name)) for name in PROJECTS}
    for client in clients.values():
        client.begin()
        client.tool("session_manage", op="list")
    editors = Editors(gated)
    pids = {name: editors.open(name).pid for name in PROJECTS}
    with Line(gated) as other:
        other.ask("call.begin", {"server": NAME, "call": 1, "tool": "scene_save", "editor_pid": pids["one"]})
        refused = clients["one"].tool("editor_state")
        assert code_of(refused) == "EDITOR_BUSY"
        assert "runs scene_save" in refused["structuredContent"]["error"]["message"]
        assert editor_of(clients["two"].tool("editor_state")) == "two"
        other.ask("call.end", {"call": 1})
        assert editor_of(clients["one"].tool("editor_state")) == "one"
        editor = other.ask("editor.attach", {"pid": pids["two"], "project": gated.project("two"), "engine": "godot"})
        other.ask("editor.state", {"editor": editor["id"], "state": "busy", "reason": "compiling"})
        assert code_of(clients["two"].tool("editor_state")) == "EDITOR_BUSY"
        assert editor_of(clients["one"].tool("editor_state")) == "one"
        other.ask("editor.state", {"editor": editor["id"], "state": "ready"})
        assert editor_of(clients["two"].tool("editor_state")) == "two"
        status = other.ask("status")
        assert [Path(row["project"]).name for row in status["clients"]] == list(PROJECTS)
        assert [row["id"] for row in status["editors"]] == [editor["id"]]
        other.ask("call.begin", {"server": NAME, "call": 2, "tool": "scene_save"})
    # The connection has ended, and its call with it.
    eventually(lambda: not clients["one"].tool("editor_state")["isError"], "the editor is free")
