"""Versions as PEP 440 defines them. The results agree with `packaging`, which pytest installs."""

from itertools import pairwise

import packaging.version
import pytest

from supervisor.core.pep440 import canonical, matches, parse

ORDERED = [
    "1.0.dev1", "1.0a1.dev2", "1.0a1", "1.0a2", "1.0b1", "1.0rc1.dev3", "1.0rc1", "1.0", "1.0+abc", "1.0+abc.5",
    "1.0+5", "1.0.post0.dev1", "1.0.post0", "1.0.post1", "1.0.1", "1.2", "1.10", "1!0.1",
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("4.3", "4.3.0"),
        ("4.3.0.0", "4.3"),
        ("4", "4.0.0"),
        ("v4.3.1", "4.3.1"),
        ("V4.3.1", "4.3.1"),
        (" 4.3.1\n", "4.3.1"),
        ("04.03.01", "4.3.1"),
        ("0!4.3.1", "4.3.1"),
        ("4.3.1-RC.1", "4.3.1rc1"),
        ("4.3.1c1", "4.3.1rc1"),
        ("4.3.1.preview1", "4.3.1rc1"),
        ("4.3.1-alpha", "4.3.1a0"),
        ("4.3.1_beta_2", "4.3.1b2"),
        ("4.3.1-1", "4.3.1.post1"),
        ("4.3.1rev2", "4.3.1.post2"),
        ("4.3.1.r", "4.3.1.post0"),
        ("4.3.1dev", "4.3.1.dev0"),
        ("4.3.1", "4.3.1+ubuntu.1"),
        ("4.3.1+ubuntu-1", "4.3.1+Ubuntu.1"),
        ("4.3.1+ubuntu.01", "4.3.1+ubuntu.1"),
        ("a build of mine", "a build of mine"),
    ],
)
def test_equal_versions_by_pep_440_are_the_same(wanted: str, found: str) -> None:
    assert matches(wanted, found)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("4.3", "4.3.1"),
        ("4.3.1", "4.3.1.post0"),
        ("4.3.1", "4.3.1rc1"),
        ("4.3.1", "4.3.1.dev0"),
        ("4.3.1", "1!4.3.1"),
        ("4.3.1+a", "4.3.1"),
        ("4.3.1+a", "4.3.1+b"),
        ("4.3.1rc1", "4.3.1rc2"),
        ("4.3.1rc1", "4.3.1a1"),
        ("4.3.10", "4.3.1"),
        ("4.3.1", "4.3.1-foo"),
        ("latest", "4.3.1"),
        ("4.3.1", ""),
    ],
)
def test_different_versions_by_pep_440_differ(wanted: str, found: str) -> None:
    assert not matches(wanted, found)


@pytest.mark.parametrize(
    "text", ["", "latest", "4.", ".4", "4..3", "4.3.x", "4.3.*", ">=4", "==4.3", "4 3", "4.3.1+", "4.3.1-foo", "4,3",
             "٤.٣", "-1", "1!", "4.3.1+a..b", "4.3/../..", "1" * 65, "4.3.1;x", "4.3.1 4.3.2"],
)  # fmt: skip
def test_other_texts_are_not_versions(text: str) -> None:
    assert parse(text) is None
    assert canonical(text) == text


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("v4.3", "4.3"),
        ("4.3.0", "4.3.0"),
        ("1!4.3-RC1", "1!4.3rc1"),
        ("4.3.1-1", "4.3.1.post1"),
        ("4.3.1.POST.dev", "4.3.1.post0.dev0"),
        ("4.3.1+Local_7", "4.3.1+local.7"),
    ],
)
def test_version_has_one_normal_form(text: str, normal: str) -> None:
    assert canonical(text) == normal
    assert canonical(normal) == normal


def test_versions_sort_in_the_order_of_pep_440() -> None:
    versions = [parse(text) for text in ORDERED]
    for before, after in pairwise(versions):
        assert before is not None
        assert after is not None
        assert before.order < after.order


def test_packaging_agrees() -> None:
    for first in ORDERED:
        assert canonical(first) == str(packaging.version.Version(first))
        for second in ORDERED:
            ours = parse(first), parse(second)
            assert ours[0] is not None
            assert ours[1] is not None
            assert (ours[0].order < ours[1].order) == (
                packaging.version.Version(first) < packaging.version.Version(second)
            )
