"""Runs every contract test on the fakes and on the real platform."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.platforms import PlatformHarness, harness_of


@pytest.fixture(params=["fake", "real"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PlatformHarness]:
    """Yield one harness; a test chooses others by indirect parameters."""
    with harness_of(request.param, tmp_path) as made:
        yield made
