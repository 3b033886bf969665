"""The real unity-mcp, started as its editors do it: known by its package's command, and without an owner."""

import json
import subprocess
from pathlib import Path

import pytest

from tests import cache
from tests.e2e.conftest import MakeHome
from tests.e2e.foreign_servers import explained, judged
from tests.e2e.home import Home, eventually, free_ports, is_free, keeps_living
from tests.e2e.test_unity_mcp import CONFIG, GRACE_S, VERSION

# A daemon that looks for foreign servers finds those of every other test too, and may reap one of them.
pytestmark = [pytest.mark.needs_index, pytest.mark.alone]


def started_by_an_editor(home: Home, port: int) -> "subprocess.Popen[bytes]":
    """The command of the package, from its own environment."""
    record = cache.environments() / f"mcpforunityserver-{VERSION}.json"
    if not record.exists():
        home.up("unity-mcp")
        assert home.cli("down").returncode == 0
    program = Path(json.loads(record.read_text())["python"]).with_name("mcp-for-unity")
    flags = ("--transport", "http", "--http-host", "127.0.0.1", "--http-port", str(port))
    environment = {"UNITY_MCP_SKIP_STARTUP_CONNECT": "1", "UNITY_MCP_DISABLE_TELEMETRY": "true"}
    process = home.run(str(program), *flags, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: not is_free(port), "it listens")
    return process


def test_editors_server_is_found_listed_and_adopted(make_home: MakeHome) -> None:
    ports = free_ports(4)
    text = CONFIG.format(cache=cache.environments(), http=f"{ports[0]}-{ports[-1]}", grace=GRACE_S)
    home = make_home(text.replace('discover = "off"', 'discover = "watch"'))
    home.environment |= {name: str(home.projects / name) for name in ("XDG_DATA_HOME", "XDG_STATE_HOME")}
    process = started_by_an_editor(home, ports[0])
    home.start()
    row = judged(home, process.pid)
    assert (row["kind"], row["origin"], row["version"]) == ("unity-mcp", "external", VERSION)
    assert explained(home, ports[0])["decision"] == "reuse"
    owner = home.owner()
    server = home.up("unity-mcp", "--owner-pid", str(owner.pid))
    assert (server["origin"], server["process"]["pid"]) == ("adopted", process.pid)
    owner.kill()
    owner.wait()
    keeps_living(process.pid, 3 * GRACE_S)
    assert home.cli("down").returncode == 0
    process.wait(20)
    assert is_free(ports[0])
