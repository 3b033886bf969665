"""The project and the kind of a bridge, with a real daemon."""

import os
from pathlib import Path

from tests.e2e.home import eventually
from tests.mcp.bridge_client import HELLO, BridgeClient
from tests.mcp.home import SmallHome
from tests.mcp.steps import word_of


def test_the_clients_roots_tell_the_project(small: SmallHome, tmp_path: Path) -> None:
    project = Path(small.project()) / "sub \u00e9"
    project.mkdir()
    client = BridgeClient("small", environment=small.environment, folder=str(tmp_path))
    try:
        client.call("initialize", {**HELLO, "capabilities": {"roots": {"listChanged": True}}})
        client.send({"method": "notifications/initialized"})
        call = client.ask("tools/call", {"name": "write", "arguments": {"word": "first"}})
        asked = client.notice("roots/list")
        client.send({"id": asked["id"], "result": {"roots": [{"uri": project.as_uri()}]}})
        assert word_of(client.answer(call)["result"]) == "first"
        expected = os.path.realpath(small.project())
        eventually(lambda: expected in str(small.call("status")), "the daemon knows the project")
    finally:
        client.kill()
