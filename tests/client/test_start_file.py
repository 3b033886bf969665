import json
import os
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest

from supervisor.client import start_file
from supervisor.native.facts import HOME_VARIABLE, Folders
from tests.systems import POSIX_ONLY


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    found = Folders(tmp_path / "home", moved=True)
    found.home.mkdir(mode=0o700)
    return found


def written(folders: Folders) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(folders.start_file.read_bytes())
    return found


def test_file_names_this_installation_and_home(folders: Folders) -> None:
    assert start_file.publish(folders.start_file, start_file.describe(folders, "1.2.3", service=True))
    found = written(folders)
    assert (found["schema"], found["version"], found["service"]) == (1, "1.2.3", True)
    assert found["environment"] == {HOME_VARIABLE: str(folders.home)}
    assert Path(found["command"][0]).is_absolute()
    assert found["home"] == str(folders.home)
    assert start_file.describe(Folders(folders.home, moved=False), "1", service=False).environment == {}
    assert [path.name for path in folders.home.iterdir()] == ["start.json"]


@POSIX_ONLY
def test_command_starts_nothing_but_this_program(folders: Folders) -> None:
    """It runs with an editor's variables for another Python, in a folder with modules of other names.

    In the laboratory of Windows, this package is found by such a variable only.
    """
    (folders.home / "supervisor.py").write_text("raise SystemExit('the wrong module')")
    command = start_file.describe(folders, "1", service=False).command
    done = subprocess.run(
        [*command[:-1], "version"], cwd=folders.home, env={**os.environ, "PYTHONPATH": str(folders.home)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@POSIX_ONLY
def test_file_is_private_and_written_only_if_it_changes(folders: Folders) -> None:
    how = start_file.describe(folders, "1", service=False)
    start_file.publish(folders.start_file, how)
    first = folders.start_file.stat()
    assert stat.S_IMODE(first.st_mode) == 0o600
    assert not start_file.publish(folders.start_file, how)
    assert folders.start_file.stat().st_ino == first.st_ino
    folders.start_file.chmod(0o644)
    assert start_file.publish(folders.start_file, how)
    assert stat.S_IMODE(folders.start_file.stat().st_mode) == 0o600


def test_first_file_is_written_before_a_daemon_runs(folders: Folders) -> None:
    start_file.introduce(folders, "1")
    start_file.introduce(folders, "2")
    assert written(folders)["version"] == "1"


def test_home_that_no_system_can_have_gets_no_file(tmp_path: Path) -> None:
    start_file.introduce(Folders(tmp_path / ("x" * 300), moved=True), "1")
    assert list(tmp_path.iterdir()) == []


@POSIX_ONLY
def test_folder_of_others_gets_no_file(folders: Folders) -> None:
    folders.home.chmod(0o777)
    start_file.introduce(folders, "1")
    assert not folders.start_file.exists()
