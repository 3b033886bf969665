"""What a service is told to start."""

import sys
from pathlib import Path

import pytest

from supervisor.native.facts import Folders
from supervisor.service.installation import this_installation


def test_it_is_this_very_interpreter(tmp_path: Path) -> None:
    found = this_installation(Folders(tmp_path, moved=False), "1.0", {})
    assert found.command == (sys.executable, "-P", "-m", "supervisor", "service", "run")
    assert found.name == "godot-supervisor"


def test_a_home_of_its_own_is_a_service_of_its_own(tmp_path: Path) -> None:
    one, other = (this_installation(Folders(tmp_path / name, moved=True), "1.0", {}) for name in "ab")
    assert one.command[-2:] == ("--home", str(tmp_path / "a"))
    assert len({one.name, other.name, "godot-supervisor"}) == 3


@pytest.mark.linux_only(and_macos=True)
def test_a_path_that_means_something_else_elsewhere_is_not_handed_over(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:.::bin:/usr/bin:/bin", "XDG_STATE_HOME": "state", "XDG_DATA_HOME": "/data"}
    found = this_installation(Folders(tmp_path, moved=False), "1.0", environment)
    assert found.variables == {"PATH": "/usr/bin:/bin", "XDG_DATA_HOME": "/data"}
