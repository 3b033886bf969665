"""A home has one daemon, also when its files are removed, replaced, moved, copied, reached by another path."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.client import endpoint
from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home, eventually, lives
from tests.gates import rest_in_full


def without_lock(home: Path) -> None:
    (home / "daemon.lock").unlink()


def without_lock_and_endpoint(home: Path) -> None:
    without_lock(home)
    (home / "endpoint.json").unlink()


def with_another_lock(home: Path) -> None:
    (home / "new").touch(0o600)
    (home / "new").replace(home / "daemon.lock")
    (home / "endpoint.json").write_text("{}")


def without_socket(home: Path) -> None:
    shutil.rmtree(home / "control")
    (home / "endpoint.json").unlink()


def without_registry(home: Path) -> None:
    (home / "registry.json").unlink()
    without_lock_and_endpoint(home)


def removed(home: Path) -> None:
    shutil.rmtree(home)


def removed_and_made_again(home: Path) -> None:
    config = (home / "config.toml").read_text()
    shutil.rmtree(home)
    home.mkdir(0o700)
    (home / "config.toml").write_text(config)


def moved_away(home: Path) -> None:
    home.rename(home.with_name("elsewhere"))


def moved_with_its_parent(home: Path) -> None:
    home.parent.rename(home.parent.with_name("another-parent"))


def replaced_by_a_link_to_itself(home: Path) -> None:
    moved_away(home)
    home.symlink_to(home.with_name("elsewhere"))


def replaced_by_a_link_to_an_empty_folder(home: Path) -> None:
    moved_away(home)
    home.with_name("empty").mkdir(0o700)
    home.symlink_to(home.with_name("empty"))


def replaced_by_a_file(home: Path) -> None:
    moved_away(home)
    home.write_text("a file")


FATES = (
    without_lock,
    without_lock_and_endpoint,
    with_another_lock,
    without_socket,
    without_registry,
    removed,
    removed_and_made_again,
    moved_away,
    moved_with_its_parent,
    replaced_by_a_link_to_itself,
    replaced_by_a_link_to_an_empty_folder,
)


class FromElsewhere(Home):
    """Its commands run in a folder that no fate of the home touches."""

    def cli(self, *words: str, timeout_s: float = 180.0) -> subprocess.CompletedProcess[str]:
        self.folders.home.parent.mkdir(exist_ok=True)
        return subprocess.run(
            [sys.executable, "-P", "-m", "supervisor", *words],
            env=self.environment,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


@pytest.fixture
def alone(make_home: MakeHome) -> Home:
    """A home with the toy server as a kind."""
    made = make_home(toy_config())
    made.__class__ = FromElsewhere
    assert made.folders.home_id, "kept: it changes with what the path leads to"
    return made


@pytest.mark.parametrize("fate", rest_in_full(FATES, 3), ids=lambda fate: fate.__name__)
def test_one_daemon_whatever_becomes_of_its_files(alone: Home, fate: Callable[[Path], None]) -> None:
    owner = alone.owner().pid
    first = alone.start()
    server = alone.up("e2e-toy", "--owner-pid", str(owner))
    fate(alone.folders.home)
    for words in (("status", "--json"), ("start", "--json"), ("status", "--json")):
        done = alone.cli(*words)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told.get("daemon", told)["pid"] == first, words
    assert alone.daemon_processes() == [first]
    assert [row["root_pid"] for row in told["servers"]] == [server["root_pid"]], "the server is known, and lives"
    os.kill(server["root_pid"], signal.SIGKILL)
    again = eventually(lambda: alone.server_in("e2e-toy", "ready", restarts=1), "it is restarted, once")
    assert alone.server_processes() == [again["root_pid"]]
    assert alone.cli("stop", "--servers").returncode == 0
    assert alone.cli("status").returncode == 3
    assert alone.server_processes() == []
    eventually(lambda: not alone.daemon_processes(), "the daemon ends")


def test_home_that_became_a_file_is_noted_and_daemon_reached(alone: Home) -> None:
    first = alone.start()
    server = alone.up("e2e-toy", "--owner-pid", str(alone.owner().pid))
    replaced_by_a_file(alone.folders.home)
    status, started = (json.loads(alone.cli(word, "--json").stdout) for word in ("status", "start"))
    assert (status["daemon"]["pid"], started["pid"]) == (first, first)
    assert any("cannot be used" in note for note in status["daemon"]["notes"])
    code, error = alone.refused("down", "e2e-toy")
    assert error["data"]["code"] == "STATE_NOT_WRITABLE", (code, error)
    assert lives(server["root_pid"])
    alone.folders.home.unlink()
    assert alone.cli("down", "e2e-toy").returncode == 0, "the next act makes the home again"
    assert alone.cli("stop").returncode == 0


def test_a_daemon_withdraws_when_another_has_locked_its_home(alone: Home) -> None:
    first = alone.start()
    server = alone.up("e2e-toy", "--owner-pid", str(alone.owner().pid))
    without_lock(alone.folders.home)
    with alone.folders.lock.open("w") as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        os.kill(first, signal.SIGHUP)
        eventually(lambda: not lives(first), "it withdraws")
        assert alone.events("daemon.home_lost")
        assert lives(server["root_pid"]), "its servers go on"
    alone.start()
    assert [row["root_pid"] for row in alone.call("server.list")["servers"]] == [server["root_pid"]]


def test_a_daemon_of_a_moved_home_leaves_the_rows_to_the_first(alone: Home) -> None:
    first = alone.start()
    server = alone.up("e2e-toy", "--owner-pid", str(alone.owner().pid))
    moved_away(alone.folders.home)
    alone.start()
    there = alone.folders.home.with_name("elsewhere")
    alone.environment["GODOT_SUPERVISOR_HOME"] = str(there)
    assert alone.cli("status").returncode == 3
    second = json.loads(alone.cli("start", "--json").stdout)["pid"]
    try:
        assert second != first
        assert json.loads(alone.cli("status", "--json").stdout)["servers"] == []
        assert [path.name for path in there.glob("registry.json.unreadable-*")] == ["registry.json.unreadable-1"]
        assert alone.cli("stop", "--servers").returncode == 0
        assert lives(server["root_pid"])
    finally:
        alone.environment["GODOT_SUPERVISOR_HOME"] = str(alone.folders.home)
    assert alone.cli("down", "e2e-toy").returncode == 0


def test_a_stopped_daemons_home_can_be_moved_with_its_servers(alone: Home) -> None:
    alone.start()
    server = alone.up("e2e-toy", "--owner-pid", str(alone.owner().pid))
    assert alone.cli("stop").returncode == 0
    moved_away(alone.folders.home)
    alone.environment["GODOT_SUPERVISOR_HOME"] = str(alone.folders.home.with_name("elsewhere"))
    pid = json.loads(alone.cli("start", "--json").stdout)["pid"]
    told = json.loads(alone.cli("status", "--json").stdout)
    assert [row["root_pid"] for row in told["servers"]] == [server["root_pid"]]
    alone.environment["GODOT_SUPERVISOR_HOME"] = str(alone.folders.home)
    assert json.loads(alone.cli("start", "--json").stdout)["pid"] == pid, "its servers carry the first home's id"
    assert alone.cli("stop", "--servers").returncode == 0
    assert not lives(server["root_pid"])


@pytest.mark.parametrize("path", ["link", "link of a parent", "dots", "slash"])
def test_another_path_to_a_home_leads_to_its_daemon(alone: Home, path: str) -> None:
    first = alone.start()
    home = alone.folders.home
    match path:
        case "link":
            other = home.with_name("a-link")
            other.symlink_to(home)
        case "link of a parent":
            parent = home.parent.with_name("a-parent")
            parent.symlink_to(home.parent)
            other = parent / home.name
        case "dots":
            other = Path(f"{home}/../{home.name}")
        case _:
            other = Path(home)
    alone.environment["GODOT_SUPERVISOR_HOME"] = f"{other}/" if path == "slash" else str(other)
    for fate in (None, without_lock_and_endpoint):
        if fate is not None:
            fate(home)
        for words in (("start", "--json"), ("status", "--json")):
            told = json.loads(alone.cli(*words).stdout)
            assert told.get("daemon", told)["pid"] == first
    assert alone.cli("stop").returncode == 0
    assert endpoint.read(alone.folders.endpoint) is None
