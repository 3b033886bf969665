"""Gives tests of the real platform the harness of the contract suite."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.platforms import RealHarness


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[RealHarness]:
    """Make real processes and sockets, and end them after the test."""
    with contextlib.closing(RealHarness(tmp_path)) as made:
        yield made
