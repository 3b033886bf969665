"""Stories with a real editor and the real godot-ai: the server lives as long as its editors. No editor complains."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import supervisor
from tests.e2e.conftest import MakeHome, godot_ai_config
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


def test_server_stays_the_same_while_its_editor_is_open(home: Home, tmp_path: Path) -> None:
    """The plugin is switched off and on; the daemon is killed, started again, and upgraded; the editor is closed."""
    project = editing.make_project(tmp_path / "project", NAME)
    with editing.editing(project, home) as editor:
        first_frame = editor.time_of("LAB ready")
        text = editing.said_ready(editor, NAME)
        taken_s = editor.time_of(f"{editing.SAYS}{NAME}") - first_frame
        assert editing.is_told_url(text), text
        assert text.startswith(VERSION)
        assert text.endswith("started by godot-supervisor.")
        server = editing.server_of(home, editor)
        pid = server["process"]["pid"]
        assert (server["state"], server["version"], server["url"]) == ("ready", VERSION, text.split()[4].rstrip(","))
        assert taken_s < READY_S, f"ready {taken_s:.1f} s after the first frame"

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

        began = time.monotonic()
        assert editor.quit() == 0
        eventually(lambda: not lives(pid), "the server ends after its editor")
        assert time.monotonic() - began >= LINGER_S
        assert editor.complaints() == []
    assert len(home.events("server.spawned")) == 1, home.note()
