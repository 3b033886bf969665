from dataclasses import replace

import pytest

from tests.engine.answers import Answers
from tests.engine.harness import EngineHarness


@pytest.fixture
def answers(harness: EngineHarness) -> Answers:
    """The answers that the servers of this engine give, in the place of HTTP."""
    given = Answers()
    harness.queries = replace(harness.queries, identify=given.identify)
    return given
