"""The addon in a project decides the version of its server: the real daemon, and packages that lie on this disk."""

import json
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeHome, toy_config, wheel
from tests.e2e.home import Home, is_free, lives
from tests.gates import rest_in_full

FILE = "addons/e2e-toy/plugin.cfg"


@pytest.fixture
def home(make_home: MakeHome, tmp_path: Path) -> Home:
    """A home whose package index has the toy server in 1.0, 1.1 and 2.0.0."""
    words = toy_config("--version", "{version}").splitlines()
    command = next(line for line in words if line.startswith("command"))
    package = [
        'package = "toy-server"',
        'version = "1.0"',
        f'addon = {{ file = "{FILE}", version = "plugin/version" }}',
    ]
    mine = 'command = ["{python}", "-m", "toy_server"' + command.partition("toy.py")[2].removeprefix('"')
    home = make_home("\n".join([*words[: words.index(command)], *package, mine, *words[words.index(command) + 1 :]]))
    wheels = str(wheel(tmp_path / "wheels", "1.0", "1.1", "2.0.0"))
    home.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "UV_OFFLINE": "1", "UV_FIND_LINKS": wheels}
    return home


def game(home: Home, name: str, version: str) -> str:
    """A project with the addon in a version, as its own updater writes it."""
    folder = home.project(name)
    file = Path(folder) / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(f'\ufeff[plugin]\r\n\r\nname="Toy"\r\nversion="{version}"\r\n'.encode())
    return folder


def test_up_takes_the_version_of_the_projects_addon_and_says_so(home: Home) -> None:
    folder = game(home, "a", "1.1")
    server = home.up("e2e-toy", "--project", folder)
    assert (server["version"], server["version_source"], server["notes"]) == ("1.1", "addon", [])
    why = f"version 1.1: from {FILE} in {folder}"
    assert why in home.cli("up", "e2e-toy", "--project", folder).stdout
    assert f"e2e-toy: {why}" in home.cli("status").stdout
    assert why.removeprefix("version ") in home.cli("inspect", "e2e-toy").stdout
    shown = home.cli("ports", "e2e-toy", "--project", game(home, "b", "1.0"))
    assert shown.stdout.startswith("e2e-toy 1.0: ")
    assert "its plugin looks on http " in shown.stdout.splitlines()[-1]


def test_an_update_of_the_addon_is_seen_and_taken_by_a_restart(home: Home) -> None:
    owner, folder = home.owner(), game(home, "a", "1.0")
    first = home.up("e2e-toy", "--project", folder, "--owner-pid", str(owner.pid))
    game(home, "a", "2")
    checked = json.loads(home.cli("inspect", "e2e-toy", "--json").stdout)
    assert checked["notes"] == [f"{FILE} in {folder} has 2 now: godot-supervisor restart e2e-toy"]
    home.cli("restart", "e2e-toy")
    server = home.server("e2e-toy")
    assert server is not None
    assert (server["version"] in {"2", "2.0.0"}, server["ports"], server["notes"]) == (True, first["ports"], [])
    assert [kept["pid"] for kept in server["owners"]] == [owner.pid]


def test_a_version_that_the_index_lacks_gives_way_and_says_so(home: Home) -> None:
    folder = game(home, "a", "9.9.9")
    done = home.cli("up", "e2e-toy", "--project", folder)
    lacks = f"{FILE} in {folder} has 9.9.9, which the package index does not have of toy-server"
    assert f"note: {lacks}: its plugin does not use another version" in done.stdout, done.stderr
    server = home.server("e2e-toy")
    assert server is not None
    assert (server["state"], server["version"], server["version_source"]) == ("ready", "1.0", "recipe")
    assert home.up("e2e-toy", "--project", folder)["process"]["pid"] == server["process"]["pid"]


@pytest.mark.full
def test_two_versions_have_a_server_each_and_a_reap_frees_ports(home: Home) -> None:
    owners = [home.owner(), home.owner()]
    servers = [
        home.up("e2e-toy", "--project", game(home, name, version), "--owner-pid", str(owner.pid))
        for owner, name, version in zip(owners, "ab", ("1.0", "1.1"), strict=True)
    ]
    assert [server["id"] for server in servers] == ["e2e-toy", "e2e-toy-2"]
    assert [server["version"] for server in servers] == ["1.0", "1.1"]
    (note,) = servers[1]["notes"]
    assert note.endswith("only; e2e-toy 1.0 held them when this server was started")
    owners[1].kill()
    owners[1].wait()
    home.judged_twice("e2e-toy-2", 0.5)
    assert not lives(servers[1]["process"]["pid"])
    assert all(is_free(port) for port in servers[1]["ports"].values())
    assert lives(servers[0]["process"]["pid"])


def test_new_version_in_the_configuration_is_taken_by_a_restart(home: Home) -> None:
    home.up("e2e-toy")
    config = home.folders.config
    config.write_text(config.read_text().replace('version = "1.0"', 'version = "1.1"'))
    home.cli("config", "reload")
    told = home.cli("up", "e2e-toy").stdout
    assert told.startswith("e2e-toy 1.0 already running\n")
    assert "note: its recipe has version 1.1 now: godot-supervisor restart e2e-toy" in told
    home.cli("restart", "e2e-toy")
    assert home.cli("up", "e2e-toy").stdout.startswith("e2e-toy 1.1 already running\n")


@pytest.mark.parametrize("asked", rest_in_full(["2", "2.0", "v2.0.0"]))
def test_a_version_is_asked_for_in_any_form(home: Home, asked: str) -> None:
    server = home.up("e2e-toy", "--version", asked)
    assert (server["state"], server["version_source"]) == ("ready", "asked")
    assert home.up("e2e-toy", "--version", "2.0.0")["process"]["pid"] == server["process"]["pid"]
