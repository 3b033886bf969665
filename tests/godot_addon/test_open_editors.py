"""Editors that have a project open are found by their command lines and folders."""

from pathlib import Path

import pytest

from supervisor.godot_addon.open_editors import editors_of
from tests.fakes import FakeSystem, fake_platform

GODOT = "/opt/Godot_v4.6.3-stable_linux.x86_64"
FOLDER = "the folder of the project"
"""Stands for its path."""


@pytest.mark.parametrize(
    ("command", "working_folder", "is_found"),
    [
        ((GODOT, "--path", FOLDER, "--editor"), None, True),
        ((GODOT, "--path", FOLDER, "-e"), "/", True),
        ((GODOT, f"{FOLDER}/project.godot"), None, True),
        ((GODOT, "-e"), FOLDER, True),
        ((GODOT, "-e", "--path", "."), FOLDER, True),
        ((GODOT, "-e", "--path", "."), None, False),
        ((GODOT, "-e", "--path", "/elsewhere"), "/elsewhere", False),
        ((GODOT, "-e", "--", "--path", FOLDER), "/elsewhere", False),
        ((GODOT, "--path", FOLDER, "--scene", "res://main.tscn"), FOLDER, False),
        (("/usr/bin/less", f"{FOLDER}/notes.txt"), FOLDER, False),
    ],
)
def test_editor_of_a_project_is_found(
    tmp_path: Path, command: tuple[str, ...], working_folder: str | None, *, is_found: bool
) -> None:
    def named(text: str | None) -> str | None:
        return None if text is None else text.replace(FOLDER, str(tmp_path))

    system = FakeSystem()
    process = system.start(*(str(named(word)) for word in command))
    found = editors_of(tmp_path, fake_platform(system), lambda _: named(working_folder))
    assert found == ((process.pid,) if is_found else ())
