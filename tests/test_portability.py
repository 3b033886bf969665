"""How many tests are left out here because of the system, and why."""

import pytest

from tests.systems import REASONS, SYSTEM

ENOUGH_TO_COUNT = 1000
MOST = 0.05


def skipped(item: pytest.Item) -> str | None:
    """The reason; None: it is run."""
    for mark in item.iter_markers("skip"):
        return str(mark.kwargs.get("reason", ""))
    for mark in item.iter_markers("skipif"):
        if all(mark.args):
            return str(mark.kwargs["reason"])
    return None


def test_few_tests_are_left_out_on_windows_and_each_for_one_of_three_reasons(request: pytest.FixtureRequest) -> None:
    reasons = [reason for item in request.session.items if (reason := skipped(item)) is not None]
    if SYSTEM == "windows":
        assert set(reasons) <= set(REASONS)
        # Of a few files chosen by hand, many may be another system's.
        if len(request.session.items) >= ENOUGH_TO_COUNT:
            assert len(reasons) < MOST * len(request.session.items)
    # Elsewhere a test can lack root, or the hour that it takes.
    assert "" not in reasons


def test_a_skip_is_counted_whichever_way_it_is_marked(request: pytest.FixtureRequest) -> None:
    item = request.node
    assert skipped(item) is None
    item.add_marker(pytest.mark.skipif(False, reason="not now"))
    assert skipped(item) is None
    item.add_marker(pytest.mark.skipif(True, reason="always"))
    assert skipped(item) == "always"
