import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model import Topology, VersionSource
from supervisor.errors import VersionConflict
from supervisor.kinds.addon import AddonSeen
from supervisor.kinds.catalog import Catalog
from supervisor.kinds.kind import Kind
from supervisor.kinds.versions import (
    VersionRange,
    choose_version,
    covers,
    excludes,
    kind_for_version,
    release_number,
    version_for,
)

GODOT_AI = Kind("godot-ai", ("x",), Topology.SHARED, package="godot-ai", version="4.3.1", engine={"<4.7": "3.2.5"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4.6.3-stable (official)", (4, 6, 3)),
        ("4.7-stable (official)", (4, 7)),
        ("4.7.stable.official.5b4e0cb0f", (4, 7)),
        ("4.7-beta1", (4, 7)),
        ("v4.10", (4, 10)),
        ("4.0.0", (4,)),
        ("0", (0,)),
        ("4.3.0rc1", (4, 3)),
        ("stable", None),
        ("", None),
    ],
)
def test_the_dotted_number_is_found(text: str, expected: tuple[int, ...] | None) -> None:
    assert release_number(text) == expected


@pytest.mark.parametrize(
    ("range_text", "version", "inside"),
    [
        ("<4.7", "4.6.3-stable (official)", True),
        ("<4.7", "4.7-stable (official)", False),
        ("<4.7", "4.7.0", False),
        ("<4.7", "4.10", False),
        (">=4.5,<4.7", "4.5", True),
        (" >= 4.5 , < 4.7 ", "4.4.9", False),
        ("==4.6", "4.6.0", True),
        ("!=4.6", "4.6.1", True),
        (">=4", "stable", False),
    ],
)
def test_ranges_compare_numbers_not_texts(range_text: str, version: str, inside: bool) -> None:  # noqa: FBT001
    assert covers(range_text, version) is inside


@pytest.mark.parametrize("text", ["", "4.7", "<", "<4.x", "<4.7,", "~=4.7", "<4.7 or >5"])
def test_an_invalid_range_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="not a range of versions like"):
        VersionRange.parse(text)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_every_version_is_below_equal_or_above_every_bound(version: list[int], bound: list[int]) -> None:
    texts = [".".join(map(str, parts)) for parts in (version, bound)]
    assert sum(covers(sign + texts[1], texts[0]) for sign in ("<", "==", ">")) == 1
    padded = [parts + [0] * (4 - len(parts)) for parts in (version, bound)]
    assert covers("<" + texts[1], texts[0]) is (padded[0] < padded[1])


def test_the_engine_decides_if_no_version_is_requested() -> None:
    assert version_for(GODOT_AI, None, "4.6.3-stable (official)") == "3.2.5"
    assert version_for(GODOT_AI, None, "4.7-stable (official)") == "4.3.1"
    assert version_for(GODOT_AI, None, "a build of my own") == "4.3.1"
    assert version_for(GODOT_AI, None, None) == "4.3.1"


def test_a_requested_version_wins() -> None:
    assert version_for(GODOT_AI, "4.2.0", None) == "4.2.0"
    assert version_for(GODOT_AI, "3.2.5", "4.7") == "3.2.5"
    assert version_for(GODOT_AI, "2.4.2", "4.6.3") == "2.4.2"


def test_a_version_too_new_for_the_engine_is_refused() -> None:
    with pytest.raises(VersionConflict, match=re.escape("godot-ai 4.3.1 does not work with engine 4.6.3")) as caught:
        version_for(GODOT_AI, "4.3.1", "4.6.3")
    assert caught.value.data["works"] == "3.2.5"
    assert "3.2.5" in (caught.value.hint or "")


def test_a_kind_without_versions_has_none() -> None:
    assert version_for(Kind("x", ("x",)), None, "4.6") is None


@pytest.mark.parametrize(
    ("versions", "version", "expected"),
    [
        (">=3.0.6", "3.0.5", True),
        (">=3.0.6", "3.0.5.post1", True),
        (">=3.0.6", "3.0.6", False),
        (">=3.0.6", "3.0.6rc1", False),
        (">=3.0.6", "1!0.1", False),
        (">=3.0.6", None, False),
        (">=3.0.6", "a build of mine", False),
        (None, "3.0.5", False),
    ],
)
def test_a_feature_is_missing_only_from_versions_that_are_known(
    *, versions: str | None, version: str | None, expected: bool
) -> None:
    assert excludes(versions, version) is expected


@pytest.mark.parametrize(
    ("version", "is_asked", "has_bridge"),
    [
        ("1.5.0", False, False),
        ("2.2.0", False, False),
        ("2.2.1", True, False),
        ("2.4.2", True, False),
        ("3.0.5", True, False),
        ("3.0.6", True, True),
        ("4.3.1", True, True),
        (None, True, True),
        ("mine", True, True),
    ],
)
def test_the_recipe_of_godot_ai_is_fitted_to_each_version(
    *, version: str | None, is_asked: bool, has_bridge: bool
) -> None:
    kind = kind_for_version(Catalog.build({}).get("godot-ai"), version)
    assert (kind.identify is not None, bool(kind.connect)) == (is_asked, has_bridge)


def addon(version: str | None = None, problem: str | None = None) -> AddonSeen:
    return AddonSeen("/p", "plugin.cfg", version, problem)


@pytest.mark.parametrize(
    ("wanted", "engine", "seen", "version", "source"),
    [
        (None, None, None, "4.3.1", VersionSource.RECIPE),
        (None, "4.6", None, "3.2.5", VersionSource.ENGINE),
        (None, "4.7", None, "4.3.1", VersionSource.RECIPE),
        (None, None, addon("2.5.9"), "2.5.9", VersionSource.ADDON),
        (None, "4.6", addon("2.5.9"), "2.5.9", VersionSource.ADDON),
        (None, "4.7", addon("4.2.3"), "4.2.3", VersionSource.ADDON),
        (None, None, addon("9.9.9"), "9.9.9", VersionSource.ADDON),
        ("3.0.5", None, addon("2.5.9"), "3.0.5", VersionSource.ASKED),
        ("v4.3", None, None, "4.3", VersionSource.ASKED),
        (None, "4.6", addon("4.3.1"), "3.2.5", VersionSource.ENGINE),
        (None, None, addon(problem="cannot be read"), "4.3.1", VersionSource.RECIPE),
        (None, "4.6", addon(problem="cannot be read"), "3.2.5", VersionSource.ENGINE),
        (None, None, addon("9.9.9", "which the index lacks"), "4.3.1", VersionSource.RECIPE),
    ],
)
def test_a_requested_version_precedes_addon_engine_and_recipe(
    wanted: str | None, engine: str | None, seen: AddonSeen | None, version: str, source: VersionSource
) -> None:
    chosen = choose_version(GODOT_AI, wanted, engine, seen)
    assert (chosen[0], chosen[1].source) == (version, source)


@pytest.mark.parametrize(
    ("wanted", "engine", "seen", "reason"),
    [
        (None, None, addon("2.5.9"), None),
        ("2.5.9", None, addon("v2.5.9"), None),
        (None, None, addon(problem="cannot be read: no"), "plugin.cfg in /p cannot be read: no"),
        (None, "4.6", addon("4.3.1"), "plugin.cfg in /p has 4.3.1, which does not work with engine 4.6"),
        (
            None,
            None,
            addon("9.9.9", "which nobody has"),
            "plugin.cfg in /p has 9.9.9, which nobody has: its plugin does not use another version",
        ),
        ("3.0.5", None, addon("2.5.9"), "plugin.cfg has 2.5.9: its plugin does not use another version"),
    ],
)
def test_an_addon_that_is_passed_over_is_reported(
    wanted: str | None, engine: str | None, seen: AddonSeen, reason: str | None
) -> None:
    assert choose_version(GODOT_AI, wanted, engine, seen)[1].passed_over == reason


@pytest.mark.parametrize(("version", "why"), [("1.2", "from its recipe"), (None, "as the server reports it")])
def test_recipe_without_a_version_leaves_it_to_the_server(version: str | None, why: str) -> None:
    kind = Kind("mine", command=("srv",), version=version)
    chosen = choose_version(kind, None, None, None)
    assert (chosen[0], chosen[1].why) == (version, why)
