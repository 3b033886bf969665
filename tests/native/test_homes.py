"""Homes that a user cannot have, and the hints. Most tests need root, which can act as two users."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.errors import NotOurs, StateNotWritable, SupervisorError
from supervisor.native.facts import HOME_VARIABLE, Folders
from supervisor.native.startup import homes
from tests.privilege import NEEDS_ROOT, NOBODY, as_nobody
from tests.systems import POSIX_ONLY

pytestmark = POSIX_ONLY


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty home folder of a user, which HOME of this process names. Other users may enter it."""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        folder = Path(above) / "user"
        folder.mkdir()
        monkeypatch.setenv("HOME", str(folder))
        for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
            monkeypatch.delenv(variable, raising=False)
        yield folder


def where(folder: Path) -> Folders:
    return Folders(folder / ".godot-supervisor", moved=False)


def refusal(home: Folders) -> SupervisorError:
    with pytest.raises(SupervisorError) as caught:
        homes.check(home)
    return caught.value


def two_users(test: Callable[..., None]) -> Callable[..., None]:
    for mark in NEEDS_ROOT:
        test = mark(test)
    return test


def refused_to_nobody(home: Folders) -> str:
    """Return the error for a user who is not root; nothing if that user may have this home."""

    def ask() -> str:
        try:
            homes.check(home)
        except SupervisorError as problem:
            return f"{problem.code}: {problem.message} | {problem.hint}"
        return ""

    return as_nobody(ask)


def test_an_ordinary_home_is_not_refused(user: Path) -> None:
    homes.check(where(user))
    homes.check(Folders(user / "a" / "b", moved=True))
    assert not list(user.iterdir())


def test_home_that_is_no_folder_is_named(user: Path) -> None:
    (user / "file").touch()
    problem = refusal(where(user / "file"))
    assert isinstance(problem, StateNotWritable)
    assert problem.message == f"HOME is {user / 'file'}, and {user / 'file'} is no folder"
    moved = refusal(Folders("/dev/null/home", moved=True))
    assert moved.message.startswith(f"{HOME_VARIABLE} is /dev/null/home")


@two_users
def test_root_is_refused_in_a_users_home(user: Path) -> None:
    os.chown(user, NOBODY, -1)
    problem = refusal(where(user))
    assert isinstance(problem, NotOurs)
    assert f"HOME is {user}" in problem.message
    assert problem.hint == "run it as nobody, without sudo"
    assert not list(user.iterdir())


@two_users
def test_unreadable_home_is_named(user: Path) -> None:
    user.chmod(0o700)
    said = refused_to_nobody(where(user))
    assert said.startswith(f"NOT_OURS: HOME is {user}, which you may not read | set HOME to ")


@two_users
def test_a_home_that_cannot_be_made_is_named(user: Path) -> None:
    said = refused_to_nobody(Folders(user / "new", moved=True))
    assert said.startswith(f"NOT_OURS: {HOME_VARIABLE} is {user / 'new'}, which you may not write")


@two_users
def test_another_users_base_folder_is_named(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(user, NOBODY, -1)
    other = user.parent / "other"
    other.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(other / ".config"))
    said = refused_to_nobody(where(user))
    assert said.startswith(f"NOT_OURS: XDG_CONFIG_HOME is {other / '.config'}, which you may not read | unset")


@two_users
@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"])
def test_another_users_data_folder_is_refused(user: Path, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    other = user.parent / "other"
    other.mkdir()
    os.chown(other, NOBODY, -1)
    monkeypatch.setenv(variable, str(other))
    said = refusal(where(user))
    assert isinstance(said, NotOurs)
    assert said.message.startswith(f"{variable} is {other}, and {other} belongs to another user")


@two_users
@pytest.mark.parametrize("left", [".godot-supervisor", ".config/godot-supervisor", ".local/state/godot-supervisor/log"])
def test_hint_gives_back_folders_that_sudo_left(user: Path, left: str) -> None:
    (user / left).mkdir(parents=True, mode=0o700)
    top = user / left.split("/", maxsplit=1)[0]
    top.chmod(0o700)
    os.chown(user, NOBODY, -1)
    said = refused_to_nobody(where(user))
    assert said.startswith(f"NOT_OURS: {top} belongs to root")
    assert said.endswith(f"| sudo chown -R {NOBODY} {top}")


@two_users
def test_readable_settings_of_root_are_accepted(user: Path) -> None:
    (user / ".config" / "godot-supervisor").mkdir(parents=True)
    (user / ".config" / "godot-supervisor" / "config.toml").touch()
    os.chown(user, NOBODY, -1)
    assert refused_to_nobody(where(user)) == ""


@two_users
def test_an_error_of_the_system_is_explained(user: Path) -> None:
    os.chown(user, NOBODY, -1)
    (user / "log").touch(mode=0o600)
    problem = PermissionError(13, "Permission denied", str(user / "log"))

    def ask() -> str:
        reason = homes.explain(problem, where(user))
        return f"{reason.code}: {reason.message} | {reason.hint}"

    assert as_nobody(ask) == f"NOT_OURS: Permission denied: {user / 'log'} | sudo chown -R {NOBODY} {user / 'log'}"


def test_an_error_of_the_system_keeps_its_words(user: Path) -> None:
    problem = homes.explain(OSError(28, "No space left on device", "/x"), where(user))
    assert (problem.code, problem.message) == ("STATE_NOT_WRITABLE", "No space left on device: /x")
