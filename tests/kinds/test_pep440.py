"""Versions that are spelled differently and mean the same."""

import pytest

from supervisor.kinds.pep440 import parsed, same_version


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("4.3", "4.3.0"),
        ("v4.3", "4.3.0.0"),
        ("1.0RC1", "1.0-rc.1"),
        ("1.0c1", "1.0rc1"),
        ("1.0alpha", "1.0a0"),
        ("1.0-1", "1.0.post1"),
        ("1.0.DEV", "1.0dev0"),
        ("1.0+Ubuntu-1", "1.0+ubuntu.1"),
        ("0!1", "1.0"),
        ("01.02", "1.2"),
    ],
)
def test_spellings_of_one_version_are_the_same(one: str, other: str) -> None:
    assert same_version(one, other)
    assert same_version(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("4.3", "4.30"),
        ("4.3", "4.3.1"),
        ("4.3", "4.3rc1"),
        ("4.3", "4.3.post1"),
        ("4.3", "4.3.dev1"),
        ("4.3", "1!4.3"),
        ("4.3", "4.3+local"),
        ("4.3a1", "4.3b1"),
        ("nightly", "4.3"),
        ("nightly", "Nightly"),
    ],
)
def test_other_versions_are_not_the_same(one: str, other: str) -> None:
    assert not same_version(one, other)
    assert not same_version(other, one)


def test_what_is_no_version_is_the_same_as_itself_only() -> None:
    assert parsed("nightly") is None
    assert same_version("nightly", "nightly")
