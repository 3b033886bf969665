import grp
import os
import pwd
from pathlib import Path
from types import SimpleNamespace

import pytest

from supervisor.native import private_files

GROUP = 4321


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "file"
    file.touch(mode=0o664)
    return file


def users(monkeypatch: pytest.MonkeyPatch, listed: tuple[str, ...], by_default: tuple[str, ...]) -> None:
    """Set the listed members of the group, and the users whose own group it is; the user is called `me`."""
    everybody = [SimpleNamespace(pw_name=name, pw_gid=GROUP if name in by_default else 1) for name in ("me", "you")]
    monkeypatch.setattr(grp, "getgrgid", lambda _: SimpleNamespace(gr_mem=list(listed)))
    monkeypatch.setattr(pwd, "getpwuid", lambda _: everybody[0])
    monkeypatch.setattr(pwd, "getpwall", lambda: everybody)


@pytest.mark.parametrize(
    ("listed", "by_default", "alone"),
    [
        ((), ("me",), True),
        (("me",), ("me",), True),
        (("me",), (), True),
        (("you",), ("me",), False),
        ((), ("me", "you"), False),
        ((), ("you",), False),
        ((), (), False),
    ],
)
def test_group_without_other_members_is_the_users_own(
    monkeypatch: pytest.MonkeyPatch, file: Path, listed: tuple[str, ...], by_default: tuple[str, ...], *, alone: bool
) -> None:
    users(monkeypatch, listed, by_default)
    assert private_files.is_own_group(file, GROUP) is alone


def test_group_without_a_name_may_have_other_members(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    def unknown(_: int) -> None:
        raise KeyError("no such group")

    users(monkeypatch, (), ("me",))
    monkeypatch.setattr(grp, "getgrgid", unknown)
    assert private_files.is_own_group(file, GROUP) is False


@pytest.mark.linux_only
def test_group_bits_mean_nothing_with_an_access_list(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    users(monkeypatch, (), ("me",))
    monkeypatch.setattr(os, "listxattr", lambda _: ["security.selinux", "system.posix_acl_access"])
    assert private_files.is_own_group(file, GROUP) is False
