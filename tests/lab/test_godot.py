"""The editor of the laboratory runs, and its complaints are noticed."""

from pathlib import Path

import pytest

from tests.lab import godot

pytestmark = [pytest.mark.needs_godot, pytest.mark.linux_only, pytest.mark.timeout(300)]


def make_addon(project: Path, name: str, body: str) -> None:
    addon = project / "addons" / name
    addon.mkdir()
    settings = (godot.LAB / "lab_addon" / "plugin.cfg").read_text(encoding="utf-8")
    (addon / "plugin.cfg").write_text(settings, encoding="utf-8")
    script = f"@tool\nextends EditorPlugin\n\nfunc _enter_tree() -> void:\n\t{body}\n"
    (addon / "plugin.gd").write_text(script, encoding="utf-8")


def test_complaints_of_a_headless_editor_are_noticed(tmp_path: Path) -> None:
    project = godot.make_project(tmp_path / "project", "res://addons/loud/plugin.cfg", "res://addons/bad/plugin.cfg")
    make_addon(project, "loud", 'push_warning("a warning")\n\tpush_error("an error")')
    make_addon(project, "bad", "var unused: int = 1")
    with godot.running(project, tmp_path / "home") as editor:
        editor.line("LAB idle")
        assert editor.quit() == 0
        said = "\n".join(editor.complaints())
        expected = ["WARNING: a warning", "ERROR: an error", 'The local variable "unused"']
        assert [text for text in expected if text not in said] == []
