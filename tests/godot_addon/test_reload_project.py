"""A project is reloaded in a real editor: another process opens it, and has the same server."""

from pathlib import Path

import pytest

from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import eventually, lives
from tests.godot_addon import editing
from tests.lab.godot import SETTLED_FRAMES

pytestmark = [pytest.mark.needs_godot, pytest.mark.linux_only, pytest.mark.timeout(300)]

NAME = "e2e-toy"
GRACE_S = 0.5
"""Shorter than any editor takes to load a project."""


def test_reloaded_project_keeps_its_server(make_home: MakeHome, tmp_path: Path) -> None:
    home = make_home(toy_config(grace=GRACE_S, linger=15))
    home.start()
    project = editing.make_project(tmp_path / "project", NAME)
    with editing.editing(project, home, window=True) as editor:
        editing.said_ready(editor, NAME)
        editor.line("LAB idle")
        editing.owned_by(home, NAME, editor)
        before, server = editor.pid, editing.server_of(home, editor)["process"]["pid"]

        editor.reload_project()
        assert not lives(before)
        editing.owned_by(home, NAME, editor)
        assert editing.server_of(home, editor)["process"]["pid"] == server
        detached, attached = home.events("editor.detached")[-1], home.events("editor.attached")[-1]
        # A fork of the editor looks like an editor too, until it runs its own program.
        assert (NAME, editor.pid) in {(row["server"], row["pid"]) for row in home.events("server.awaits_editor")}
        assert attached["mono"] - detached["mono"] > 2 * GRACE_S

        editor.frames(SETTLED_FRAMES)
        editor.quit()
        eventually(lambda: not lives(server), "the server ends with the editor")
        assert editor.complaints() == [], editor.text()
    assert len(home.events("server.spawned")) == 1, home.note()
