"""The main job on Windows, with the real godot-ai from the package index."""

import json
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests import cache
from tests.e2e.home import eventually
from tests.mcp.bridge_client import BridgeClient
from tests.ports import reach
from tests.windows.conftest import MakeHome
from tests.windows.home import end, image_of, lives

pytestmark = [pytest.mark.needs_index, pytest.mark.timeout(600)]

VERSION = "4.3.1"
GRACE_S = 1.0
START_S = 240.0

# Compiling its modules, and the first import of pydantic's, take long under Wine.
CONFIG = """
[daemon]
discover = "off"
environments = '{cache}'

[kinds.godot-ai]
ports = {{ http = "{http}", ws = "{ws}" }}
grace_s = {grace}
linger_s = 1
stop_timeout_s = 2
ready_timeout_s = 240
"""


def test_the_main_job(make_home: MakeHome) -> None:
    config = CONFIG.format(cache=cache.environments(), http=reach(2), ws=reach(3), grace=GRACE_S)
    home = make_home(config)
    home.start()
    owner = home.owner()
    server = home.ensure("godot-ai", owner={"pid": owner.pid})
    pid = server["process"]["pid"]
    assert (server["version"], server["state"]) == (VERSION, "ready")
    status = status_of(server, bearer_of(home.environment["LOCALAPPDATA"], server))
    assert (status["name"], status["server_version"]) == ("godot-ai", VERSION)
    # The environment's python.exe only starts another one, which would be the process that matters.
    assert "environments" not in image_of(pid)
    assert home.server_processes() == [pid]

    home.kill_daemon()
    assert lives(pid)
    home.start()
    found = home.server("godot-ai")
    assert found is not None
    assert (found["process"], found["state"]) == (server["process"], "ready")
    # Only its record has the bearer, without which the server answers no request.
    assert home.ensure("godot-ai", owner={"pid": owner.pid})["process"] == server["process"]

    end(owner.pid)
    home.judged_twice("godot-ai", GRACE_S)
    eventually(lambda: not lives(pid), "it is reaped")


def test_a_client_of_a_bridge_keeps_the_real_server(make_home: MakeHome) -> None:
    config = CONFIG.format(cache=cache.environments(), http=reach(2), ws=reach(3), grace=GRACE_S)
    home = make_home(config)
    client = BridgeClient("godot-ai", environment=home.environment, folder=home.project())
    try:
        # The daemon, and the server with it, are started by the bridge. Under Wine the server takes longer than
        # clients wait for their first answer, or for a call.
        client.begin()
        eventually(lambda: len(client.call("tools/list")["tools"]) > 40, "the tools are listed", START_S)
        eventually(lambda: has_no_sessions(client), "a call succeeds", START_S)
        server = home.server("godot-ai")
        assert server is not None
        end(server["process"]["pid"])
        eventually(lambda: home.events("server.exited"), "the daemon notices the end")
        # Wine closes the sockets of a process after its end. A call in between would meet a dead server.
        eventually(lambda: refuses(server["ports"]["http"]), "its port is closed")
        eventually(lambda: has_no_sessions(client), "a call succeeds after the end of the server", START_S)
        after = home.server("godot-ai")
        assert after is not None
        assert after["process"] != server["process"]
        assert client.close() == 0
        home.judged_twice("godot-ai", GRACE_S)
        eventually(lambda: not lives(after["process"]["pid"]), "the server ends with its client")
    finally:
        client.kill()


def has_no_sessions(client: BridgeClient) -> bool:
    """Call a tool. Returns whether it succeeded, unless the bridge has said that the call may succeed later."""
    result = client.tool("session_manage", op="list")["structuredContent"]
    assert "sessions" in result or result["error"]["retryable"], result
    return result.get("sessions") == []


def refuses(port: int) -> bool:
    """Return whether no process listens on this port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def bearer_of(local: str, server: dict[str, Any]) -> str:
    """Return the secret in the server's own record."""
    record = Path(local) / "godot-ai" / "capabilities" / f"http-{server['ports']['http']}.json"
    bearer: str = json.loads(record.read_text())["http"]
    return bearer


def status_of(server: dict[str, Any], bearer: str) -> dict[str, Any]:
    """Return the status that the server reports."""
    request = urllib.request.Request(f"http://127.0.0.1:{server['ports']['http']}/godot-ai/status")
    request.add_header("Authorization", f"Bearer {bearer}")
    with urllib.request.urlopen(request, timeout=20) as response:
        status: dict[str, Any] = json.load(response)
    return status
