"""Access lists, and the patience of readers and writers."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.native import private, win32, windows_files, windows_tokens
from supervisor.native.wing import file_replacer
from tests.windows.access import allow
from tests.wine import WINE

EVERYONE = "S-1-1-0"
SYSTEM = "S-1-5-18"


def test_what_is_made_for_the_user_alone_names_nobody_else(tmp_path: Path) -> None:
    os.close(private.create(tmp_path / "file", fresh=True))
    private.make_folder(tmp_path / "deep" / "folder")
    for path in (tmp_path / "file", tmp_path / "deep" / "folder", tmp_path / "deep"):
        granted = {sid for sid, mask in windows_files.entries(path) if mask}
        # Wine keeps modes, and shows the system beside the owner.
        assert granted - ({SYSTEM} if WINE else set()) == {windows_tokens.me()}, path
        assert private.distrust(path) is None


def test_a_file_is_written_anew_and_a_fresh_one_must_not_be_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("something long")
    with os.fdopen(private.create(path, fresh=False), "wb") as file:
        file.write(b"new\n")
    assert path.read_bytes() == b"new\n"
    with pytest.raises(FileExistsError):
        private.create(path, fresh=True)


@pytest.mark.parametrize("list_of_access", ["D:P(A;;FA;;;WD)", "D:P(A;;FA;;;{me})(A;;FW;;;WD)"])
def test_what_others_may_write_is_not_trusted(tmp_path: Path, list_of_access: str) -> None:
    path = tmp_path / "file"
    path.touch()
    allow(path, list_of_access.format(me=windows_tokens.me()))
    reason, mend = private.distrust(path) or ("", "")
    assert EVERYONE in reason
    assert mend.startswith("icacls")
    assert EVERYONE in mend


def test_what_others_may_read_and_administrators_write_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    allow(path, f"D:P(A;;FA;;;{windows_tokens.me()})(A;;FA;;;SY)(A;;FA;;;BA)(A;;FR;;;WD)")
    assert private.distrust(path) is None


def held(path: Path, seconds: float) -> Callable[[], None]:
    """Keep a file open for so long, in another thread; call the answer to see that thread out."""
    opened = threading.Event()

    def hold() -> None:
        with path.open("rb"):
            opened.set()
            time.sleep(seconds)

    thread = threading.Thread(target=hold)
    thread.start()
    opened.wait()
    return thread.join


def test_a_file_that_is_open_for_a_moment_is_replaced_when_it_is_not(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    new.write_text("new")
    leave = held(old, private.PAUSES_S[0] * 3)
    file_replacer()(new, old)
    leave()
    assert old.read_text() == "new"
    assert not new.exists()


def test_a_file_that_stays_open_is_an_error_in_bounded_time(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    new.write_text("new")
    with old.open("rb"), pytest.raises(PermissionError) as caught:
        private.replace(new, old)
    assert caught.value.winerror in (win32.ERROR_ACCESS_DENIED, win32.ERROR_SHARING_VIOLATION)
    assert old.read_text() == "old"


def test_readers_and_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_text("0")
    seen: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.append(private.patiently(path.read_text))
            # As clients do that wait for a daemon. Whoever does nothing but read lets nobody write.
            time.sleep(0.02)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(50):
            draft = tmp_path / "draft"
            draft.write_text(str(number))
            private.replace(draft, path)
    finally:
        done.set()
        reader.join()
    assert all(text.isdigit() for text in seen)
    assert path.read_text() == "49"


def test_another_error_is_told_at_once(tmp_path: Path) -> None:
    calls: list[int] = []

    def fail() -> None:
        calls.append(1)
        raise FileNotFoundError(tmp_path)

    with pytest.raises(FileNotFoundError):
        private.patiently(fail)
    assert len(calls) == 1
