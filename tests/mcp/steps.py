"""Steps that several stories of the bridge have in common."""

import os
import signal
from typing import Any

from tests.e2e.home import Home, eventually


def kill_server(home: Home, name: str = "small") -> dict[str, Any]:
    """Kill a server, and wait until the daemon has noticed: then all of its threads have ended."""
    server = eventually(lambda: home.server_in(name, "ready"), f"{name} is ready")
    seen = len(home.events("server.exited"))
    os.kill(server["process"]["pid"], signal.SIGKILL)
    eventually(lambda: len(home.events("server.exited")) > seen, "the daemon notices the end")
    return server


def code_of(result: dict[str, Any]) -> str:
    """Return the code of a tool result that the bridge has made."""
    assert result["isError"], result
    error = result["structuredContent"]["error"]
    assert str(error["code"]) in result["content"][0]["text"]
    return str(error["code"])


def word_of(result: dict[str, Any]) -> str:
    """Return what the small server has answered."""
    assert not result.get("isError"), result
    return str(result["content"][0]["text"])
