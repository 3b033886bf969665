"""Replacing a client's file while other programs use it."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.errors import ClientFileChanged, ClientFileUnusable
from supervisor.mcp.ai_clients import client_file
from supervisor.mcp.ai_clients.backups import Backups
from supervisor.mcp.ai_clients.changes import ADDED, FAILED, Editor, FileEdit
from supervisor.mcp.ai_clients.entry import Entry
from supervisor.mcp.ai_clients.places import Places
from supervisor.mcp.ai_clients.table import CLIENTS
from supervisor.mcp.ai_clients.target import USER, targets

ENTRY = Entry(("/opt/bin/godot-supervisor", "mcp"), {})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / ".claude.json"


@pytest.fixture
def install(tmp_path: Path) -> Callable[[], FileEdit]:
    """Return a function that adds the entry to Claude Code's file."""
    return lambda: install_as(tmp_path, "godot")


def install_as(folder: Path, name: str) -> FileEdit:
    """Add the entry with this name, as a command of its own."""
    places = Places({"HOME": str(folder), "USERPROFILE": str(folder)})
    (target,) = targets(CLIENTS["claude"], USER, places, None)
    editor = Editor(Backups(folder / "home"), dry_run=False)
    return editor.install(target, name, ENTRY, is_current=lambda _: False)


def writing_between(monkeypatch: pytest.MonkeyPatch, file: Path, times: int) -> None:
    """Let another program write the file in the moment before it is replaced, this often."""
    written = iter(range(times))
    check = client_file._check_unchanged

    def write_and_check(content: client_file.Content) -> None:
        number = next(written, None)
        if number is not None:
            file.write_text(f'{{"number": {number}}}')
        check(content)

    monkeypatch.setattr(client_file, "_check_unchanged", write_and_check)


def test_a_change_by_another_program_is_kept(
    file: Path, install: Callable[[], FileEdit], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("{}")
    writing_between(monkeypatch, file, 2)
    assert install().outcome == ADDED
    assert '"number": 1' in file.read_text()
    assert "godot-supervisor" in file.read_text()


def test_a_file_that_changes_all_the_time_is_given_up(
    file: Path, install: Callable[[], FileEdit], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("{}")
    writing_between(monkeypatch, file, 9)
    done = install()
    assert (done.outcome, type(done.problem)) == (FAILED, ClientFileChanged)
    assert file.read_text() == '{"number": 2}'
    assert [path.name for path in file.parent.iterdir() if path.name.endswith(".new")] == []


def test_commands_at_the_same_time_lose_no_entry(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("{}")
    check = client_file._check_unchanged
    others: list[threading.Thread] = []

    def check_and_meet(content: client_file.Content) -> None:
        check(content)
        if not others:
            others.append(threading.Thread(target=install_as, args=(tmp_path, "other")))
            others[0].start()
            others[0].join(0.3)

    monkeypatch.setattr(client_file, "_check_unchanged", check_and_meet)
    assert install_as(tmp_path, "godot").outcome == ADDED
    others[0].join()
    assert list(json.loads(file.read_text())["mcpServers"]) == ["godot", "other"]


def test_what_a_killed_command_has_left_is_removed(file: Path, install: Callable[[], FileEdit], tmp_path: Path) -> None:
    file.write_text("{}")
    old, young = (tmp_path / f"..claude.json.4711.{number}.new" for number in ("0123abcd", "4567abcd"))
    os.link(file, old)
    os.utime(old, (0, 0))
    young.write_text("")
    mine = tmp_path / "..claude.json.new"
    mine.write_text("")
    os.utime(mine, (0, 0))
    assert install().outcome == ADDED
    assert [path.exists() for path in (old, young, mine)] == [False, True, True]


def test_a_file_that_appears_during_the_edit_is_not_overwritten(
    file: Path, install: Callable[[], FileEdit], monkeypatch: pytest.MonkeyPatch
) -> None:
    writing_between(monkeypatch, file, 1)
    assert install().outcome == ADDED
    assert '"number": 0' in file.read_text()


def test_without_a_backup_nothing_is_changed(file: Path, install: Callable[[], FileEdit], tmp_path: Path) -> None:
    file.write_text("{}")
    (tmp_path / "home").write_text("a file in the place of the folder")
    done = install()
    assert (done.outcome, type(done.problem)) == (FAILED, ClientFileUnusable)
    assert done.problem is not None
    assert "no backup" in done.problem.message
    assert file.read_text() == "{}"


def test_a_crash_before_the_replacement_leaves_the_file(
    file: Path, install: Callable[[], FileEdit], monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text('{"a": 1}')

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    assert install().outcome == FAILED
    assert file.read_text() == '{"a": 1}'
    assert [path.name for path in file.parent.iterdir() if path.name.endswith(".new")] == []
