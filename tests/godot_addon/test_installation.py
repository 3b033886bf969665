"""The addon is written into projects, updated and removed, and nothing of the user's is lost."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.errors import ClientFileInvalid, ClientFileUnusable, InvalidParams, NotFound, NotOurs, VersionConflict
from supervisor.godot_addon import addon_files
from supervisor.godot_addon.addon_files import FOLDER, MANIFEST
from supervisor.godot_addon.installation import AddonState, Installation
from supervisor.mcp.ai_clients.backups import Backups
from tests.systems import POSIX_ONLY

PROJECT = b'; mine\r\nconfig_version=5\r\n\r\n[application]\r\n\r\nconfig/name="\xc3\xa4"\r\n'
Install = Callable[..., Installation]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "project.godot").write_bytes(PROJECT)
    return folder


@pytest.fixture
def release(tmp_path: Path, project: Path) -> Install:
    """Return a function that returns the installation as a release of this program sees it."""
    return lambda version="1.0.0": Installation(project, version, Backups(tmp_path / "home"))


def files(project: Path) -> dict[str, bytes]:
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in project.rglob("*") if path.is_file()}


def test_install_writes_and_enables_and_remove_restores_every_byte(project: Path, release: Install) -> None:
    change = release().install()
    assert set(change.written) == {*addon_files.packaged("1.0.0"), MANIFEST}
    assert b'version="1.0.0"' in files(project)[f"{FOLDER}/plugin.cfg"]
    assert files(project)["project.godot"].startswith(PROJECT)
    assert [path.read_bytes() for path in change.backups] == [PROJECT]
    status = release().status()
    assert (status.state, status.enabled, status.version) == (AddonState.CURRENT, True, "1.0.0")
    release().remove()
    assert files(project) == {"project.godot": PROJECT}
    assert not (project / "addons").exists()
    assert release().remove().is_empty


def test_second_install_writes_nothing(project: Path, release: Install) -> None:
    release().install()
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    assert release().install().is_empty
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before


def test_update_replaces_an_earlier_release(project: Path, release: Install) -> None:
    release().install()
    old = project / FOLDER / "old.gd"
    old.write_text("extends Node\n", encoding="utf-8")
    record(project, "old.gd")
    assert release("1.1.0").status().state is AddonState.OUTDATED
    change = release("1.1.0").update()
    assert set(change.written) == {"plugin.cfg", MANIFEST}
    assert (change.removed, change.project_changed) == (("old.gd",), False)
    assert release("1.1.0").status().state is AddonState.CURRENT
    assert not old.exists()


def record(project: Path, name: str) -> None:
    """Add a file to what the last installation has written."""
    manifest = project / FOLDER / MANIFEST
    found = json.loads(manifest.read_text(encoding="utf-8"))
    found["files"][name] = addon_files.digest((project / FOLDER / name).read_text(encoding="utf-8"))
    manifest.write_text(json.dumps(found), encoding="utf-8")


def test_update_removes_what_godot_wrote_beside_a_script_that_goes(project: Path, release: Install) -> None:
    release().install()
    for name in ("old.gd", "old.gd.uid"):
        (project / FOLDER / name).write_text("uid://x", encoding="utf-8")
    record(project, "old.gd")
    release("1.1.0").update()
    assert not (project / FOLDER / "old.gd.uid").exists()


def test_project_that_an_older_engine_has_saved_since_loses_the_addon(project: Path, release: Install) -> None:
    release().install()
    with (project / "project.godot").open("ab") as file:
        file.write(b'\n[application]\n\nconfig/features=PackedStringArray("4.2")\n')
    assert release().status().state is AddonState.CURRENT
    for action in (release().install, release().update):
        with pytest.raises(InvalidParams, match=r"Godot 4\.2"):
            action()
    assert release().remove().project_changed
    assert [*files(project)] == ["project.godot"]


def test_folder_of_other_addons_stays_though_it_is_empty(project: Path, release: Install) -> None:
    (project / "addons").mkdir()
    assert release().remove().is_empty
    assert (project / "addons").is_dir()


@pytest.mark.parametrize("action", ["install", "update", "remove"])
def test_force_replaces_a_file_that_is_no_text(project: Path, release: Install, action: str) -> None:
    release().install()
    mine = project / FOLDER / "plugin.gd"
    mine.write_bytes("# mine".encode("utf-16"))
    assert release().status().changed == ("plugin.gd",)
    change = getattr(release(), action)(force=True)
    assert "# mine".encode("utf-16") in [path.read_bytes() for path in change.backups]


@POSIX_ONLY
def test_update_of_a_read_only_file_changes_no_other(project: Path, release: Install) -> None:
    release().install()
    for name in ("connection.gd", "plugin.gd"):
        (project / FOLDER / name).write_bytes(b"# mine\n")
    (project / FOLDER / "plugin.gd").chmod(0o444)
    before = files(project)
    with pytest.raises(ClientFileUnusable, match="read-only"):
        release("1.1.0").update(force=True)
    assert files(project) == before


def test_update_leaves_a_plugin_switched_off(project: Path, release: Install) -> None:
    release().install()
    (project / "project.godot").write_bytes(PROJECT)
    release("1.1.0").update()
    assert not release("1.1.0").status().enabled
    assert release("1.1.0").install().project_changed


def test_update_without_the_addon_is_an_error(release: Install) -> None:
    with pytest.raises(NotFound):
        release().update()


@pytest.mark.parametrize("action", ["install", "update", "remove"])
def test_file_that_was_changed_by_hand_is_kept(project: Path, release: Install, action: str) -> None:
    release().install()
    mine = project / FOLDER / "plugin.gd"
    mine.write_bytes(b"# mine\n")
    assert release("1.1.0").status().changed == ("plugin.gd",)
    before = files(project)
    with pytest.raises(NotOurs, match=r"plugin\.gd"):
        getattr(release("1.1.0"), action)()
    assert files(project) == before
    change = getattr(release("1.1.0"), action)(force=True)
    assert b"# mine\n" in [path.read_bytes() for path in change.backups]
    assert release("1.1.0").status().state in {AddonState.CURRENT, AddonState.MISSING}


def test_line_ends_of_version_control_are_no_change_by_hand(project: Path, release: Install) -> None:
    release().install()
    for path in (project / FOLDER).iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert release().status().state is AddonState.CURRENT
    assert release().install().is_empty


def test_interrupted_installation_is_completed(project: Path, release: Install) -> None:
    release().install()
    (project / FOLDER / MANIFEST).unlink()
    (project / FOLDER / "endpoint.gd").unlink()
    assert release().status().state is AddonState.INCOMPLETE
    assert set(release().install().written) == {"endpoint.gd", MANIFEST}
    assert release().status().state is AddonState.CURRENT


def test_addon_of_a_later_release_is_kept(project: Path, release: Install) -> None:
    release("2.0.0").install()
    before = files(project)
    assert release().status().state is AddonState.NEWER
    for action in (release().install, release().update):
        with pytest.raises(VersionConflict, match=r"2\.0\.0"):
            action()
    assert files(project) == before
    release().install(force=True)
    assert release().status().version == "1.0.0"


def test_files_that_are_not_the_addons_stay(project: Path, release: Install) -> None:
    release().install()
    (project / FOLDER / "mine.gd").write_bytes(b"")
    (project / FOLDER / "plugin.gd.uid").write_bytes(b"uid://x")
    assert release().status().state is AddonState.CURRENT
    release().remove()
    assert files(project) == {"project.godot": PROJECT, f"{FOLDER}/mine.gd": b""}


@pytest.mark.parametrize(
    "names",
    [["../../project.godot"], ["/etc/passwd"], "no table", [".."], [""], ["a\0b"], ["\ud800"], ["x" * 300], [MANIFEST]],
)
def test_damaged_manifest_leads_to_no_other_file(project: Path, release: Install, names: object) -> None:
    release().install()
    damaged = {"version": "1.0.0", "files": dict.fromkeys(names, "x") if isinstance(names, list) else names}
    (project / FOLDER / MANIFEST).write_text(json.dumps(damaged), encoding="utf-8")
    assert release().status().state is AddonState.INCOMPLETE
    release().remove()
    assert files(project) == {"project.godot": PROJECT}


def test_folder_that_is_no_project_is_refused(project: Path, release: Install) -> None:
    (project / "project.godot").unlink()
    for action in (release().install, release().update, release().remove, release().status):
        with pytest.raises(InvalidParams, match=r"no Godot project"):
            action()
    assert files(project) == {}


def test_project_of_godot_3_is_refused(project: Path, release: Install) -> None:
    (project / "project.godot").write_bytes(b"config_version=4\n")
    with pytest.raises(InvalidParams, match="config_version=4"):
        release().install()


def test_damaged_project_file_is_left_alone(project: Path, release: Install) -> None:
    damaged = PROJECT + b'x="without an end\n'
    (project / "project.godot").write_bytes(damaged)
    with pytest.raises(ClientFileInvalid, match="damaged"):
        release().install()
    assert files(project) == {"project.godot": damaged}


@POSIX_ONLY
def test_mode_and_link_of_the_project_file_stay(project: Path, release: Install) -> None:
    real = project / "real.godot"
    (project / "project.godot").rename(real)
    real.chmod(0o640)
    (project / "project.godot").symlink_to("real.godot")
    release().install()
    assert (project / "project.godot").is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert release().status().enabled


@POSIX_ONLY
def test_addon_folder_that_is_linked_from_elsewhere_is_left_alone(
    project: Path, release: Install, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "clone"
    elsewhere.mkdir()
    (project / "addons").mkdir()
    (project / FOLDER).symlink_to(elsewhere)
    for action in (release().install, release().remove):
        with pytest.raises(ClientFileUnusable, match="outside"):
            action()
    assert [*elsewhere.iterdir()] == []
    assert files(project)["project.godot"] == PROJECT
