"""Stories with a real editor and the real godot-ai: the server lives as long as its editors. No editor complains."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import supervisor
from tests.e2e.conftest import MakeHome, godot_ai_config, toy_config
from tests.e2e.home import Home, eventually, free_ports, lives
from tests.godot_addon import editing
from tests.lab.godot import Editor

pytestmark = [
    pytest.mark.needs_godot,
    pytest.mark.needs_index,
    pytest.mark.linux_only,
    pytest.mark.timeout(300),
]

NAME = "godot-ai"
VERSION = "3.2.5"
"""The newest one for an editor of 4.6."""
READY_S = 5.0
START_S = 8.0
"""More than an editor takes until its first frame, on a machine without other work."""
GRACE_S = 1.0
LINGER_S = 3.0
PLUGIN = "res://addons/godot_supervisor/plugin.cfg"


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    ports = free_ports(8)
    ranges = f"{ports[0]}-{ports[3]}", f"{ports[4]}-{ports[7]}"
    made = make_home(godot_ai_config(GRACE_S, LINGER_S, *ranges))
    made.start()
    return made


def pid_of(home: Home) -> int:
    server = home.server(NAME)
    assert server is not None, home.note()
    return int(server["process"]["pid"])


def make_upgrade(folder: Path) -> Path:
    """Make an environment with a later release of this program, and return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    source = Path(supervisor.__file__).parent
    shutil.copytree(source, packages / "supervisor")
    shutil.copytree(source.parent / "service_units", packages / "supervisor" / "service" / "units")
    (packages / "others.pth").write_text(f"{Path(pytest.__file__).parent.parent}\n")
    about = packages / "godot_supervisor-99.0.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: godot-supervisor\nVersion: 99.0.0\n")
    return folder / "bin" / "python"


def upgrade_daemon(home: Home, folder: Path) -> None:
    words = [make_upgrade(folder), "-P", "-m", "supervisor", "restart", "--daemon"]
    done = subprocess.run(
        words, env=home.environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert home.call("status")["daemon"]["version"] == "99.0.0"


def choose_kinds(editor: Editor, home: Home) -> None:
    """Name a kind that does not exist, none, and the right one again, in the project's settings."""
    editor.do("set", editing.KIND, "godotai")
    message = editor.line(f"{editing.SAYS}no godotai server: ")
    assert "To mend it: " in message
    eventually(lambda: not editing.owners(home, NAME), "the editor has left the server of the kind before")
    editor.do("set", editing.KIND, "none")
    editor.do("set", editing.KIND, NAME)
    editing.owned_by(home, NAME, editor)
    assert len([text for text in editing.said(editor) if text.startswith("no ")]) == 1


def stay_stopped(editor: Editor, home: Home) -> None:
    """Stop the server as a user does: the next daemon does not start it either, until the plugin is switched on."""
    assert home.cli("down", NAME).returncode == 0
    home.kill_daemon()
    home.start()
    editing.reach_daemon(editor, home)
    # Its answers come in the order of its requests, so the plugin has looked for its server by now.
    assert home.server(NAME) is None
    editor.do("disable", PLUGIN)
    editor.do("enable", PLUGIN)
    editing.owned_by(home, NAME, editor)
    eventually(lambda: home.server_in(NAME, "ready"), "the server is ready")


def test_server_stays_the_same_while_its_editor_is_open(home: Home, tmp_path: Path) -> None:
    """The plugin is switched off and on; the daemon is killed, started again, and upgraded; the editor is closed."""
    project = editing.make_project(tmp_path / "project", NAME)
    began = time.monotonic()
    with editing.editing(project, home) as editor:
        first_frame = editor.time_of("LAB ready")
        text = editing.said_ready(editor, NAME)
        taken_s = editor.time_of(f"{editing.SAYS}{NAME}") - first_frame
        # A machine with other work is slow for the editor as well.
        slowness = max(1.0, (first_frame - began) / START_S)
        assert editing.is_told_url(text), text
        assert text.startswith(VERSION)
        assert text.endswith("started by godot-supervisor.")
        server = editing.server_of(home, editor)
        pid = server["process"]["pid"]
        assert (server["state"], server["version"], server["url"]) == ("ready", VERSION, text.split()[4].rstrip(","))
        assert taken_s < READY_S * slowness, f"ready {taken_s:.1f} s after the first frame"

        editor.line("LAB idle")
        editor.do("disable", PLUGIN)
        assert editing.owners(home, NAME) == set()
        editor.do("enable", PLUGIN)
        editing.owned_by(home, NAME, editor)

        home.kill_daemon()
        home.start()
        editing.reach_daemon(editor, home)
        editing.owned_by(home, NAME, editor)
        assert pid_of(home) == pid

        upgrade_daemon(home, tmp_path / "later")
        editing.reach_daemon(editor, home)
        editing.owned_by(home, NAME, editor)
        assert pid_of(home) == pid
        choose_kinds(editor, home)
        assert pid_of(home) == pid
        assert len(home.events("server.spawned")) == 1, home.note()

        stay_stopped(editor, home)
        pid = pid_of(home)
        assert editor.quit() == 0
        eventually(lambda: not lives(pid), "the server ends after its editor")
        assert editor.complaints() == []
    detached = home.events("editor.detached")[-1]
    (reaped,) = home.events("server.reaped")
    assert reaped["mono"] - detached["mono"] >= GRACE_S


def test_editors_share_a_server_until_the_last_one_dies(home: Home, tmp_path: Path) -> None:
    """Two editors have one project open, and one another; each ends in another way."""
    projects = [editing.make_project(tmp_path / name, NAME) for name in ("one", "two")]
    with (
        editing.editing(projects[0], home) as first,
        editing.editing(projects[1], home) as second,
        editing.editing(projects[0], home, commands="second") as third,
    ):
        for editor in (first, second, third):
            editing.said_ready(editor, NAME)
        editing.owned_by(home, NAME, first, second, third)
        pid = pid_of(home)
        rows = home.call("status")["editors"]
        assert sorted(Path(row["project"]).name for row in rows) == ["one", "one", "two"]
        assert all(row["servers"] == [NAME] for row in rows)
        first.process.terminate()
        assert first.wait() == -signal.SIGTERM
        editing.owned_by(home, NAME, second, third)
        assert third.quit() == 0
        editing.owned_by(home, NAME, second)
        assert pid_of(home) == pid
        assert home.events("server.suspected") == []
        second.kill()
        home.judged_twice(NAME, GRACE_S)
        assert not lives(pid)
        for editor in (first, second, third):
            (text,) = editing.said(editor)
            assert text.startswith(f"{NAME} {VERSION} is ready at ")
            assert editor.complaints() == []
    assert len(home.events("server.spawned")) == 1, home.note()


def test_each_editor_has_its_own_server(make_home: MakeHome, tmp_path: Path) -> None:
    """The kind has one server for each project; one editor is terminated, the other killed."""
    toy = make_home(toy_config(topology="per-editor", grace=GRACE_S))
    toy.start()
    projects = [editing.make_project(tmp_path / name, "e2e-toy") for name in ("one", "two")]
    with editing.editing(projects[0], toy) as first, editing.editing(projects[1], toy) as second:
        for editor in (first, second):
            editing.said_ready(editor, "e2e-toy")
        servers = [editing.server_of(toy, editor) for editor in (first, second)]
        assert [server["id"] for server in servers] == ["e2e-toy@one", "e2e-toy@two"]
        assert [server["project"] for server in servers] == [str(project) for project in projects]
        first.process.terminate()
        assert first.wait() == -signal.SIGTERM
        toy.judged_twice("e2e-toy@one", GRACE_S)
        assert editing.server_of(toy, second)["process"] == servers[1]["process"]
        second.kill()
        toy.judged_twice("e2e-toy@two", GRACE_S)
        assert not any(lives(server["process"]["pid"]) for server in servers)
        assert first.complaints() + second.complaints() == []
