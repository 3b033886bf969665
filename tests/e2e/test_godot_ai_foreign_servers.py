"""The real godot-ai, started by others: found, adopted, replaced; and its two topologies."""

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests import cache
from tests.e2e.conftest import MakeHome, godot_ai_config
from tests.e2e.foreign_servers import child_of, ended, explained, found, rows
from tests.e2e.home import Home, eventually, free_ports, is_free, keeps_living, lives
from tests.e2e.test_godot_ai import VERSION, VERSION_BEFORE_4_7, editor_session, secrets_of, status_of, tools_of
from tests.gates import rest_in_full

# A daemon that looks for foreign servers finds those of every other test too, and may reap one of them.
pytestmark = [pytest.mark.needs_index, pytest.mark.alone]

GRACE_S = 1.0

Process = subprocess.Popen[Any]


class Place:
    """Pairs of ports for the real server."""

    def __init__(self) -> None:
        ports = free_ports(8)
        self.http, self.ws = ports[:4], ports[4:]

    def set(self, number: int) -> dict[str, int]:
        return {"http": self.http[number], "ws": self.ws[number]}

    def config(self, discover: str, more: str = "") -> str:
        reach = (f"{self.http[0]}-{self.http[-1]}", f"{self.ws[0]}-{self.ws[-1]}")
        text = godot_ai_config(GRACE_S, 2.0, *reach)
        return text.replace('discover = "off"', f'discover = "{discover}"') + more


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def home(make_home: MakeHome, place: Place) -> Home:
    return make_home(place.config("off"))


@pytest.fixture
def watching(make_home: MakeHome, place: Place) -> Home:
    return make_home(place.config("watch"))


def python_of(home: Home, version: str) -> str:
    """The interpreter of the shared environment of a version, which is provisioned if need be."""
    record = cache.environments() / f"godot-ai-{version}.json"
    if not record.exists():
        home.up("godot-ai", "--version", version)
        assert home.cli("down").returncode == 0
    python: str = json.loads(record.read_text())["python"]
    return python


def started_by_a_plugin(
    home: Home, ports: dict[str, int], version: str, owner: Process | None, *before: str, **variables: str
) -> Process:
    """As the plugin does it: the owner in the environment, and secrets that only the server knows."""
    words = ("-m", "godot_ai", "--transport", "streamable-http", "--port", str(ports["http"]))
    names = {"GODOT_AI_REAPER_POLL_SECONDS": "3600", "FASTMCP_CHECK_FOR_UPDATES": "off", **variables}
    if owner is not None:
        names["GODOT_AI_OWNER_PID"] = str(owner.pid)
    process = home.run(
        *before,
        python_of(home, version),
        *words,
        "--ws-port",
        str(ports["ws"]),
        env=names,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    eventually(lambda: not any(is_free(port) for port in ports.values()), "the server listens")
    return process


@pytest.mark.parametrize("version", rest_in_full([VERSION, VERSION_BEFORE_4_7]))
def test_plugins_server_is_found_with_version_and_reaped(watching: Home, place: Place, version: str) -> None:
    owner = watching.owner()
    server = started_by_a_plugin(watching, place.set(0), version, owner)
    watching.start()
    row = found(watching, server.pid)
    assert (row["id"], row["origin"], row["version"]) == ("godot-ai", "discovered", version)
    assert row["ports"] == place.set(0)
    assert [held["pid"] for held in row["owners"]] == [owner.pid]
    keeps_living(server.pid, 3 * GRACE_S)
    ended(owner)
    watching.judged_twice("godot-ai", GRACE_S)
    server.wait(20)
    assert is_free(place.http[0])


def test_a_server_that_keeps_its_secrets_elsewhere_is_asked_with_them(watching: Home, place: Place) -> None:
    elsewhere = watching.projects / "capabilities"
    elsewhere.mkdir(mode=0o700)
    owner = watching.owner()
    variables = {"GODOT_AI_CAPABILITY_DIR": str(elsewhere)}
    server = started_by_a_plugin(watching, place.set(0), VERSION, owner, **variables)
    watching.start()
    assert found(watching, server.pid)["version"] == VERSION
    secret = json.loads((elsewhere / f"http-{place.http[0]}.json").read_text())["http"]
    assert secret not in (watching.folders.logs / "daemon.log").read_text()
    ended(owner)
    watching.judged_twice("godot-ai", GRACE_S)


@pytest.mark.full
def test_a_session_keeps_a_found_server_as_it_keeps_ours(watching: Home, place: Place) -> None:
    owner = watching.owner()
    server = started_by_a_plugin(watching, place.set(0), VERSION, owner)
    watching.start()
    row = found(watching, server.pid)
    with editor_session(watching, {**row, "connect": [python_of(watching, VERSION)]}):
        ended(owner)
        keeps_living(server.pid, 4 * GRACE_S)
        assert watching.events("server.suspected") == []
    watching.judged_twice("godot-ai", GRACE_S)


def test_adopted_server_serves_ai_clients_and_two_projects(home: Home, place: Place) -> None:
    server = started_by_a_plugin(home, place.set(0), VERSION, None)
    home.start()
    assert explained(home, place.http[0])["decision"] == "adopt"
    first, second = home.owner(), home.owner()
    one = home.up("godot-ai", "--owner-pid", str(first.pid), "--project", home.project("one"))
    two = home.up("godot-ai", "--owner-pid", str(second.pid), "--project", home.project("two"))
    assert one["process"]["pid"] == two["process"]["pid"] == server.pid
    assert (two["origin"], two["version"]) == ("adopted", VERSION)
    assert "editor_state" in tools_of(home, two, "stdio", *two["connect"])
    assert home.cli("down").returncode == 0
    server.wait(20)


def test_a_launcher_is_seen_through_and_stopped_with_the_server(home: Home, place: Place) -> None:
    python = python_of(home, VERSION)
    before = (str(cache.folder_of_uv() / "uv"), "run", "--no-project", "--offline", "--python", python)
    launcher = started_by_a_plugin(home, place.set(0), VERSION, None, *before)
    home.start()
    server = home.call("server.adopt", {"pid": launcher.pid})
    assert server["root_pid"] == launcher.pid
    assert server["process"]["pid"] == child_of(launcher.pid)
    assert home.cli("down").returncode == 0
    launcher.wait(20)
    assert not lives(server["process"]["pid"])
    assert is_free(place.http[0])


def test_last_weeks_server_of_an_editor_that_has_gone_makes_room(home: Home, place: Place) -> None:
    owner = home.owner()
    old = started_by_a_plugin(home, place.set(0), VERSION_BEFORE_4_7, owner)
    ended(owner)
    server = home.up("godot-ai", "--version", VERSION)
    assert (server["version"], server["ports"]) == (VERSION, place.set(0))
    old.wait(20)
    assert status_of(server, secrets_of(home, server)[0])["server_version"] == VERSION
    assert home.event("server.replaced")["was"] == VERSION_BEFORE_4_7


@pytest.mark.full
def test_last_weeks_server_of_an_editor_that_lives_stays_and_both_work(home: Home, place: Place) -> None:
    owner = home.owner()
    old = started_by_a_plugin(home, place.set(0), VERSION_BEFORE_4_7, owner)
    server = home.up("godot-ai", "--version", VERSION)
    assert (server["version"], server["ports"]) == (VERSION, place.set(1))
    assert status_of({"ports": place.set(0)})["server_version"] == VERSION_BEFORE_4_7
    assert status_of(server, secrets_of(home, server)[0])["server_version"] == VERSION
    conflict = home.event("server.version_conflict")
    assert (conflict["version"], conflict["beside_version"]) == (VERSION, VERSION_BEFORE_4_7)
    assert old.poll() is None


@pytest.mark.full
def test_update_replaces_our_server_and_a_missing_one_nothing(home: Home, place: Place) -> None:
    owner = home.owner()
    old = home.up("godot-ai", "--owner-pid", str(owner.pid), "--version", VERSION_BEFORE_4_7)
    code, error = home.refused("up", "godot-ai", "--owner-pid", str(owner.pid), "--version", "99.0.0")
    assert (code, error["data"]["code"]) == (1, "INSTALL_FAILED")
    assert lives(old["process"]["pid"])
    assert home.server_in("godot-ai", "ready", version=VERSION_BEFORE_4_7)
    new = home.up("godot-ai", "--owner-pid", str(owner.pid), "--version", VERSION)
    assert (new["id"], new["version"], new["ports"]) == ("godot-ai", VERSION, place.set(0))
    assert not lives(old["process"]["pid"])


@pytest.mark.full
def test_per_editor_each_project_keeps_its_own_pair_and_dies_alone(make_home: MakeHome, place: Place) -> None:
    home = make_home(place.config("off", 'topology = "per-editor"\n'))
    home.start()
    one, two = home.project("one"), home.project("two")
    first, second, slot = home.owner(), home.owner(), home.owner()
    server_one = home.up("godot-ai", "--owner-pid", str(first.pid), "--project", one)
    server_two = home.up("godot-ai", "--owner-pid", str(second.pid), "--project", two)
    assert (server_one["id"], server_two["id"]) == ("godot-ai@one", "godot-ai@two")
    assert (server_one["ports"], server_two["ports"]) == (place.set(0), place.set(1))
    # A second editor of one project shares its server.
    shared = home.up("godot-ai", "--owner-pid", str(slot.pid), "--project", two)
    assert shared["process"]["pid"] == server_two["process"]["pid"]
    ended(first)
    home.judged_twice("godot-ai@one", GRACE_S)
    assert lives(server_two["process"]["pid"])
    ended(second)
    keeps_living(server_two["process"]["pid"], 4 * GRACE_S)
    ended(slot)
    home.judged_twice("godot-ai@two", GRACE_S)
    # Each project comes back to its pair, in any order.
    again = home.owner()
    assert home.up("godot-ai", "--owner-pid", str(again.pid), "--project", two)["ports"] == place.set(1)
    assert home.up("godot-ai", "--owner-pid", str(again.pid), "--project", one)["ports"] == place.set(0)


def test_a_plugin_that_is_stopped_cleanly_leaves_no_row(watching: Home, place: Place) -> None:
    owner = watching.owner()
    server = started_by_a_plugin(watching, place.set(0), VERSION, owner)
    watching.start()
    found(watching, server.pid)
    # The plugin does this on a clean exit (godot-ai's port_resolver: OS.kill is SIGKILL).
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    eventually(lambda: rows(watching) == [], "its row has gone")
    assert watching.events("server.spawned") == []
    assert Path(f"/proc/{owner.pid}").exists()
