import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model import Topology
from supervisor.errors import VersionConflict
from supervisor.kinds.catalog import Catalog
from supervisor.kinds.kind import Kind
from supervisor.kinds.versions import Range, covers, fitted, lacks, number, version_for, versions_offered

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
    assert number(text) == expected


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
def test_what_is_no_range_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="no range of versions like"):
        Range.parse(text)


@given(st.lists(st.integers(0, 99), min_size=1, max_size=4), st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_every_version_is_below_equal_or_above_every_bound(version: list[int], bound: list[int]) -> None:
    texts = [".".join(map(str, parts)) for parts in (version, bound)]
    assert sum(covers(sign + texts[1], texts[0]) for sign in ("<", "==", ">")) == 1
    padded = [parts + [0] * (4 - len(parts)) for parts in (version, bound)]
    assert covers("<" + texts[1], texts[0]) is (padded[0] < padded[1])


def test_the_engine_decides_where_no_version_is_asked_for() -> None:
    assert version_for(GODOT_AI, None, "4.6.3-stable (official)") == "3.2.5"
    assert version_for(GODOT_AI, None, "4.7-stable (official)") == "4.3.1"
    assert version_for(GODOT_AI, None, "a build of my own") == "4.3.1"
    assert version_for(GODOT_AI, None, None) == "4.3.1"


def test_a_version_asked_for_wins() -> None:
    assert version_for(GODOT_AI, "4.2.0", None) == "4.2.0"
    assert version_for(GODOT_AI, "3.2.5", "4.7") == "3.2.5"
    assert version_for(GODOT_AI, "2.4.2", "4.6.3") == "2.4.2"


def test_a_version_too_new_for_the_engine_is_refused_with_the_one_that_works() -> None:
    with pytest.raises(VersionConflict, match=re.escape("godot-ai 4.3.1 does not work with engine 4.6.3")) as caught:
        version_for(GODOT_AI, "4.3.1", "4.6.3")
    assert caught.value.data["works"] == "3.2.5"
    assert "3.2.5" in (caught.value.hint or "")


def test_a_kind_without_versions_has_none() -> None:
    assert version_for(Kind("x", ("x",)), None, "4.6") is None


PIP = """
ERROR: Could not find a version that satisfies the requirement godot-ai==9.9.9 (from versions: 3.2.5, 4.0.0, 4.10.0)
ERROR: No matching distribution found for godot-ai==9.9.9
"""
PIP_NOTHING = "ERROR: Could not find a version that satisfies the requirement godot-ai==9.9.9 (from versions: none)"
PIP_DEPENDENCY = """
ERROR: Could not find a version that satisfies the requirement fastmcp==9 (from godot-ai) (from versions: 1.0)
"""
UV_RANGES = """
  cause: Because only the following versions of godot-ai are available:
             godot-ai<=4.3.0
             godot-ai>=4.3.1
         and you require godot-ai>4.3.0,<4.3.1, we can conclude that your requirements are unsatisfiable.
"""
UV_LISTED = """
  ╰─▶ Because only the following versions of godot-ai are available:
          godot-ai==3.2.5
          godot-ai==4.3.0
      and you require godot-ai==9.9.9, we can conclude that your requirements are unsatisfiable.
"""
UV_NEWEST = (
    "  cause: Because only godot-ai<=4.3.1 is available and you require godot-ai>9.9.9, we can conclude that your"
)
UV_NOTHING = (
    "  cause: Because there is no version of godot-ai==9.9.9 and you require godot-ai==9.9.9, we can conclude that"
)


@pytest.mark.parametrize(
    ("output", "versions"),
    [
        (PIP, ["3.2.5", "4.0.0", "4.10.0"]),
        (PIP_NOTHING, []),
        (PIP_DEPENDENCY, []),
        (UV_RANGES, ["4.3.0", "4.3.1"]),
        (UV_LISTED, ["3.2.5", "4.3.0"]),
        (UV_NEWEST, ["4.3.1"]),
        (UV_NOTHING, []),
        ("", []),
    ],
)
def test_the_versions_that_an_installer_offers_are_found_in_its_words(output: str, versions: list[str]) -> None:
    assert versions_offered("godot-ai", output) == versions


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
    assert lacks(versions, version) is expected


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
    kind = fitted(Catalog.build({}).get("godot-ai"), version)
    assert (kind.identify is not None, bool(kind.connect)) == (is_asked, has_bridge)
