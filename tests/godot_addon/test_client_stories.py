"""An AI client and a real editor, through the real godot-ai. A stand-in plays the plugin that godot-ai has (docs)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeHome, godot_ai_config
from tests.e2e.home import Home, eventually, free_ports, lives
from tests.godot_addon import addon_projects, editing
from tests.lab.godot import Editor
from tests.mcp.bridge_client import BridgeClient
from tests.mcp.conftest import Connect
from tests.mcp.steps import code_of

pytestmark = [
    pytest.mark.needs_godot,
    pytest.mark.needs_index,
    pytest.mark.linux_only,
    pytest.mark.timeout(300),
]

NAME = "godot-ai"
VERSION = "3.2.5"
"""That of the stand-in in `scripts/godot_ai`."""
GRACE_S = 1.0
LINGER_S = 2.0


class Stage:
    """A home, a project with the stand-in, and what the stand-in needs to know."""

    def __init__(self, home: Home, folder: Path, http: int, ws: int) -> None:
        self.home = home
        self.project = addon_projects.make(folder, "godot_ai")
        home.start()
        server = home.up(NAME, "--project", str(self.project))
        assert (server["version"], server["ports"]) == (VERSION, {"http": http, "ws": ws})
        assert home.cli("down", NAME).returncode == 0
        self.variables = {
            "STAND_IN_PYTHON": server["connect"][0],
            "STAND_IN_HTTP": str(http),
            "STAND_IN_WS": str(ws),
        }


@pytest.fixture
def stage(make_home: MakeHome, tmp_path: Path) -> Stage:
    ports = free_ports(8)
    home = make_home(godot_ai_config(GRACE_S, LINGER_S, f"{ports[0]}-{ports[3]}", f"{ports[4]}-{ports[7]}"))
    return Stage(home, tmp_path / "project", ports[0], ports[4])


def check_reached(client: BridgeClient, editor: Editor) -> None:
    """Call a tool, and see that this editor has executed it."""
    editor.line("STAND-IN has a session")
    result = client.tool("editor_state")
    assert not result["isError"], result
    assert result["structuredContent"]["pid"] == editor.pid


def check_closed(client: BridgeClient, stage: Stage) -> None:
    """Call a tool, and see that the answer names the project whose editor is closed."""
    result = client.tool("editor_state")
    assert code_of(result) == "EDITOR_CLOSED"
    error: Mapping[str, Any] = result["structuredContent"]["error"]
    assert str(stage.project) in error["message"] + error["hint"]


def test_client_reaches_its_editor_before_and_after_a_crash(stage: Stage, connect: Connect) -> None:
    """At first the plugin's server is used by the daemon, then the daemon's server by the plugin."""
    home = stage.home
    with editing.editing(stage.project, home, **stage.variables) as editor:
        started = int(editor.line("STAND-IN has started its server,"))
        text = editing.said_ready(editor, NAME)
        assert editing.is_told_url(text), text
        assert text.endswith("started by another program, which may end it.")
        server = editing.server_of(home, editor)
        assert (server["origin"], server["version"], server["process"]["pid"]) == ("adopted", VERSION, started)
        client = connect(home, NAME, "--project", str(stage.project))
        client.begin()
        check_reached(client, editor)
        editor.kill()
        assert editor.complaints() == []
    check_closed(client, stage)
    assert home.cli("restart", NAME).returncode == 0
    check_closed(client, stage)
    restarted = home.server(NAME)
    assert restarted is not None
    with editing.editing(stage.project, home, **stage.variables) as editor:
        editor.line("STAND-IN uses the server that runs")
        assert editing.said_ready(editor, NAME).endswith("started by godot-supervisor.")
        check_reached(client, editor)
        assert editing.server_of(home, editor)["process"] == restarted["process"]
        assert editor.quit() == 0
        assert editor.complaints() == []
    check_closed(client, stage)
    assert lives(restarted["process"]["pid"])
    assert client.close() == 0


def test_server_of_a_plugin_ends_with_its_editor(stage: Stage) -> None:
    """The editor is killed. The plugin has not told the server its owner; the daemon has seen who has started it."""
    home = stage.home
    with editing.editing(stage.project, home, **stage.variables) as editor:
        editing.said_ready(editor, NAME)
        server = editing.server_of(home, editor)
        assert server["origin"] == "adopted"
        editor.do("save")
        # The setting that is at its default is shown in the project's settings, and not written.
        assert "[godot_supervisor]" not in (stage.project / "project.godot").read_text(encoding="utf-8")
        stops = len(home.events("server.stopped"))
        editor.kill()
        assert editor.complaints() == []
    home.event("server.reaped", server=NAME)
    eventually(lambda: len(home.events("server.stopped")) > stops, "the server is stopped")
    assert not lives(server["process"]["pid"])
