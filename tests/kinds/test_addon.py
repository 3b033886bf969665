"""The version that the addon of a project wants, by its plugin.cfg."""

import os
from pathlib import Path

import pytest

from supervisor.kinds.addon import LIMIT, AddonSeen, read_addon
from supervisor.kinds.kind import Addon
from tests.systems import POSIX_ONLY
from tests.wine import IS_WINDOWS

ADDON = Addon("addons/toy/plugin.cfg", "plugin", "version")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "addons" / "toy"
    folder.mkdir(parents=True)
    return folder / "plugin.cfg"


def seen(project: Path) -> AddonSeen:
    found = read_addon(ADDON, str(project))
    assert found is not None
    assert (found.project, found.file) == (str(project), ADDON.file)
    return found


@pytest.mark.parametrize(
    ("written", "version"),
    [
        (b'[plugin]\nversion="4.3.1"\n', "4.3.1"),
        (b'\xef\xbb\xbf[plugin]\r\nversion="4.3"\r\n', "4.3"),
        (b'[plugin]\nauthor="J\xe9r\xf4me"\nversion="v4.3.1"\n', "4.3.1"),
        (b'[plugin]\nversion=" 4.3.1-rc1 "\n', "4.3.1rc1"),
        (b'[plugin]\nversion="1!4.3.1.post2+Mine"\n', "1!4.3.1.post2+mine"),
    ],
)
def test_a_version_is_read_in_its_normal_form(tmp_path: Path, file: Path, written: bytes, version: str) -> None:
    file.write_bytes(written)
    assert (seen(tmp_path).version, seen(tmp_path).problem) == (version, None)


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (b"", "has no version in [plugin]"),
        (b"[plugin]\n", "has no version in [plugin]"),
        (b'[plugin]\nversion=""\n', "has '' for a version, which is not a version"),
        (b'[plugin]\nversion="latest"\n', "has 'latest' for a version, which is not a version"),
        (b'[plugin]\nversion=">=4"\n', "has '>=4' for a version, which is not a version"),
        (b'[plugin]\nversion="4.3.1; rm -rf ~"\n', "has '4.3.1; rm -rf ~' for a version, which is not a version"),
        (b'[plugin]\nversion="../../x"\n', "has '../../x' for a version, which is not a version"),
        (b'[plugin]\nversion="\x1b[2J"\n', "has '\\x1b[2J' for a version, which is not a version"),
        ('[plugin]\nversion="4.3.1"\n'.encode("utf-16"), "has no version in [plugin]"),
        (b'[plugin]\nversion="4.3.1"\n'.ljust(LIMIT + 1), f"is longer than {LIMIT} bytes"),
        (b'[plugin]\nversion="' + b"4" * 5000 + b'"\n', f"has '{'4' * 60}…' for a version, which is not a version"),
    ],
)
def test_a_file_without_a_usable_version_gives_the_reason(
    tmp_path: Path, file: Path, written: bytes, problem: str
) -> None:
    file.write_bytes(written)
    assert (seen(tmp_path).version, seen(tmp_path).problem) == (None, problem)


def test_a_project_without_the_addon_wants_nothing(tmp_path: Path, file: Path) -> None:
    assert read_addon(ADDON, str(tmp_path)) is None
    assert read_addon(ADDON, str(tmp_path / "nowhere")) is None
    (tmp_path / "file").touch()
    assert read_addon(Addon("file/toy/plugin.cfg", "plugin", "version"), str(tmp_path)) is None
    assert not file.exists()


def test_a_folder_in_the_place_of_the_file_is_reported(tmp_path: Path, file: Path) -> None:
    file.mkdir()
    problem = seen(tmp_path).problem
    assert problem is not None
    assert IS_WINDOWS or problem == "is not a regular file"


@POSIX_ONLY
def test_links_are_followed_and_loops_and_pipes_are_reported(tmp_path: Path, file: Path) -> None:
    (tmp_path / "elsewhere.cfg").write_text('[plugin]\nversion="4.3.1"\n')
    file.symlink_to(tmp_path / "elsewhere.cfg")
    assert seen(tmp_path).version == "4.3.1"
    file.unlink()
    file.symlink_to(file)
    assert (seen(tmp_path).problem or "").startswith("cannot be read: ")
    file.unlink()
    file.symlink_to(tmp_path / "nowhere")
    assert read_addon(ADDON, str(tmp_path)) is None
    file.unlink()
    os.mkfifo(file)
    assert seen(tmp_path).problem == "is not a regular file"


def test_an_unreadable_file_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("supervisor.kinds.regular_file.os.open", refuse)
    assert seen(tmp_path).problem == "cannot be read: Permission denied"
