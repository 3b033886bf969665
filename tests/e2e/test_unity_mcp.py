"""The stories with the real unity-mcp from the package index, and real processes."""

import contextlib
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tests import cache
from tests.e2e.conftest import MakeHome
from tests.e2e.home import SERVERS, Home, eventually, is_free, keeps_living, lives, variables
from tests.ports import reach

pytestmark = pytest.mark.needs_index

CLIENTS = SERVERS.with_name("clients")
VERSION = "10.3.0"
GRACE_S = 1.0

CONFIG = """
[daemon]
discover = "off"
environments = "{cache}"

[kinds.unity-mcp]
ports = {{ http = "{http}" }}
grace_s = {grace}
linger_s = 1
"""

OF_ANOTHER_LAUNCH = {
    "FASTMCP_STREAMABLE_HTTP_PATH": "/elsewhere",
    "UNITY_MCP_API_KEY_SERVICE_TOKEN": "of-a-hosted-service",
    "UNITY_MCP_HTTP_HOST": "0.0.0.0",
    "UNITY_MCP_HTTP_PORT": "1",
    "UNITY_MCP_HTTP_REMOTE_HOSTED": "true",
    "UNITY_MCP_HTTP_URL": "http://127.0.0.1:1",
    "UNITY_MCP_INSTANCE_TOKEN": "of-an-editor",
    "UNITY_MCP_TRANSPORT": "stdio",
}
"""Variables that an editor, or a hosted service, may have left in the environment of the daemon."""

MCP = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@pytest.fixture
def make_unity(make_home: MakeHome, tmp_path: Path) -> MakeHome:
    """Homes for the real server, all on the same range of ports."""

    def make() -> Home:
        home = make_home(CONFIG.format(cache=cache.environments(), http=reach(4), grace=GRACE_S))
        private = {name: str(tmp_path / name) for name in ("XDG_DATA_HOME", "XDG_STATE_HOME", "UNITY_MCP_STATUS_DIR")}
        home.environment |= {**OF_ANOTHER_LAUNCH, **private}
        return home

    return make


@pytest.fixture
def unity(make_unity: MakeHome) -> Home:
    """Make a home for the real server."""
    return make_unity()


def health(server: Mapping[str, Any]) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server['ports']['http']}/health", timeout=5) as response:
        said: dict[str, Any] = json.load(response)
    return said


class AiClient:
    """A client that speaks MCP over streamable HTTP."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: dict[str, str] = {}
        about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
        self.server = self.ask("initialize", about)
        self._post({"method": "notifications/initialized"})

    def ask(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        body = self._post({"id": 1, "method": method, "params": params})
        (data,) = [line.removeprefix("data: ") for line in body.splitlines() if line.startswith("data: ")]
        result: dict[str, Any] = json.loads(data)["result"]
        return result

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """With a stream open for what the server has to say, as long as the client lives."""
        host, _, path = self._url.removeprefix("http://").partition("/")
        stream = HTTPConnection(host, timeout=30)
        stream.request("GET", f"/{path}", headers={**MCP, **self._session})
        answer = stream.getresponse()
        assert answer.status == 200
        yield
        answer.close()
        stream.close()

    def _post(self, message: Mapping[str, Any]) -> str:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        request = urllib.request.Request(self._url, body, {**MCP, **self._session})
        with urllib.request.urlopen(request, timeout=30) as response:
            self._session = {"Mcp-Session-Id": response.headers["Mcp-Session-Id"]}
            text: str = response.read().decode()
        return text


@contextlib.contextmanager
def editor_session(home: Home, server: Mapping[str, Any]) -> Iterator[None]:
    """A session as the plugin of an editor opens it."""
    python = Path(f"/proc/{server['process']['pid']}/cmdline").read_text().split("\0")[0]
    client = CLIENTS / "unity_session.py"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = home.run(python, "-P", str(client), str(server["ports"]["http"]), **pipes)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    yield
    process.stdin.close()
    assert process.wait(30) == 0


def test_up_gives_a_ready_server_that_serves_ai_clients(unity: Home) -> None:
    owner = unity.owner()
    server = unity.up("unity-mcp", "--owner-pid", str(owner.pid))
    assert (server["state"], server["version"], server["origin"]) == ("ready", VERSION, "spawned")
    assert (server["relocated"], server["connect"]) == ([], [])
    assert health(server)["version"] == VERSION
    client = AiClient(server["url"])
    assert client.server["serverInfo"]["name"] == "mcp-for-unity-server"
    assert client.server["serverInfo"]["version"] != VERSION, "it is FastMCP's; identification must not rely on it"
    assert "manage_scene" in [tool["name"] for tool in client.ask("tools/list", {})["tools"]]
    again = unity.cli("up", "unity-mcp")
    assert f"unity-mcp {VERSION} already running" in again.stdout
    assert "  claude mcp add --scope user unity-mcp " in again.stdout
    assert again.stdout.endswith("godot-supervisor mcp unity-mcp\n")


def test_a_foreign_web_page_is_refused(unity: Home) -> None:
    server = unity.up("unity-mcp")
    command = f"http://127.0.0.1:{server['ports']['http']}/api/command"
    page = {"Origin": "http://page.example", "Content-Type": "text/plain"}
    for headers in (page, {"Host": "page.example"}):
        with pytest.raises(urllib.error.HTTPError, match=r"403|421"):
            urllib.request.urlopen(urllib.request.Request(command, b'{"type":"ping"}', headers), timeout=5)
    with pytest.raises(urllib.error.HTTPError, match="503") as caught:
        urllib.request.urlopen(urllib.request.Request(command, b'{"type":"ping"}'), timeout=5)
    assert b"No Unity instances connected" in caught.value.read()


@pytest.mark.full
def test_leftover_variables_are_dropped_and_preferences_pass(unity: Home) -> None:
    unity.environment |= {"DISABLE_TELEMETRY": "1", "UNITY_MCP_COMMAND_TOTAL_TIMEOUT": "700"}
    server = unity.up("unity-mcp")
    environment = variables(server["process"]["pid"])
    assert not {*OF_ANOTHER_LAUNCH, "PYTEST_CURRENT_TEST"} & set(environment)
    assert {*OF_ANOTHER_LAUNCH, "PYTEST_CURRENT_TEST"} <= set(variables(unity.daemon_pid() or 0))
    assert (environment["DISABLE_TELEMETRY"], environment["UNITY_MCP_COMMAND_TOTAL_TIMEOUT"]) == ("1", "700")
    assert environment["UNITY_MCP_DISABLE_TELEMETRY"] == "true"
    own_log = Path(server["log"]).parent / "unity-mcp" / "unity_mcp_server.log"
    assert environment["UNITY_MCP_LOG_DIR"] == str(own_log.parent)
    assert own_log.exists()


@pytest.mark.full
def test_an_editors_session_keeps_the_server_and_an_ai_client_does_not(unity: Home) -> None:
    owner = unity.owner()
    server = unity.up("unity-mcp", "--owner-pid", str(owner.pid))
    pid, port = server["process"]["pid"], server["ports"]["http"]
    with AiClient(server["url"]).listening():
        with editor_session(unity, server):
            owner.kill()
            owner.wait()
            unity.event("editor.ended", pid=owner.pid)
            keeps_living(pid, 2 * GRACE_S)
            (judged,) = json.loads(unity.cli("reap", "--dry-run", "--json").stdout)["servers"]
            assert (judged["verdict"], judged["reasons"]) == ("keep", ["open sessions: 1"])
            (listed,) = unity.call("server.list")["servers"]
            assert (listed["sessions"], listed["state"]) == (1, "ready")
            assert unity.events("server.suspected") == []
        unity.judged_twice("unity-mcp", GRACE_S)
    assert not lives(pid)
    assert is_free(port)
    assert unity.server("unity-mcp") is None


def test_it_is_asked_to_end_and_ends(unity: Home) -> None:
    server = unity.up("unity-mcp")
    with AiClient(server["url"]).listening():
        stopped = json.loads(unity.cli("down", "--json").stdout)
    assert stopped["state"] == "stopped"
    assert [row["signal"] for row in unity.events("signal.sent")] == ["ask"]
    assert not lives(server["process"]["pid"])
    assert "Application shutdown complete" in Path(server["log"]).read_text()


@pytest.mark.full
def test_two_homes_want_the_same_port_and_each_has_its_own_server(make_unity: MakeHome) -> None:
    one, two = make_unity(), make_unity()
    first, second = one.up("unity-mcp"), two.up("unity-mcp")
    (passed_over,) = second["relocated"]
    assert (passed_over["port"], passed_over["occupant"]["pid"]) == (first["ports"]["http"], first["process"]["pid"])
    assert second["ports"]["http"] == first["ports"]["http"] + 1
    assert one.cli("down").returncode == 0
    assert not lives(first["process"]["pid"])
    eventually(lambda: is_free(first["ports"]["http"]), "its port is free")
    assert two.server_processes() == [second["process"]["pid"]]
    assert health(second)["version"] == VERSION
