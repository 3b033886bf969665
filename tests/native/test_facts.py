"""The places of all files."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from supervisor.errors import InvalidParams
from supervisor.native.facts import HOME_VARIABLE, SOCKET_PATH_MAX, Folders, describe_exit, folders
from tests.systems import POSIX_ONLY


def test_one_variable_moves_everything(tmp_path: Path) -> None:
    moved = folders({HOME_VARIABLE: str(tmp_path)})
    assert moved.moved
    every = (moved.endpoint, moved.lock, moved.registry, moved.config, moved.logs, moved.environments)
    assert {path.parent for path in every} == {tmp_path}
    assert len(set(every)) == len(every)


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folders({HOME_VARIABLE: "here"}).home == tmp_path / "here"


@POSIX_ONLY
def test_only_relative_paths_need_a_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    monkeypatch.setenv("PWD", str(gone))
    gone.rmdir()
    assert folders({HOME_VARIABLE: str(tmp_path)}).home == tmp_path
    with pytest.raises(InvalidParams, match=f"'here' is relative to the current folder, which has gone .{gone}") as it:
        folders({HOME_VARIABLE: "here"})
    assert it.value.field == HOME_VARIABLE


@POSIX_ONLY
@pytest.mark.parametrize("home", ["mine", "./x"])
def test_a_relative_home_of_the_user_is_refused(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    with pytest.raises(InvalidParams, match=f"HOME: '{home}' is relative"):
        folders({})


def test_a_query_finds_the_endpoint_by_its_name(tmp_path: Path) -> None:
    assert folders({HOME_VARIABLE: str(tmp_path)}).endpoint_text == str(tmp_path / "endpoint.json")
    assert folders({}).endpoint_text == str(folders({}).endpoint)


@pytest.mark.parametrize("environment", [{}, {HOME_VARIABLE: ""}])
def test_the_default_home_is_what_a_plugin_can_compute(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USERPROFILE" if sys.platform == "win32" else "HOME", str(tmp_path))
    found = folders(environment)
    assert not found.moved
    assert found.endpoint == tmp_path / ".godot-supervisor" / "endpoint.json"
    assert found.registry.parent == found.lock.parent == found.home


@pytest.mark.linux_only
def test_settings_of_the_default_home_lie_where_the_system_wants_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    found = folders({})
    assert found.config == tmp_path / "settings" / "godot-supervisor" / "config.toml"
    assert found.environments == tmp_path / ".local/share/godot-supervisor/environments"


@POSIX_ONLY
def test_two_homes_have_two_names_and_one_home_has_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    one, same, other = (Folders(tmp_path / name, moved=True).home_id for name in ("a", "link", "b"))
    assert one == same != other
    assert one.isalnum()


def test_a_short_home_holds_its_socket() -> None:
    short = Folders(Path(tempfile.gettempdir()) / "h", moved=True)
    assert short.socket == short.home / "control" / "socket"


@POSIX_ONLY
@pytest.mark.parametrize("name", ["x" * 150, "é" * 60])
def test_a_long_home_has_its_socket_elsewhere_where_it_fits(tmp_path: Path, name: str) -> None:
    long = Folders(tmp_path / name, moved=True)
    assert tmp_path not in long.socket.parents
    assert long.home_id in str(long.socket)
    assert len(os.fsencode(long.socket)) <= SOCKET_PATH_MAX


@POSIX_ONLY
def test_the_longest_socket_path_can_be_bound() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = f"{folder}/".ljust(SOCKET_PATH_MAX, "s")
        listener.bind(path)
        assert len(os.fsencode(path)) == SOCKET_PATH_MAX


def test_facts_are_cheap_to_import() -> None:
    heavy = {"platformdirs", "asyncio", "psutil", "pathlib", "dataclasses"}
    # Without site: an editable install loads pathlib itself.
    query = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from supervisor.errors import InvalidParams
from supervisor.native.facts import folders
folders().endpoint_text
print({heavy!r} & sys.modules.keys())"""
    said = subprocess.run([sys.executable, "-S", "-c", query], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


@POSIX_ONLY
@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "exit status 0"), (7, "exit status 7"), (-9, "killed (SIGKILL)"), (-200, "killed (signal 200)")],
)
def test_end_of_a_process_in_words(status: int, words: str) -> None:
    assert describe_exit(status) == words
