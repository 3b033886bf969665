"""Private environments, with the real daemon."""

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home


@pytest.fixture
def filled_home(make_home: MakeHome) -> Home:
    """Return a home with an environment that its kind needs, and one that no kind needs."""
    home = make_home(toy_config())
    config = home.folders.home / "config.toml"
    config.write_text(config.read_text() + 'package = "e2e-toy"\nversion = "1.0"\n')
    for version in ("1.0", "0.9"):
        folder = home.folders.environments / f"e2e-toy-{version}-abcd"
        (folder / "venv").mkdir(parents=True)
        python = folder / "venv" / "python"
        shutil.copy("/bin/sleep", python)
        pointer = {"schema": 1, "path": str(folder), "python": str(python), "package": "e2e-toy", "version": version}
        (home.folders.environments / f"e2e-toy-{version}.json").write_text(json.dumps(pointer))
    return home


def listed(home: Home) -> dict[str, list[str]]:
    rows = json.loads(home.cli("environments", "list", "--json").stdout)["environments"]
    return {row["version"]: row["used_by"] for row in rows}


def test_an_unused_environment_is_shown_and_removed(filled_home: Home) -> None:
    filled_home.start()
    assert listed(filled_home) == {"0.9": [], "1.0": ["kind e2e-toy"]}
    assert "would free" in filled_home.cli("environments", "prune", "--dry-run").stdout
    assert listed(filled_home).keys() == {"0.9", "1.0"}
    done = filled_home.cli("environments", "prune", "--json")
    assert done.returncode == 0, done.stderr
    [removed] = json.loads(done.stdout)["removed"]
    assert (removed["package"], removed["version"]) == ("e2e-toy", "0.9")
    assert not Path(removed["path"]).exists()
    assert listed(filled_home).keys() == {"1.0"}
    assert filled_home.cli("environments", "prune").stdout == "nothing to remove\n"


def test_an_environment_of_a_process_is_kept(filled_home: Home) -> None:
    filled_home.start()
    runner = filled_home.run(str(filled_home.folders.environments / "e2e-toy-0.9-abcd" / "venv" / "python"), "600")
    assert listed(filled_home)["0.9"] == [f"process {runner.pid}"]
    assert filled_home.cli("environments", "prune").stdout == "nothing to remove\n"
    runner.kill()
    runner.wait()
    assert filled_home.cli("environments", "prune").returncode == 0
    assert listed(filled_home).keys() == {"1.0"}
