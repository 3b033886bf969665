"""The MCP bridge on Windows: standard input on a pipe, a server that dies and comes back."""

import sys
from collections.abc import Iterator

import pytest

from tests.e2e.home import SERVERS, eventually
from tests.mcp.bridge_client import BridgeClient
from tests.ports import reach
from tests.windows.conftest import MakeHome
from tests.windows.home import WindowsHome, end

# Literal strings: the paths have backslashes.
SMALL = """
[daemon]
discover = "off"

[kinds.small]
command = ['{python}', '{server}', '{{http}}']
ports = {{ http = "{http}" }}
env = {{ SMALL_OWNER = "{{owner_pid}}" }}
identify = {{ http = "/health", match = {{ name = "mcp-server" }}, version = "version" }}
sessions = {{ tcp = "http" }}
url = "http://127.0.0.1:{{http}}/mcp"
grace_s = 1
linger_s = 1
stop_timeout_s = 1
ready_timeout_s = 30
"""


@pytest.fixture
def small(make_home: MakeHome) -> WindowsHome:
    """A home for the small MCP server."""
    return make_home(SMALL.format(python=sys.executable, server=SERVERS / "mcp_server.py", http=reach(0)))


@pytest.fixture
def client(small: WindowsHome) -> Iterator[BridgeClient]:
    """A bridge in that home, while a daemon runs."""
    small.start()
    client = BridgeClient("small", environment=small.environment, folder=small.project())
    yield client
    client.kill()


def test_a_client_keeps_its_server_on_windows(small: WindowsHome, client: BridgeClient) -> None:
    assert client.begin()["serverInfo"]["name"] == "mcp-server"
    assert client.tool("write", word="first")["content"][0]["text"] == "first"
    server = small.server("small")
    assert server is not None
    end(server["process"]["pid"])
    eventually(lambda: small.events("server.exited"), "the daemon notices the end")
    assert client.tool("write", word="second")["content"][0]["text"] == "second"
    size = 1024 * 1024
    assert len(client.tool("image", bytes=size)["content"][0]["data"]) == size
    assert client.close() == 0
