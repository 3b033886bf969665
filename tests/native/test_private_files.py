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
    """Who is listed in the group, and whose own group it is; the user is called `me`."""
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
def test_a_group_is_the_users_own_when_nobody_else_is_in_it(
    monkeypatch: pytest.MonkeyPatch, file: Path, listed: tuple[str, ...], by_default: tuple[str, ...], *, alone: bool
) -> None:
    users(monkeypatch, listed, by_default)
    assert private_files.nobody_else_by_group(file, GROUP) is alone


def test_a_group_or_user_that_has_no_name_is_not_known_to_be_alone(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    def unknown(_: int) -> None:
        raise KeyError("no such group")

    users(monkeypatch, (), ("me",))
    monkeypatch.setattr(grp, "getgrgid", unknown)
    assert private_files.nobody_else_by_group(file, GROUP) is False


@pytest.mark.linux_only
def test_with_an_access_list_the_groups_bits_say_nothing(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    users(monkeypatch, (), ("me",))
    monkeypatch.setattr(os, "listxattr", lambda _: ["security.selinux", "system.posix_acl_access"])
    assert private_files.nobody_else_by_group(file, GROUP) is False
