"""Access lists, and the retries of readers and writers."""

import ctypes
import errno
import msvcrt
import os
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.native import private_files
from supervisor.native.platforms import file_replacer
from supervisor.native.windows import files, tokens, win32, win32_files
from supervisor.native.windows.processes import spawn
from tests.windows.access import allow
from tests.wine import WINE

EVERYONE = "S-1-1-0"
SYSTEM = "S-1-5-18"


def test_private_file_names_only_the_user(tmp_path: Path) -> None:
    os.close(private_files.create(tmp_path / "file", fresh=True))
    private_files.make_folder(tmp_path / "deep" / "folder")
    for path in (tmp_path / "file", tmp_path / "deep" / "folder", tmp_path / "deep"):
        granted = {sid for sid, mask in files.allowed_rights(path) if mask}
        # Wine keeps modes, and shows the system beside the owner.
        assert granted - ({SYSTEM} if WINE else set()) == {tokens.me()}, path
        assert private_files.why_distrusted(path) is None


def test_file_is_replaced_but_a_fresh_one_must_be_missing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("something long")
    with os.fdopen(private_files.create(path, fresh=False), "wb") as file:
        file.write(b"new\n")
    assert path.read_bytes() == b"new\n"
    with pytest.raises(FileExistsError):
        private_files.create(path, fresh=True)


def test_replaced_file_is_private_whatever_it_was_before(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("loose")
    allow(path, f"D:P(A;;FA;;;WD)(A;;FA;;;{tokens.me()})")
    assert private_files.why_distrusted(path)
    os.close(private_files.create(path, fresh=False))
    assert path.read_bytes() == b""
    granted = {sid for sid, mask in files.allowed_rights(path) if mask}
    assert granted - ({SYSTEM} if WINE else set()) == {tokens.me()}


def test_missing_drive_is_an_error() -> None:
    missing = next(drive for letter in "QRSTUVWX" if not (drive := Path(f"{letter}:\\")).exists())
    with pytest.raises(FileNotFoundError):
        private_files.make_folder(missing / "deep" / "home")


def test_handle_without_a_descriptor_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_handle: int, _flags: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(msvcrt, "open_osfhandle", refuse)
    with pytest.raises(OSError, match="Too many"):
        private_files.create(tmp_path / "file", fresh=True)
    with pytest.raises(OSError, match="Too many"), spawn.opened_for_append(tmp_path / "log"):
        pass
    # A program that has a file open without sharing keeps it from being renamed.
    for name in ("file", "log"):
        handle = win32_files.CreateFile(str(tmp_path / name), win32_files.GENERIC_WRITE, 0, None, 4, 0x80, None)
        assert handle != files.INVALID_HANDLE, name
        win32.CloseHandle(handle)


def access_list(ace_type: int, rest: bytes) -> "ctypes.Array[ctypes.c_char]":
    """Return an ACL with one entry of this type, which allows everything."""
    ace = struct.pack("<BBHI", ace_type, 0, 8 + len(rest), 0x1F01FF) + rest
    return ctypes.create_string_buffer(struct.pack("<BBHHH", 4, 0, 8 + len(ace), 1, 0) + ace)


SID_OF_EVERYONE = struct.pack("<BB6sI", 1, 1, b"\0\0\0\0\0\1", 0)


@pytest.mark.parametrize(
    ("ace_type", "rest", "who"),
    [
        (0, SID_OF_EVERYONE, EVERYONE),
        (9, SID_OF_EVERYONE + b"artx" + b"\0" * 4, EVERYONE),
        (5, struct.pack("<I16s", 1, b"") + SID_OF_EVERYONE, "an entry of type 5"),
        (11, struct.pack("<I", 0) + SID_OF_EVERYONE, "an entry of type 11"),
        (77, SID_OF_EVERYONE, "an entry of type 77"),
    ],
    ids=["plain", "with a condition", "object", "object with a condition", "unknown"],
)
def test_every_kind_of_allowing_entry_counts(ace_type: int, rest: bytes, who: str) -> None:
    acl = access_list(ace_type, rest)
    ((sid, mask),) = files._read_list(ctypes.addressof(acl))
    assert sid == who
    assert mask & files.WRITES


@pytest.mark.parametrize("ace_type", win32_files.DENYING_ACE_TYPES)
def test_denying_entry_allows_nothing(ace_type: int) -> None:
    acl = access_list(ace_type, SID_OF_EVERYONE)
    assert list(files._read_list(ctypes.addressof(acl))) == []


def test_unreadable_entry_is_distrusted_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.close(private_files.create(tmp_path / "file", fresh=True))
    monkeypatch.setattr(files, "_read_list", lambda _: [("an entry of type 5", files.WRITES)])
    reason, mend = private_files.why_distrusted(tmp_path / "file") or ("", "")
    assert "type 5" in reason
    assert mend.endswith("/reset")


@pytest.mark.parametrize("list_of_access", ["D:P(A;;FA;;;WD)", "D:P(A;;FA;;;{me})(A;;FW;;;WD)"])
def test_file_that_others_may_write_is_not_trusted(tmp_path: Path, list_of_access: str) -> None:
    path = tmp_path / "file"
    path.touch()
    allow(path, list_of_access.format(me=tokens.me()))
    reason, mend = private_files.why_distrusted(path) or ("", "")
    assert EVERYONE in reason
    assert mend.startswith("icacls")
    assert EVERYONE in mend


def test_file_that_administrators_may_write_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    allow(path, f"D:P(A;;FA;;;{tokens.me()})(A;;FA;;;SY)(A;;FA;;;BA)(A;;FR;;;WD)")
    assert private_files.why_distrusted(path) is None


def held(path: Path, seconds: float) -> Callable[[], None]:
    """Keep a file open for so long, in another thread; call the result to join that thread."""
    opened = threading.Event()

    def hold() -> None:
        with path.open("rb"):
            opened.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    opened.wait()
    return thread.join


def test_briefly_open_file_is_replaced_once_closed(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    new.write_text("new")
    leave = held(old, private_files.PAUSES_S[0] * 3)
    file_replacer()(new, old)
    leave()
    assert old.read_text() == "new"
    assert not new.exists()


def test_file_that_stays_open_is_an_error_in_bounded_time(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    new.write_text("new")
    with old.open("rb"), pytest.raises(PermissionError) as caught:
        private_files.replace(new, old)
    assert caught.value.winerror in (win32.ERROR_ACCESS_DENIED, win32.ERROR_SHARING_VIOLATION)
    assert old.read_text() == "old"


def test_readers_and_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("0")
    seen: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(private_files.retry_while_open(path.read_text))
            # Like clients that wait for a daemon. Readers without a pause would let no program write.
            time.sleep(0.02)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(50):
            draft = tmp_path / "draft"
            draft.write_text(str(number))
            private_files.replace(draft, path)
    finally:
        done.set()
        reader.join()
    assert all(text.isdigit() for text in seen)
    assert path.read_text() == "49"


def test_other_errors_are_raised_at_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise FileNotFoundError(tmp_path)

    with pytest.raises(FileNotFoundError):
        private_files.retry_while_open(fail)
    assert len(calls) == 1
