"""`addon`: the addon in a project, in a home of its own."""

from pathlib import Path
from typing import Any

import pytest

from supervisor.cli.daemon_commands import addon
from supervisor.daemon.version import installed
from tests.cli.conftest import Outcome, Run
from tests.protocol import check_document

PROJECT = "config_version=5\n"
FIELDS = {"project", "state", "version", "available", "enabled", "changed", "editors"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "project.godot").write_text(PROJECT, encoding="utf-8", newline="")
    monkeypatch.chdir(tmp_path)
    return folder


@pytest.fixture
def editors(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list of the editors that have the project open. It is empty."""
    found: list[int] = []
    monkeypatch.setattr(addon, "editors_of", lambda *_: tuple(found))
    return found


def document(outcome: Outcome, command: str) -> Any:
    assert outcome.code == 0, outcome.err
    check_document(f"addon {command}", outcome.document)
    return outcome.document


def test_addon_is_installed_shown_updated_and_removed(run: Run, project: Path, editors: list[int]) -> None:
    assert editors == []
    where = str(project)
    assert run("addon", "status", where).out.splitlines()[1:] == ["addon    not installed", "plugin   not enabled"]
    first = run("addon", "install", where).out.replace("~", str(Path.home())).splitlines()
    assert first[0] == f"version {installed()} written to {project / 'addons' / 'godot_supervisor'}"
    assert first[1] == f"plugin enabled in {project / 'project.godot'}"
    assert first[2].startswith("  backup: ")
    assert run("addon", "install", where).out.startswith("nothing to do: ")
    assert run("addon", "status", where).out.splitlines()[1:] == [
        f"addon    {installed()}, up to date",
        "plugin   enabled",
    ]
    assert run("addon", "update", where).out.startswith("nothing to do: ")
    removed = run("addon", "remove", where).out.replace("~", str(Path.home())).splitlines()
    assert removed[1] == f"plugin disabled in {project / 'project.godot'}"
    again = run("addon", "remove", where).out.replace("~", str(Path.home()))
    assert again == f"nothing to do: {project} does not have the addon\n"
    assert (project / "project.godot").read_bytes() == PROJECT.encode()


def test_commands_print_documents(run: Run, project: Path, editors: list[int]) -> None:
    editors.append(4711)
    where = str(project)
    shown = document(run("addon", "install", where, "--json"), "install")
    assert shown.keys() == FIELDS | {"written", "removed", "backups", "project_changed", "notes"}
    assert (shown["state"], shown["editors"], shown["project_changed"]) == ("current", [4711], True)
    assert document(run("addon", "status", where, "--json"), "status").keys() == FIELDS
    assert document(run("addon", "update", where, "--json"), "update")["written"] == []
    assert "plugin.gd" in document(run("addon", "remove", where, "--json"), "remove")["removed"]


def test_current_folder_is_the_default(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside = run("addon", "install")
    assert (outside.code, outside.out) == (2, "")
    assert "has no project.godot" in outside.err
    monkeypatch.chdir(project)
    assert run("addon", "install").code == 0
    assert (project / "addons" / "godot_supervisor" / "plugin.cfg").exists()


def test_folder_that_is_no_project_is_refused(run: Run, tmp_path: Path) -> None:
    outcome = run("addon", "install", str(tmp_path))
    assert outcome.code == 2
    assert "is no Godot project" in outcome.err
    assert not (tmp_path / "addons").exists()


def test_open_editor_is_named_with_what_works(run: Run, project: Path, editors: list[int]) -> None:
    editors.append(4711)
    said = run("addon", "install", str(project)).out
    assert "an editor has this project open (pid 4711)" in said
    assert "Switch Godot Supervisor on there: Project > Project Settings > Plugins" in said
    assert run("addon", "status", str(project)).out.splitlines()[-1] == "editor   pid 4711 has the project open"
    assert "Switch Godot Supervisor off there" in run("addon", "remove", str(project)).out


def test_changed_file_is_refused_and_force_keeps_a_backup(run: Run, project: Path, editors: list[int]) -> None:
    assert editors == []
    run("addon", "install", str(project))
    (project / "addons" / "godot_supervisor" / "plugin.gd").write_bytes(b"# mine\n")
    assert "         plugin.gd was changed" in run("addon", "status", str(project)).out.splitlines()
    refused = run("addon", "update", str(project))
    assert refused.code == 5
    assert "plugin.gd" in refused.err
    assert "hint: --force" in refused.err
    assert "  backup: " in run("addon", "update", "--force", str(project)).out


def test_plugin_that_is_switched_off_is_noted(run: Run, project: Path, editors: list[int]) -> None:
    assert editors == []
    run("addon", "install", str(project))
    (project / "project.godot").write_text(PROJECT, encoding="utf-8", newline="")
    (project / "addons" / "godot_supervisor" / "endpoint.gd").unlink()
    assert "the plugin is not enabled" in run("addon", "update", str(project)).out
