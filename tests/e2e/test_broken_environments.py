"""Private environments that break after they were made: found out by a start that fails, and built anew once."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import cache
from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import SERVERS, Home, eventually
from tests.wheels import wheel

KIND = """
[kinds.packed]
package = "packed"
version = "1"
command = ["{python}", "-P", "-m", "packed", "{http}"]
ports = { http = "%s" }
identify = { http = "/", match = { name = "e2e-toy" }, version = "version" }
"""

SOURCE = "import needed\n" + (SERVERS / "toy.py").read_text(encoding="utf-8")


@pytest.fixture
def packed(make_home: MakeHome, tmp_path: Path) -> Home:
    """A home whose kind `packed` comes from a package, which needs another one. The index is a folder."""
    home = make_home(toy_config())
    config = home.folders.home / "config.toml"
    ports = toy_config().partition('http = "')[2].partition('"')[0]
    config.write_text(config.read_text() + KIND % ports)
    wheels = tmp_path / "wheels"
    wheel(wheels, "packed", "1.0", ("needed",), source=SOURCE)
    wheel(wheels, "needed", "1.0")
    settings = {
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "UV_FIND_LINKS": str(wheels),
    }
    home.environment |= {**settings, "PATH": f"{cache.folder_of_uv()}:{os.environ['PATH']}"}
    return home


def environment(home: Home) -> Path:
    """The folder of the only environment that is published."""
    [record] = home.folders.environments.glob("*.json")
    return Path(json.loads(record.read_text())["path"])


def site(home: Home) -> Path:
    [found] = environment(home).glob("venv/lib/*/site-packages")
    return found


def without_module(home: Home) -> None:
    (site(home) / "packed.py").unlink()


def without_dependency(home: Home) -> None:
    for path in site(home).glob("needed*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def without_content(home: Home) -> None:
    (site(home) / "needed.py").write_text("raise SystemExit('half a file')")


def without_interpreter(home: Home) -> None:
    python = environment(home) / "venv" / "bin" / "python"
    python.unlink()
    python.symlink_to("/nowhere/python3")


def not_executable(home: Home) -> None:
    python = environment(home) / "venv" / "bin" / "python"
    python.unlink()
    python.write_text("no program")
    python.chmod(0o600)


def another_python(home: Home) -> None:
    lib = site(home).parent
    lib.rename(lib.with_name("python3.0"))


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        (without_module, "packed is in it, but no module 'packed'"),
        (without_dependency, "it has no module needed"),
        (without_content, "files of it are missing or were changed: "),
        (without_interpreter, "its interpreter no longer exists"),
        (not_executable, "its interpreter cannot be started: "),
        (another_python, "packed is not in it"),
    ],
)
def test_a_broken_environment_is_built_anew_and_the_reason_told(
    packed: Home, breaks: Callable[[Home], None], reason: str
) -> None:
    packed.up("packed")
    packed.cli("down", "packed")
    assert packed.events("environment.broken") == []
    breaks(packed)
    before = environment(packed)
    done = packed.cli("up", "packed")
    assert done.returncode == 0, done.stderr
    assert reason in done.stderr
    assert packed.event("environment.ready", folder=str(environment(packed)))
    assert environment(packed) != before
    assert not before.exists()
    assert len(packed.events("environment.building")) == 2


def test_a_server_that_breaks_while_it_runs_comes_back(packed: Home) -> None:
    server = packed.up("packed", "--owner-pid", str(packed.owner().pid))
    without_module(packed)
    os.kill(server["root_pid"], 9)
    eventually(lambda: packed.server_in("packed", "ready", restarts=1), "it runs again")
    assert len(packed.events("environment.broken")) == 1


def test_a_package_that_never_works_is_built_anew_once(packed: Home, tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "packed", "1.0", source="import absent\n")
    for _ in range(2):
        _, answer = packed.refused("up", "packed")
        error = answer["data"]
        assert error["code"] == "START_FAILED"
        assert any("absent" in line for line in error["log_tail"])
    assert [row["reason"] for row in packed.events("environment.broken")] == ["it has no module absent"]
    packed.cli("stop")
    packed.refused("up", "packed")
    assert len(packed.events("environment.broken")) == 1


def test_what_breaks_again_at_once_is_not_built_again(packed: Home, tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "packed", "1.0", source="import os\nos.unlink(__file__)\nraise SystemExit(1)\n")
    for _ in range(2):
        _, answer = packed.refused("up", "packed")
        error = answer["data"]
        assert error["code"] == "START_FAILED"
        assert "was built anew" in error["hint"]
    assert len(packed.events("environment.broken")) == 1


def test_what_others_run_from_is_left_to_them(packed: Home) -> None:
    packed.up("packed")
    packed.cli("down", "packed")
    old = environment(packed)
    bridge = packed.run(str(old / "venv" / "bin" / "python"), "-c", "import time; time.sleep(600)")
    without_module(packed)
    packed.up("packed")
    assert old.exists()
    listed = json.loads(packed.cli("environments", "list", "--json").stdout)["leftovers"]
    assert [(row["path"], row["removable"]) for row in listed] == [(str(old), False)]
    bridge.kill()
    bridge.wait()
    assert str(old) in packed.cli("environments", "prune").stdout
    assert not old.exists()
