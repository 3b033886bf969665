"""A lock that detects a replaced lock file."""

from pathlib import Path

import pytest

from supervisor.native.shared.lock_file import LockFile
from tests.systems import POSIX_ONLY


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "daemon.lock"


def test_only_one_of_two_processes_holds_the_lock(path: Path) -> None:
    first, second = LockFile(path), LockFile(path)
    assert first.take()
    assert not second.take()
    assert (first.intact(), second.intact()) == (True, False)
    first.release()
    first.release()
    assert second.take()
    second.release()


@POSIX_ONLY
@pytest.mark.parametrize("how", ["removed", "replaced", "link", "folder moved"])
def test_lock_of_a_replaced_file_is_not_intact(path: Path, how: str) -> None:
    lock = LockFile(path)
    assert lock.take()
    match how:
        case "removed":
            path.unlink()
        case "replaced":
            path.with_suffix(".new").touch()
            path.with_suffix(".new").replace(path)
        case "link":
            path.rename(path.with_suffix(".old"))
            path.symlink_to(path.with_suffix(".old"))
        case "folder moved":
            path.parent.rename(path.parent.with_name("elsewhere"))
    assert not lock.intact()
    lock.release()


@POSIX_ONLY
def test_new_file_at_the_path_is_locked_again(path: Path) -> None:
    lock, other = LockFile(path), LockFile(path)
    assert lock.take()
    path.unlink()
    assert other.take(), "no process has locked the new file"
    assert not lock.take()
    other.release()
    assert lock.take()
    assert lock.intact()
    lock.release()


@POSIX_ONLY
def test_a_link_is_not_followed(path: Path) -> None:
    path.symlink_to(path.with_suffix(".other"))
    with pytest.raises(OSError, match=r"daemon\.lock"):
        LockFile(path).take()
    assert not path.with_suffix(".other").exists()
