"""Every contract test runs on the fakes and on the real thing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.worlds import World, world_of


@pytest.fixture(params=["fake", "real"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """One world; a test may ask for others by indirect parameters."""
    with world_of(request.param, tmp_path) as made:
        yield made
