"""The official conformance suite of MCP, against a server directly and through the bridge: the same must pass."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.home import Home
from tests.mcp.conformance import suite
from tests.mcp.conformance.adapter import Adapter

pytestmark = [pytest.mark.full, pytest.mark.needs_index, pytest.mark.timeout(300)]

RUNS = [(suite.OLD, suite.LEGACY), (suite.NEW, suite.MODERN)]

WITH_KILLS = [
    (suite.NEW, suite.LEGACY, "tools-call-elicitation"),
    (suite.NEW, suite.LEGACY, "tools-call-with-progress"),
    (suite.NEW, suite.LEGACY, "server-sse-polling"),
    (suite.NEW, suite.MODERN, "prompts-get-simple"),
    (suite.NEW, suite.MODERN, "input-required-result-multi-round"),
]
"""Scenarios in which the server is killed before each request. `python -m tests.mcp.conformance` runs all."""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path, suite.config())
    made.up(suite.KIND)
    yield made
    made.close()


@pytest.fixture
def connect(home: Home) -> Iterator[Callable[[], Adapter]]:
    made: list[Adapter] = []

    def start() -> Adapter:
        made.append(Adapter(home, suite.KIND))
        return made[-1]

    yield start
    for adapter in made:
        adapter.close()


@pytest.mark.parametrize(("version", "revision"), RUNS)
def test_what_passes_directly_passes_through_the_bridge(
    home: Home, connect: Callable[[], Adapter], tmp_path: Path, version: str, revision: str
) -> None:
    direct = suite.run(version, revision, suite.url(home), tmp_path / "direct")
    through = suite.run(version, revision, connect().url, tmp_path / "through")
    assert direct.keys() == through.keys()
    assert {name for name, found in direct.items() if found.failed} == suite.FAILS_DIRECTLY.get(
        (version, revision), set()
    )
    assert {name: found.failed for name, found in through.items() if found.failed} == {}


def test_scenarios_pass_while_the_server_is_killed(home: Home, connect: Callable[[], Adapter], tmp_path: Path) -> None:
    adapter = connect()
    killer = suite.Killer(home)
    adapter.before_request = killer.kill_if_ready
    for version, revision, name in WITH_KILLS:
        killer.begin()
        found = suite.run(version, revision, adapter.url, tmp_path / f"{revision}-{name}", name)
        assert found[name].failed == (), name
        assert found[name].passed > 0, name
    assert killer.kills > len(WITH_KILLS)
