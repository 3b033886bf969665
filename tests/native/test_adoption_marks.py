"""Marks by which daemons of one user tell each other of adopted processes."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from supervisor.core.model import Liveness, ProcessIdentity
from supervisor.native.platforms import open_platform
from supervisor.native.shared.adoption_marks import FileMarks
from tests.systems import POSIX_ONLY

TOY = ProcessIdentity(4711, "0f3a-1b:987")
OTHER = ProcessIdentity(4711, "0f3a-1b:988")


def marks(
    *folders: Path,
    dead: ProcessIdentity | None = None,
    namespace: str | None = "1",
    started: float = 1e12,
    later: float = 0.0,
) -> FileMarks:
    """`started` is the wall time of each process's start; a process that starts after its folder is the usual case."""

    def sample(identity: ProcessIdentity) -> Liveness:
        return Liveness.DEAD if identity == dead else Liveness.ALIVE

    return FileMarks(folders, sample, lambda _: started, lambda: namespace, lambda: time.time() + later)


def test_every_daemon_sees_the_homes_that_look_after_a_process(tmp_path: Path) -> None:
    one, two = marks(tmp_path / "a"), marks(tmp_path / "a")
    assert one.homes(TOY) == frozenset()
    one.put(TOY, "one")
    two.put(TOY, "two")
    assert one.homes(TOY) == two.homes(TOY) == {"one", "two"}
    assert one.homes(OTHER) == frozenset()
    two.drop(TOY, "two")
    two.drop(TOY, "two")
    assert one.homes(TOY) == {"one"}


def test_folder_that_appears_later_loses_no_mark(tmp_path: Path) -> None:
    early = marks(tmp_path / "login" / "a", tmp_path / "b")
    early.put(TOY, "one")
    (tmp_path / "login").mkdir()
    assert marks(tmp_path / "login" / "a", tmp_path / "b").homes(TOY) == {"one"}


def test_marks_of_processes_that_have_ended_are_removed(tmp_path: Path) -> None:
    marks(tmp_path / "a").put(OTHER, "one")
    marks(tmp_path / "a", dead=OTHER).put(TOY, "one")
    assert [path.name for path in (tmp_path / "a").glob("*@*")] == ["4711@0f3a-1b_987@one@1"]


@pytest.mark.parametrize("namespace", ["2", None])
def test_marks_of_another_pid_namespace_are_kept(tmp_path: Path, namespace: str | None) -> None:
    marks(tmp_path / "a").put(OTHER, "one")
    marks(tmp_path / "a", dead=OTHER, namespace=namespace).put(TOY, "two")
    assert marks(tmp_path / "a").homes(OTHER) == {"one"}


@pytest.mark.parametrize("how", ["the folder", "a mark"])
def test_removed_marks_are_not_taken_for_withdrawn_ones(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "a"
    elder = marks(folder, started=time.time() - 5)
    elder.put(TOY, "one")
    long_ago = time.time() - 1000
    for path in folder.iterdir():
        os.utime(path, (long_ago, long_ago))
    if how == "the folder":
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    else:
        next(folder.glob("*@*")).unlink()
    with pytest.raises(BlockingIOError):
        elder.homes(TOY)
    assert marks(folder, started=time.time() - 5, later=61).homes(TOY) == frozenset()
    elder.put(TOY, "one")
    assert elder.homes(TOY) == {"one"}


def test_a_withdrawn_mark_is_believed_at_once(tmp_path: Path) -> None:
    elder = marks(tmp_path / "a")
    elder.put(TOY, "one")
    long_ago = time.time() - 1000
    for path in (tmp_path / "a").iterdir():
        os.utime(path, (long_ago, long_ago))
    elder.drop(TOY, "one")
    assert marks(tmp_path / "a", started=time.time() - 5).homes(TOY) == frozenset()


def test_a_process_that_is_younger_than_the_folder_has_lost_no_mark(tmp_path: Path) -> None:
    found = marks(tmp_path / "a", started=time.time() + 5)
    found.prepare()
    assert found.homes(TOY) == frozenset()


@POSIX_ONLY
def test_a_folder_that_stops_every_reap_is_noted(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o777)
    found = marks(tmp_path / "a")
    found.prepare()
    assert str(tmp_path / "a") in (found.note() or "")
    (tmp_path / "a").chmod(0o700)
    found.prepare()
    assert found.note() is None


def test_without_any_folder_reading_marks_fails(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        marks(tmp_path / "nowhere" / "a").homes(TOY)


@pytest.mark.parametrize(
    "how", [pytest.param("others may write", marks=POSIX_ONLY), pytest.param("a link", marks=POSIX_ONLY), "a file"]
)
def test_a_folder_that_others_could_fill_is_refused(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "a"
    if how == "a file":
        folder.touch()
    elif how == "a link":
        (tmp_path / "b").mkdir()
        folder.symlink_to(tmp_path / "b")
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(PermissionError):
        marks(folder).put(TOY, "one")
    with pytest.raises(PermissionError):
        marks(folder).homes(TOY)


def mark_folders() -> Sequence[Path]:
    found = open_platform().marks
    assert isinstance(found, FileMarks)
    return found._folders


def test_no_variable_moves_the_folder_of_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    before = mark_folders()
    for name in ("HOME", "XDG_RUNTIME_DIR", "TMPDIR", "TEMP", "LOCALAPPDATA", "USERPROFILE"):
        monkeypatch.setenv(name, os.fspath(Path.cwd() / "elsewhere"))
    assert mark_folders() == before
    assert before
