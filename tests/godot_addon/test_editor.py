"""Stories with a real editor, the real daemon, and our addon in a project. No editor prints an error or a warning."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from supervisor.godot_addon import addon_files
from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home, eventually
from tests.godot_addon import addon_projects
from tests.godot_addon.editing import ALLOWED, editing, reach_daemon
from tests.godot_addon.scripted_peer import PeerConnection, ScriptedPeer
from tests.lab import godot

pytestmark = [pytest.mark.needs_godot, pytest.mark.linux_only, pytest.mark.timeout(300)]

ADDON = "res://addons/godot_supervisor/"
SCRIPTS = [f"{ADDON}{name}" for name in addon_files.packaged("1") if name.endswith(".gd")]
REPORT_S = 5.0
"""How long an editor waits until it says that there is no daemon."""


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    return make_home("")


def attached(home: Home) -> dict[str, Any] | None:
    """Return the one editor that the daemon knows."""
    rows = home.call("status")["editors"]
    assert len(rows) <= 1
    return rows[0] if rows else None


def in_state(home: Home, state: str, busy: str | None = None) -> dict[str, Any] | None:
    row = attached(home)
    return row if row is not None and (row["state"], row["busy"]) == (state, busy) else None


def add_members(project: Path) -> None:
    """Change the scripts on disk as a later release may: with members, used in each frame, which earlier ones lack."""
    completed = "\t\t_compiled = COMPILED\n"
    changed = 0
    for path in SCRIPTS:
        script = project / path.removeprefix("res://")
        text = script.read_text(encoding="utf-8")
        if completed in text:
            used = '\t_added["b"] = _added["a"] + _more.size() + int(_other.is_empty())\n'
            script.write_text(
                text.replace(completed, completed + used)
                + '\n\nvar _added: Dictionary = {"a": 1}\nvar _more: Array[String] = ["x"]\n'
                "var _other: PackedStringArray = []\n",
                encoding="utf-8",
            )
            changed += 1
    assert changed >= 3


def test_editor_is_attached_and_ready_until_it_closes(home: Home, tmp_path: Path) -> None:
    """The editor starts the daemon. Later its scripts are reloaded, the daemon is killed, and the editor stalls."""
    home.start()
    home.cli("stop")
    project = addon_projects.make(tmp_path / "project")
    shutil.copy(godot.LAB / "icon.svg", project)
    with editing(project, home) as editor:
        editor.line("LAB ready")
        eventually(home.daemon_pid, "the editor starts the daemon")
        row = eventually(lambda: attached(home), "the editor attaches", 5.0)
        assert (row["pid"], row["project"], row["name"]) == (editor.pid, str(project), "Laboratory")
        assert (row["engine"], row["engine_version"][:4]) == ("godot", "4.6.")
        editor.line("LAB idle")
        eventually(lambda: in_state(home, "ready"), "the editor is ready")

        add_members(project)
        editor.do("reload", *SCRIPTS)
        home.kill_daemon()
        home.start()
        reach_daemon(editor, home)
        editor.do("stall", "6000")
        assert editor.quit() == 0
        assert home.events("editor.detached"), home.note()
        eventually(lambda: attached(home) is None, "the daemon sees the editor's end")
        assert editor.complaints() == []


def test_busy_editor_says_what_it_does(home: Home, tmp_path: Path) -> None:
    """With a window: an import, and a game."""
    home.start()
    project = addon_projects.make(tmp_path / "project")
    (project / "main.tscn").write_text('[gd_scene format=3]\n\n[node name="Main" type="Node"]\n', encoding="utf-8")
    shutil.copy(godot.LAB / "icon.svg", project)
    with editing(project, home, window=True) as editor:
        editor.line("LAB idle")
        eventually(lambda: in_state(home, "ready"), "the editor is ready")
        editor.do("reimport", "res://icon.svg")
        home.event("editor.state", state="busy", reason="importing")
        eventually(lambda: in_state(home, "ready"), "the import has ended")
        editor.do("play", "res://main.tscn")
        eventually(lambda: in_state(home, "busy", "playing"), "the game plays")
        editor.do("stop")
        eventually(lambda: in_state(home, "ready"), "the game has ended")
        assert editor.quit() == 0
        eventually(lambda: attached(home) is None, "the daemon sees the editor's end")
        assert editor.complaints() == []


def test_editor_without_a_daemon_says_so_once(home: Home, tmp_path: Path) -> None:
    project = addon_projects.make(tmp_path / "project")
    with editing(project, home) as editor:
        editor.line("LAB idle")
        said = editor.line("Godot Supervisor:", REPORT_S + 30)
        assert said == (
            "godot-supervisor is not installed, or has never run. To mend it: "
            "install it: pipx install godot-supervisor, and then: godot-supervisor start"
        )
        editor.do("stall", str(int(REPORT_S * 1000)))
        assert editor.do("frames")["frames"] > 0
        home.start()
        editor.line("Godot Supervisor: connected.")
        assert eventually(lambda: attached(home), "it attaches")["pid"] == editor.pid
        assert editor.quit() == 0
        assert [line for line in editor.output if line.startswith("Godot Supervisor:")] == [
            f"Godot Supervisor: {said}",
            "Godot Supervisor: connected.",
        ]
        assert editor.complaints() == []


@pytest.mark.parametrize(
    ("options", "variables"),
    [(("--import",), ALLOWED), (("--quit-after", "30"), {})],
    ids=["an import", "a headless editor"],
)
def test_run_without_a_person_is_left_alone(
    home: Home, tmp_path: Path, options: tuple[str, ...], variables: dict[str, str]
) -> None:
    home.start()
    project = addon_projects.make(tmp_path / "project")
    more = {"GODOT_SUPERVISOR_HOME": str(home.folders.home), **variables}
    with godot.running(project, tmp_path / "user", *options, **more) as editor:
        assert editor.wait() == 0
        assert "LAB ready" in editor.output
        assert editor.complaints() == []
    assert home.events("editor.attached") == []


def test_addon_is_installed_under_an_open_editor(home: Home, tmp_path: Path) -> None:
    """The command names the editor, and switching the plugin on there, as it says, is all that is needed."""
    home.start()
    project = godot.make_project(tmp_path / "project")
    with editing(project, home) as editor:
        editor.line("LAB idle")
        done = home.cli("addon", "install", str(project), "--json")
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["editors"] == [editor.pid]
        assert "Switch Godot Supervisor on there" in said["notes"][0]
        editor.do("scan")
        editor.do("enable", ADDON + "plugin.cfg")
        assert eventually(lambda: attached(home), "it attaches")["pid"] == editor.pid
        assert editor.quit() == 0
        assert editor.complaints() == []
    status = json.loads(home.cli("addon", "status", str(project), "--json").stdout)
    assert (status["state"], status["enabled"], status["editors"]) == ("current", True, [])
    removed = home.cli("addon", "remove", str(project))
    assert removed.returncode == 0, removed.stderr
    assert sorted(path.name for path in (project / "addons").iterdir()) == ["lab"]


def owner_is_leaving(toy: Home) -> list[bool]:
    server = toy.server("e2e-toy")
    assert server is not None
    return [owner["leaving"] for owner in server["owners"]]


def test_another_plugin_gets_a_server_in_a_few_lines(make_home: MakeHome, tmp_path: Path) -> None:
    """The server stays the same when our plugin is switched off and on."""
    toy = make_home(toy_config(linger=60))
    toy.start()
    project = addon_projects.make(tmp_path / "project", "neighbour")
    with editing(project, toy) as editor:
        url = editor.line("The server listens at ")
        server = toy.server("e2e-toy")
        assert server is not None
        assert (server["state"], server["url"]) == ("ready", url)
        assert [owner["pid"] for owner in server["owners"]] == [editor.pid]
        editor.line("LAB idle")
        editor.do("disable", ADDON + "plugin.cfg")
        assert owner_is_leaving(toy) == [True]
        editor.do("enable", ADDON + "plugin.cfg")
        eventually(lambda: owner_is_leaving(toy) == [False], "the editor attaches again")
        same = toy.server("e2e-toy")
        assert same is not None
        assert same["process"] == server["process"]
        editor.kill()
        eventually(lambda: attached(toy) is None, "the daemon sees the editor's end")
        assert editor.complaints() == []
    eventually(lambda: toy.server("e2e-toy") is None, "the server ends with its editor")


def requests_of_plugin(peer: ScriptedPeer) -> list[Any]:
    """Return the requests for the editor itself, without those of the dock."""
    return [frame for frame in peer.received if frame["method"].startswith("editor.")]


def refuses_an_editor_once(connection: PeerConnection) -> None:
    """Play a daemon that is busy, then forgets the editor, and then knows it."""
    connection.welcome()
    data = {"code": "BUSY", "hint": "wait", "retryable": True}
    for method in ("editor.attach", "editor.attach", "editor.state", "editor.attach"):
        frame = connection.receive()
        while not frame["method"].startswith("editor."):
            connection.send({"id": frame["id"], "result": {}})
            frame = connection.receive()
        assert frame["method"] == method
        count = len(requests_of_plugin(connection.peer))
        if count in (1, 3):
            error = {"code": -32000, "message": f"refused: {method}", "data": data}
            connection.send({"id": frame["id"], "error": error})
        else:
            connection.send(
                {"id": frame["id"], "result": {"id": "editor-1", "state": "busy" if count == 2 else "ready"}}
            )
    connection.wait_for_end()


def test_editor_that_was_refused_attaches_again(tmp_path: Path) -> None:
    project = addon_projects.make(tmp_path / "project")
    with ScriptedPeer(tmp_path / "daemon", refuses_an_editor_once) as peer:
        variables = {"GODOT_SUPERVISOR_HOME": str(peer.home), **ALLOWED}
        with godot.running(project, tmp_path / "user", **variables) as editor:
            editor.line("Godot Supervisor: refused: editor.attach.")
            editor.line("Godot Supervisor: connected.")
            eventually(lambda: len(requests_of_plugin(peer)) >= 4, "the editor attaches a third time")
            editor.kill()
            assert len([line for line in editor.output if line.startswith("Godot Supervisor:")]) == 2
            assert editor.complaints() == []
