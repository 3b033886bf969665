"""Files that other users could have written are not believed; a token goes only to this user's processes."""

import os
import socket
from pathlib import Path

import pytest

from supervisor.native import trust
from supervisor.native.trust import DistrustedError
from tests.contract.platforms import unix_connection
from tests.privilege import NEEDS_ROOT, NOBODY
from tests.systems import POSIX_ONLY

pytestmark = POSIX_ONLY


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"ours")
    path.chmod(0o600)
    return path


def test_a_file_of_ours_is_read(file: Path) -> None:
    assert trust.contents(file, 4) == b"ours"
    file.chmod(0o644)
    assert trust.contents(str(file), 4) == b"ours", "others may read it"


def test_too_long_file_is_refused(file: Path) -> None:
    with pytest.raises(DistrustedError, match="longer than 3 bytes"):
        trust.contents(file, 3)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_file_that_others_may_write_is_refused_with_the_remedy(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(DistrustedError, match="others may write") as caught:
        trust.contents(file, 4)
    assert caught.value.fix == f"chmod go-w {file}"


def test_links_fifos_and_folders_are_refused_as_files(file: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(file)
    os.mkfifo(tmp_path / "fifo")
    for name, problem in (("link", "is a link"), ("fifo", "no regular file"), (".", "no regular file")):
        with pytest.raises(DistrustedError, match=problem):
            trust.contents(tmp_path / name, 4)


def test_missing_file_raises_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        trust.contents(tmp_path / "nothing", 4)
    with pytest.raises(FileNotFoundError):
        trust.check_folder(tmp_path / "nothing")
    assert trust.problem_of_folder(tmp_path / "nothing") is None


def test_a_folder_of_ours_may_be_reached_over_a_link_of_ours(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(folder)
    trust.check_folder(folder)
    trust.check_folder(tmp_path / "link")
    folder.chmod(0o1777)
    for path in (folder, tmp_path / "link"):
        assert "others may write into" in str(trust.problem_of_folder(path))


def test_a_folder_that_we_make_is_ours_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        trust.make_folder(tmp_path / "deep" / "folder")
    finally:
        os.umask(before)
    assert (tmp_path / "deep" / "folder").stat().st_mode & 0o777 == 0o700
    trust.make_folder(tmp_path / "deep" / "folder")


def test_a_file_is_no_folder(file: Path) -> None:
    with pytest.raises(NotADirectoryError):
        trust.check_folder(file)


@pytest.mark.parametrize("what", [pytest.param("file", marks=NEEDS_ROOT), pytest.param("link", marks=NEEDS_ROOT)])
def test_file_of_another_user_is_not_believed(file: Path, tmp_path: Path, what: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    os.chown(file, NOBODY, -1)
    os.chown(tmp_path / "link", NOBODY, -1, follow_symlinks=False)
    with pytest.raises(DistrustedError, match="another user"):
        trust.contents(file, 4) if what == "file" else trust.check_folder(tmp_path / "link")


def test_our_own_process_is_of_our_user() -> None:
    with unix_connection() as (ours, theirs):
        assert trust.same_user(ours)
        assert trust.same_user(theirs)


def test_listener_without_credentials_counts_as_another_user(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET) as nobody:
        assert trust.peer_uid(nobody, "macos") is None
        monkeypatch.delattr(socket, "SO_PEERCRED", raising=False)
        monkeypatch.setattr(trust, "SYSTEM", "plan9")
        assert not trust.same_user(nobody)
