"""`clients install` with a real daemon and a real server: what it prepares for the first start of a client."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.home import eventually
from tests.mcp.conftest import Connect
from tests.mcp.home import SmallHome

pytestmark = [pytest.mark.linux_only, pytest.mark.timeout(120)]


def install(home: SmallHome, user: Path) -> tuple[Any, str]:
    """Run `clients install` for Gemini CLI, whose file is in a folder of its own. Return the document, and stderr."""
    home.environment["GEMINI_CLI_HOME"] = str(user)
    done = home.cli("clients", "install", "gemini", "--kind", "small", "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_the_first_start_of_a_client_needs_no_server(small: SmallHome, tmp_path: Path, connect: Connect) -> None:
    document, _ = install(small, tmp_path)
    assert document["provisioned"] == {"kind": "small", "done": True, "reason": None}
    entry = json.loads((tmp_path / ".gemini/settings.json").read_text())["mcpServers"]["small"]
    assert (entry["args"], entry["env"]) == (["mcp", "small"], {"GODOT_SUPERVISOR_HOME": str(small.folders.home)})
    eventually(lambda: small.server("small") is None, "the server is given up")
    small.kill_daemon()
    client = connect(small)
    assert client.begin()["serverInfo"]["name"] == "mcp-server"
    assert len(client.call("tools/list")["tools"]) == 4


def test_a_server_that_does_not_start_leaves_the_entry(make_small: Any, tmp_path: Path) -> None:
    home = make_small("--no-such-option")
    document, _ = install(home, tmp_path)
    assert document["changes"][0]["outcome"] == "added"
    assert document["provisioned"]["done"] is False
    assert "small" in document["provisioned"]["reason"]
