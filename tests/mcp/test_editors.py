"""Paths of projects as editors write them, and processes that run."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from supervisor.mcp.bridge.editors import examine, is_same_folder
from supervisor.mcp.core.events_and_actions import EditorsExamined, Event, ExamineEditors
from supervisor.native.startup.running import runs
from tests.systems import POSIX_ONLY


@pytest.fixture
def project(tmp_path: Path) -> str:
    folder = tmp_path.resolve() / "Game é"
    folder.mkdir()
    return str(folder)


@POSIX_ONLY
def test_a_project_has_several_paths(project: str) -> None:
    link = Path(project).with_name("link")
    link.symlink_to(project, target_is_directory=True)
    paths = (project, f"{project}/", f"{project}/.", f"{link}/", f"{project}/../link")
    assert [path for path in paths if not is_same_folder(path, project)] == []


def test_other_folders_are_other_projects(project: str) -> None:
    inside = Path(project, "inside")
    inside.mkdir()
    paths = ("", str(inside), str(Path(project).parent), f"{project}2", "res://", "game", "\0")
    assert [path for path in paths if is_same_folder(path, project)] == []


def test_a_relative_path_is_no_project(project: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    assert [path for path in (".", "./", "..", "") if is_same_folder(path, project)] == []


def test_a_folder_that_has_gone_is_compared_by_its_path(project: str) -> None:
    Path(project).rmdir()
    assert is_same_folder(f"{project}/", project)
    assert not is_same_folder(f"{project}2", project)


def test_a_process_runs_until_it_has_ended() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert runs(process.pid)
    process.communicate(b"\n", timeout=30)
    assert not runs(process.pid)
    assert runs(os.getpid())
    assert [pid for pid in (2**31, 2**40, 2**70) if runs(pid)] == []


def test_editors_are_examined_aside(project: str) -> None:
    found: list[Event] = []
    done = threading.Event()

    def post(event: Event) -> None:
        found.append(event)
        done.set()

    paths = frozenset({f"{project}/", "/elsewhere/"})
    examine(ExamineEditors(3, paths, frozenset({os.getpid(), 2**22 + 1})), project, post)
    assert done.wait(30)
    assert found == [EditorsExamined(3, frozenset({f"{project}/"}), frozenset({os.getpid()}))]
