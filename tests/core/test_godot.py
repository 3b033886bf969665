"""Godot editors are recognised by their command lines."""

import pytest

from supervisor.core.processes.godot import is_editor

EDITORS = [
    ("godot", "--editor"),
    ("/opt/Godot_v4.3-stable_linux.x86_64", "-e", "--path", "/p"),
    ("Godot_v4.2.2-stable_win64.exe", "--editor"),
    ("C:\\g\\Godot_v4.3-stable_mono_win64_console.exe", "-e"),
    ("/Applications/Godot.app/Contents/MacOS/Godot", "--path", "x", "-e"),
    ("godot4", "-e"),
    ("godot",),
    ("godot.linuxbsd.editor.x86_64", "-e"),
    ("godot.windows.editor.double.x86_64.exe", "--editor"),
    ("MyEditor", "--path", "/p", "-e"),
    ("godot-mono", "-e"),
    ("godot", "--path", "p", "--editor", "--", "x"),
    ("Godot_v4.5-beta3_linux.x86_64", "-e"),
    ("godot-4.3", "-p"),
    ("org.godotengine.Godot", "-e"),
]
OTHERS = [
    (),
    ("godot-ai", "--editor"),
    ("godot-supervisor", "-e"),
    ("godot-mcp",),
    ("godot", "--path", "p"),
    ("godot", "--headless", "--script", "x"),
    ("godot_ai",),
    ("python", "-m", "godot_ai", "-e"),
    ("grep", "-e", "godot"),
    ("game.x86_64", "--path", "x"),
    ("godot", "--path", "p", "--", "-e"),
    ("sed", "-e", "x"),
]


@pytest.mark.parametrize("command", EDITORS, ids=" ".join)
def test_a_godot_editor_is_recognised_by_its_command_line(command: tuple[str, ...]) -> None:
    assert is_editor(command)


@pytest.mark.parametrize("command", OTHERS, ids=" ".join)
def test_a_game_or_a_server_is_no_editor(command: tuple[str, ...]) -> None:
    assert not is_editor(command)
