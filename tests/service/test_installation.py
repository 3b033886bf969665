"""The command that a service starts."""

import sys
from pathlib import Path

import pytest

from supervisor.native.facts import Folders
from supervisor.service.installation import this_installation


def test_a_service_starts_this_very_interpreter(tmp_path: Path) -> None:
    found = this_installation(Folders(tmp_path, moved=False), "1.0", {})
    assert found.command == (sys.executable, "-P", "-m", "supervisor", "service", "run")
    assert found.name == "godot-supervisor"


def test_each_home_has_its_own_service(tmp_path: Path) -> None:
    one, other = (this_installation(Folders(tmp_path / name, moved=True), "1.0", {}) for name in "ab")
    assert one.command[-2:] == ("--home", str(tmp_path / "a"))
    assert len({one.name, other.name, "godot-supervisor"}) == 3


@pytest.mark.linux_only(and_macos=True)
def test_relative_paths_are_not_passed_to_a_service(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:.::bin:/usr/bin:/bin", "XDG_STATE_HOME": "state", "XDG_DATA_HOME": "/data"}
    found = this_installation(Folders(tmp_path, moved=False), "1.0", environment)
    assert found.variables == {"PATH": "/usr/bin:/bin", "XDG_DATA_HOME": "/data"}
