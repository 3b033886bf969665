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
    # A file manager opens a project by its file.
    ("godot", "/p/project.godot"),
    ("C:\\g\\Godot_v4.4-stable_win64.exe", "C:\\p\\project.godot"),
    ("Godot_v4.6-dev2_linux.x86_64", "--verbose", "project.godot"),
    ("studio-build", "/p/project.godot"),
    ("studio-build", "--path", "/p", "--recovery-mode", "--editor"),
    ("studio-build", "--project-manager"),
    # Options that only an editor takes, or that make one.
    ("godot", "--path", "/p", "--recovery-mode"),
    ("godot", "--path", "/p", "--build-solutions"),
    ("godot", "--headless", "--path", "/p", "--import"),
    ("godot", "--headless", "--path", "/p", "--export-release", "Web", "x.html"),
    ("godot", "--path", "/p", "--lsp-port", "6005"),
    ("godot", "--project-manager"),
    # Neither an editor nor a game is named: it depends on the current folder, so it is left alone.
    ("godot", "--verbose"),
    ("godot", "--rendering-driver", "opengl3"),
    ("/Applications/Godot.app/Contents/MacOS/Godot", "-psn_0_12345"),
    # Forks, and launchers in front of the program.
    ("redot", "-e"),
    ("Blazium_v0.4.2_linux.x86_64", "/p/project.godot"),
    ("Godot_v4.4-stable_linux.x86_64.AppImage", "-e"),
    ("/bin/sh", "/usr/bin/godot", "/p/project.godot"),
    ("flatpak", "run", "org.godotengine.Godot", "-e"),
    ("bwrap", "--args", "41", "--", "godot", "/p/project.godot"),
    ("wine", "Godot_v4.4-stable_win64.exe", "--project-manager"),
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
    ("godot", "-d", "--path", "/p"),
    ("godot", "--path", "/p", "scene.tscn"),
    ("godot", "res://main.tscn"),
    ("godot", "--remote-debug", "tcp://127.0.0.1:6007", "--editor-pid", "77", "--path", "/p"),
    ("godot", "--path", "/p", "--", "project.godot"),
    ("python3", "server.py", "--project", "/p/project.godot"),
    ("uvx", "godot-mcp", "--project", "/p/project.godot"),
    ("sh", "-c", "godot-mcp -e --path p"),
    ("sh", "run.sh", "--godot-path", "/usr/bin/godot4-tools-for-mcp"),
]


@pytest.mark.parametrize("command", EDITORS, ids=" ".join)
def test_a_godot_editor_is_recognised_by_its_command_line(command: tuple[str, ...]) -> None:
    assert is_editor(command)


@pytest.mark.parametrize("command", OTHERS, ids=" ".join)
def test_a_game_or_a_server_is_no_editor(command: tuple[str, ...]) -> None:
    assert not is_editor(command)
