"""Faults that would keep a command from starting are found without a start, with the same errors."""

import errno
import os
import sys
from pathlib import Path

import pytest

from supervisor.native.api import ChildCommand
from supervisor.native.shared.runnable import rehearse
from tests.systems import POSIX_ONLY


def command(folder: Path, *argv: str, path: str = "") -> ChildCommand:
    return ChildCommand(argv, {"PATH": path}, folder, folder / "new.log")


def script(path: Path, text: str, mode: int = 0o755) -> Path:
    path.write_bytes(text.encode())
    path.chmod(mode)
    return path


def test_program_that_is_there_leaves_no_trace(tmp_path: Path) -> None:
    rehearse(command(tmp_path, sys.executable, "-c", "print(1)"))
    assert list(tmp_path.iterdir()) == []


def test_missing_program_is_named(tmp_path: Path) -> None:
    for program in ("no-such-program", str(tmp_path / "none")):
        with pytest.raises(OSError, match="cannot start") as caught:
            rehearse(command(tmp_path, program))
        assert caught.value.errno == errno.ENOENT
        assert program in str(caught.value).replace("\\\\", "\\")


@POSIX_ONLY
def test_program_is_searched_where_the_child_would_search(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    script(programs / "mine", "#!/bin/sh\n")
    with pytest.raises(OSError, match="'mine'"):
        rehearse(command(tmp_path, "mine", path="/nowhere"))
    rehearse(command(tmp_path, "mine", path=str(programs)))
    rehearse(command(tmp_path, "bin/mine"))
    rehearse(command(tmp_path, "mine", path="/nowhere:bin"))


@POSIX_ONLY
@pytest.mark.parametrize(
    ("text", "mode", "number"),
    [
        ("#!/bin/sh\n", 0o644, errno.EACCES),
        ("#!/opt/none\n", 0o755, errno.ENOENT),
        ("#!/bin/sh\r\n", 0o755, errno.ENOENT),
        ("echo no first line\n", 0o755, errno.ENOEXEC),
    ],
)
def test_unrunnable_script_is_refused_as_by_a_start(tmp_path: Path, text: str, mode: int, number: int) -> None:
    path = script(tmp_path / "program", text, mode)
    with pytest.raises(OSError, match="program") as caught:
        rehearse(command(tmp_path, str(path)))
    assert caught.value.errno == number
    with pytest.raises(OSError, match="program") as started:
        os.posix_spawn(path, [str(path)], {})
    assert started.value.errno == number


@POSIX_ONLY
def test_folder_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot start") as caught:
        rehearse(command(tmp_path, str(tmp_path)))
    assert caught.value.errno == errno.EACCES


def test_missing_folder_of_logs_is_reported(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot start"):
        rehearse(command(tmp_path / "gone", sys.executable))


def test_unwritable_log_is_reported(tmp_path: Path) -> None:
    (tmp_path / "new.log").mkdir()
    with pytest.raises(OSError, match="cannot start"):
        rehearse(command(tmp_path, sys.executable))
