"""Which tests belong to which gate. noxfile.py runs the gates; CONTRIBUTING.md says when to run which.

`fast`   tests that start no processes, or only short ones
`test`   README's command: everything but what is marked `full`
`full`   `.ci/run`: `test`, what is marked `full`, and the Hypothesis tests again with more examples
"""

from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

TESTS = Path(__file__).parent

DEV, FULL = "dev", "full"
"""The Hypothesis profiles: the default, and `--hypothesis-profile=full`."""
DEV_EXAMPLES, FULL_EXAMPLES = 50, 100
DEV_SHARE = 3
"""A test that asks for a number of examples tries a third of it in `dev`, at most `DEV_EXAMPLES`."""

NOT_FAST = (
    "benchmarks/*",
    "cli/test_real_*.py",
    "e2e/*",
    "engine/test_*environments.py",
    "kinds/test_recipe_*.py",
    "lab/*",
    "mcp/simulation/*",
    "mcp/test_bridge_*.py",
    "simulation/*",
    "test_packaging.py",
    "windows/*",
)
ParameterSet = type(pytest.param())
NOT_FAST_MARKERS = ("alone", "full", "needs_godot", "needs_index", "soak")


def register_profiles() -> None:
    """Register the Hypothesis profiles and load `dev`."""
    settings.register_profile(DEV, max_examples=DEV_EXAMPLES)
    settings.register_profile(FULL, max_examples=FULL_EXAMPLES)
    settings.load_profile(DEV)


def examples(in_full: int, at_most_in_dev: int = DEV_EXAMPLES) -> int:
    """Return how many examples a test tries that tries `in_full` in the profile `full`.

    A test that is repeated for each method or message lowers `at_most_in_dev`.
    """
    return in_full if settings.get_current_profile_name() == FULL else min(in_full // DEV_SHARE, at_most_in_dev)


def rest_in_full(values: Sequence[Any], keep: int = 1) -> list[Any]:
    """Return values for `parametrize`. All but the first `keep` are marked `full`: they repeat a story."""
    rest = []
    for value in values[keep:]:
        if isinstance(value, ParameterSet):
            rest.append(pytest.param(*value.values, marks=[*value.marks, pytest.mark.full], id=value.id))
        else:
            rest.append(pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.full))
    return [*values[:keep], *rest]


def mark(item: pytest.Item) -> None:
    """Add the markers `fast` and `full`, which `-m` selects by."""
    # The profile `full` tries more examples than README's command, so it runs every Hypothesis test again. The check
    # reads the module, because some tests make their Hypothesis test inside.
    if hasattr(getattr(item, "module", None), "given") and settings.get_current_profile_name() == FULL:
        item.add_marker(FULL)
    path = item.nodeid.partition("::")[0].removeprefix(f"{TESTS.name}/")
    slow = any(fnmatch(path, pattern) for pattern in NOT_FAST) or any(map(item.get_closest_marker, NOT_FAST_MARKERS))
    if not slow:
        item.add_marker("fast")


def not_asked_for(item: pytest.Item, expression: str) -> str | None:
    """Return why a test is skipped that only runs if `-m` names its marker; None if it is run."""
    is_left_out = item.get_closest_marker("needs_godot") and "needs_godot" not in expression
    return "asked for with -m needs_godot" if is_left_out else None


def longest_first(items: list[pytest.Item]) -> None:
    """Put the tests with the longest timeouts first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: -max((mark.args[0] for mark in item.iter_markers("timeout") if mark.args), default=0))
