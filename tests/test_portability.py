"""The tests that are skipped because of the system, counted with their reasons."""

import pytest

from tests.systems import REASONS, SYSTEM

ENOUGH_TO_COUNT = 1000
MOST = 0.05


def skipped(item: pytest.Item) -> str | None:
    """Return the reason of a skip, or None if the test runs."""
    for mark in item.iter_markers("skip"):
        return str(mark.kwargs.get("reason", ""))
    for mark in item.iter_markers("skipif"):
        if all(mark.args):
            return str(mark.kwargs["reason"])
    return None


def test_few_tests_are_skipped_on_windows_for_three_reasons(request: pytest.FixtureRequest) -> None:
    reasons = [reason for item in request.session.items if (reason := skipped(item)) is not None]
    if SYSTEM == "windows":
        assert set(reasons) <= set(REASONS)
        # A few files that a developer chose may mostly belong to another system.
        if len(request.session.items) >= ENOUGH_TO_COUNT:
            assert len(reasons) < MOST * len(request.session.items)
    # On other systems a test may lack root, or the hour that it takes.
    assert "" not in reasons


def test_every_way_to_mark_a_skip_is_counted(request: pytest.FixtureRequest) -> None:
    item = request.node
    assert skipped(item) is None
    item.add_marker(pytest.mark.skipif(False, reason="not now"))
    assert skipped(item) is None
    item.add_marker(pytest.mark.skipif(True, reason="always"))
    assert skipped(item) == "always"
