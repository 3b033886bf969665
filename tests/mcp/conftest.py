import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.native.facts import HOME_VARIABLE
from tests.e2e.home import Home
from tests.mcp.bridge_client import BridgeClient
from tests.mcp.home import SmallHome

MakeSmall = Callable[..., SmallHome]
Connect = Callable[..., BridgeClient]


@pytest.fixture
def make_small(tmp_path: Path) -> Iterator[MakeSmall]:
    """Homes for the small MCP server, closed in the end."""
    made: list[SmallHome] = []

    def make(*options: str) -> SmallHome:
        folder = tmp_path / f"h{len(made)}"
        folder.mkdir()
        made.append(SmallHome(folder, *options))
        return made[-1]

    yield make
    for home in made:
        home.close()


@pytest.fixture
def small(make_small: MakeSmall) -> SmallHome:
    """A home for the small MCP server."""
    return make_small()


@pytest.fixture
def without_daemon(tmp_path: Path) -> Iterator[BridgeClient]:
    """A bridge in a home without a daemon. No server is ever asked for."""
    client = BridgeClient("small", environment={**os.environ, HOME_VARIABLE: str(tmp_path)}, folder=str(tmp_path))
    yield client
    client.kill()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Bridges, started as an AI client would, and ended before their home."""
    made: list[BridgeClient] = []

    def start(home: Home, *words: str, **environment: Any) -> BridgeClient:
        given = words or ("small",)
        made.append(BridgeClient(*given, environment={**home.environment, **environment}, folder=home.project()))
        return made[-1]

    yield start
    for client in made:
        client.kill()
