"""The bridge before the real servers: godot-ai with its bearer, older ones, and MCP for Unity."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import cache
from tests.e2e.conftest import godot_ai_config
from tests.e2e.home import Home, eventually
from tests.mcp.bridge_client import BridgeClient
from tests.mcp.conftest import Connect
from tests.mcp.steps import code_of, kill_server
from tests.ports import reach

pytestmark = [pytest.mark.needs_index, pytest.mark.timeout(300)]

NAME = "godot-ai"
VERSION, VERSION_BEFORE_4_7 = "4.3.1", "3.2.5"
CLIENTS = Path(__file__).with_name("clients")


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Home]:
    """A home for the real server, its environment shared by all tests."""
    home = Home(tmp_path, godot_ai_config(2, 2))
    yield home
    home.close()


def list_sessions(client: BridgeClient) -> list[object]:
    result = client.tool("session_manage", op="list")
    assert not result["isError"], result
    found: list[object] = result["structuredContent"]["sessions"]
    return found


@pytest.mark.full
def test_every_call_succeeds_whatever_happens(real: Home, connect: Connect) -> None:
    client = connect(real, NAME)
    assert client.begin()["serverInfo"]["name"] == "Godot AI"
    assert len(client.call("tools/list")["tools"]) > 40
    assert list_sessions(client) == []
    kill_server(real, NAME)
    assert list_sessions(client) == []
    assert real.cli("restart", NAME).returncode == 0
    assert list_sessions(client) == []
    assert real.cli("down", NAME).returncode == 0
    assert code_of(client.tool("session_manage", op="list")) == "STOPPED_BY_USER"
    real.up(NAME)
    assert list_sessions(client) == []
    real.kill_daemon()
    assert list_sessions(client) == []
    assert client.close() == 0


@pytest.mark.full
def test_the_server_ends_with_its_last_client(real: Home, connect: Connect) -> None:
    client = connect(real, NAME)
    client.begin()
    assert list_sessions(client) == []
    client.kill()
    real.event("server.stopped", server=NAME)


def test_the_bearer_stays_secret(real: Home, connect: Connect) -> None:
    client = connect(real, NAME)
    client.begin()
    assert list_sessions(client) == []
    server = real.server(NAME)
    assert server is not None
    assert server["bearer"]["key"] == "http"
    bearer = json.loads(Path(server["bearer"]["file"]).read_text())["http"]
    eventually(lambda: list(real.folders.home.glob("catalogues/*.json")), "the catalogue is written")
    written = [path for path in real.folders.home.rglob("*") if path.is_file()]
    assert [path for path in written if bearer.encode() in path.read_bytes()] == []
    assert bearer not in Path(f"/proc/{client.process.pid}/cmdline").read_text()
    assert bearer not in json.dumps(real.call("status"))


def test_the_second_client_is_answered_at_once(real: Home, connect: Connect) -> None:
    first = connect(real, NAME)
    first.begin()
    assert list_sessions(first) == []
    eventually(lambda: list(real.folders.home.glob("catalogues/*.json")), "the catalogue is written")
    second = connect(real, NAME)
    second.begin()
    assert time.monotonic() - second.started < 5
    assert len(second.call("tools/list")["tools"]) > 40
    assert list_sessions(second) == []


def sdk_lists(home: Home, python: str, kind: str) -> list[str]:
    """The tools that a client of the Python SDK sees through the bridge; `python` is an interpreter that has it."""
    done = subprocess.run(
        [python, str(CLIENTS / "sdk_client.py"), sys.executable, "-P", "-m", "supervisor", "mcp", kind],
        env=home.environment,
        cwd=home.project(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.full
@pytest.mark.parametrize("version", [VERSION, VERSION_BEFORE_4_7])
def test_clients_of_the_sdk_see_all_tools(tmp_path: Path, connect: Connect, version: str) -> None:
    # The first version brings SDK 2, the other one SDK 1, and asks for no bearer.
    home = Home(tmp_path, f'{godot_ai_config(2, 2)}version = "{version}"\n')
    try:
        client = connect(home, NAME)
        client.begin()
        tools = [tool["name"] for tool in client.call("tools/list")["tools"]]
        server = kill_server(home, NAME)
        assert (server["bearer"] is None) == (version == VERSION_BEFORE_4_7)
        assert sdk_lists(home, server["connect"][0], NAME) == tools
        assert not client.tool("session_manage", op="list")["isError"]
    finally:
        home.close()


@pytest.mark.full
def test_a_server_of_unity_is_kept_too(tmp_path: Path, connect: Connect) -> None:
    config = f'[daemon]\ndiscover = "off"\nenvironments = "{cache.environments()}"\n'
    home = Home(tmp_path, f'{config}[kinds.unity-mcp]\nports = {{ http = "{reach(4)}" }}\n')
    try:
        client = connect(home, "unity-mcp")
        assert client.begin()["serverInfo"]["name"] == "mcp-for-unity-server"
        client.call("tools/call", {"name": "debug_request_context", "arguments": {}})
        kill_server(home, "unity-mcp")
        client.call("tools/call", {"name": "debug_request_context", "arguments": {}})
    finally:
        home.close()
