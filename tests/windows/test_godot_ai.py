"""The main job on Windows, with the real godot-ai from the package index."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests import cache
from tests.e2e.home import eventually
from tests.ports import reach
from tests.windows.conftest import MakeHome
from tests.windows.home import end, image_of, lives

pytestmark = [pytest.mark.needs_index, pytest.mark.timeout(600)]

VERSION = "4.3.1"
GRACE_S = 1.0

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
