"""Private environments, with the real daemon ."""

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home


@pytest.fixture
def shelf(make_home: MakeHome) -> Home:
    """A home with an environment that its kind names, and one that nothing does."""
    home = make_home(toy_config())
    config = home.folders.home / "config.toml"
    config.write_text(config.read_text() + 'package = "toy"\nversion = "1.0"\n')
    for version in ("1.0", "0.9"):
        folder = home.folders.environments / f"toy-{version}-abcd"
        (folder / "venv").mkdir(parents=True)
        python = folder / "venv" / "python"
        shutil.copy("/bin/sleep", python)
        pointer = {"schema": 1, "path": str(folder), "python": str(python), "package": "toy", "version": version}
        (home.folders.environments / f"toy-{version}.json").write_text(json.dumps(pointer))
    return home


def listed(home: Home) -> dict[str, list[str]]:
    rows = json.loads(home.cli("environments", "list", "--json").stdout)["environments"]
    return {row["version"]: row["used_by"] for row in rows}


def test_what_nothing_uses_is_shown_and_removed(shelf: Home) -> None:
    shelf.start()
    assert listed(shelf) == {"0.9": [], "1.0": ["kind toy"]}
    assert "would free" in shelf.cli("environments", "prune", "--dry-run").stdout
    assert listed(shelf).keys() == {"0.9", "1.0"}
    done = shelf.cli("environments", "prune", "--json")
    assert done.returncode == 0, done.stderr
    [removed] = json.loads(done.stdout)["removed"]
    assert (removed["package"], removed["version"]) == ("toy", "0.9")
    assert not Path(removed["path"]).exists()
    assert listed(shelf).keys() == {"1.0"}
    assert shelf.cli("environments", "prune").stdout == "nothing to remove\n"


def test_what_a_process_runs_from_is_kept(shelf: Home) -> None:
    shelf.start()
    runner = shelf.run(str(shelf.folders.environments / "toy-0.9-abcd" / "venv" / "python"), "600")
    assert listed(shelf)["0.9"] == [f"process {runner.pid}"]
    assert shelf.cli("environments", "prune").stdout == "nothing to remove\n"
    runner.kill()
    runner.wait()
    assert shelf.cli("environments", "prune").returncode == 0
    assert listed(shelf).keys() == {"1.0"}
