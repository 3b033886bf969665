"""Which ports a server gets when others hold them, and whose they are next time."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home, eventually, free_ports, is_free, lives

SETS = 4


class Ground:
    """A range of free ports, and those who take some of them."""

    def __init__(self) -> None:
        ports = free_ports(2 * SETS)
        self.http, self.sessions = ports[:SETS], ports[SETS:]
        self._held: list[socket.socket] = []

    def config(self, topology: str) -> str:
        """The toy on these ports."""
        return toy_config(
            topology=topology,
            http=f"{self.http[0]}-{self.http[-1]}",
            sessions=f"{self.sessions[0]}-{self.sessions[-1]}",
        )

    def set(self, number: int) -> dict[str, int]:
        """The ports that move together."""
        return {"http": self.http[number], "sessions": self.sessions[number]}

    def hold(self, port: int, address: str = "127.0.0.1") -> socket.socket:
        """This very process listens there."""
        listener = socket.create_server((address, port))
        self._held.append(listener)
        return listener

    def close(self) -> None:
        """Let go."""
        for listener in self._held:
            listener.close()


@pytest.fixture
def ground() -> Iterator[Ground]:
    """Ports for one test."""
    ground = Ground()
    yield ground
    ground.close()


@pytest.fixture
def shared(make_home: MakeHome, ground: Ground) -> Home:
    """A home with one toy for all."""
    return make_home(ground.config("shared"))


@pytest.fixture
def per_editor(make_home: MakeHome, ground: Ground) -> Home:
    """A home with a toy for each project."""
    return make_home(ground.config("per-editor"))


def ensure(home: Home, project: str) -> dict[str, Any]:
    server: dict[str, Any] = home.call("server.ensure", {"kind": "e2e-toy", "project": project})
    return server


def passed_over(server: Mapping[str, Any]) -> dict[int, Any]:
    return {row["port"]: row for row in server["relocated"]}


def test_a_held_port_is_passed_over_and_its_occupant_is_named_and_lives(shared: Home, ground: Ground) -> None:
    words = (sys.executable, "-m", "http.server", str(ground.http[0]), "--bind", "127.0.0.1")
    holder = shared.run(*words, stderr=subprocess.DEVNULL)
    eventually(lambda: not is_free(ground.http[0]), "the http.server listens")
    server = shared.up("e2e-toy")
    assert server["ports"] == ground.set(1)
    occupant = passed_over(server)[ground.http[0]]["occupant"]
    assert (occupant["pid"], occupant["command"]) == (holder.pid, list(words))
    assert shared.cli("down", "e2e-toy").returncode == 0
    assert holder.poll() is None
    holder.kill()
    holder.wait()
    # A shared server goes back to where plugins look for it.
    assert shared.up("e2e-toy")["ports"] == ground.set(0)


def test_one_held_port_moves_the_whole_set(shared: Home, ground: Ground) -> None:
    ground.hold(ground.sessions[0])
    ground.hold(ground.http[1], "0.0.0.0")
    server = shared.up("e2e-toy")
    assert server["ports"] == ground.set(2)
    rows = passed_over(server)
    assert set(rows) == {ground.sessions[0], ground.http[1]}
    assert {row["occupant"]["pid"] for row in rows.values()} == {os.getpid()}


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_squatters_beside_the_port_are_passed_over(shared: Home, ground: Ground) -> None:
    with (
        socket.create_server(("::1", ground.http[0]), family=socket.AF_INET6),
        socket.socket() as bound,
        socket.create_server(("::", ground.sessions[2]), family=socket.AF_INET6, dualstack_ipv6=True),
    ):
        bound.bind(("127.0.0.1", ground.http[1]))
        server = shared.up("e2e-toy")
    assert server["ports"] == ground.set(3)
    rows = passed_over(server)
    assert rows[ground.http[0]]["occupant"]["pid"] == os.getpid()
    assert rows[ground.http[1]]["occupant"] is None
    assert rows[ground.http[1]]["reason"]
    assert rows[ground.sessions[2]]["occupant"]["pid"] == os.getpid()


def test_two_homes_keep_out_of_each_others_way(make_home: MakeHome, ground: Ground) -> None:
    first, second = make_home(ground.config("shared")), make_home(ground.config("shared"))
    theirs = first.up("e2e-toy")
    ours = second.up("e2e-toy")
    assert (theirs["ports"], ours["ports"]) == (ground.set(0), ground.set(1))
    assert passed_over(ours)[ground.http[0]]["occupant"]["pid"] == theirs["process"]["pid"]
    assert second.cli("stop", "--servers").returncode == 0
    assert not lives(ours["process"]["pid"])
    assert first.up("e2e-toy")["process"]["pid"] == theirs["process"]["pid"]


def test_ports_of_connections_that_have_just_ended_are_free(shared: Home, ground: Ground) -> None:
    listener = ground.hold(ground.http[0])
    with socket.create_connection(("127.0.0.1", ground.http[0])):
        # The side that closes first keeps the port in TIME_WAIT.
        listener.accept()[0].close()
    listener.close()
    server = shared.up("e2e-toy")
    assert (server["ports"], server["relocated"]) == (ground.set(0), [])


def test_a_whole_range_taken_is_refused_with_the_occupants(shared: Home, ground: Ground) -> None:
    held = [ground.http[0], ground.sessions[1], ground.http[2], ground.sessions[3]]
    listeners = [ground.hold(port) for port in held]
    code, error = shared.refused("up", "e2e-toy")
    assert (code, error["data"]["code"]) == (1, "PORTS_EXHAUSTED")
    occupants = {row["port"]: row["pid"] for row in error["data"]["occupants"]}
    assert occupants == dict.fromkeys(held, os.getpid())
    assert error["data"]["retryable"]
    assert shared.events("server.spawned") == []
    listeners[2].close()
    server = shared.up("e2e-toy")
    assert (server["state"], server["ports"]) == ("ready", ground.set(2))


def test_a_project_keeps_its_ports_across_down_up_and_daemons(per_editor: Home, ground: Ground) -> None:
    per_editor.start()
    one, two = per_editor.project("one"), per_editor.project("two")
    assert ensure(per_editor, one)["ports"] == ground.set(0)
    assert ensure(per_editor, two)["ports"] == ground.set(1)
    assert per_editor.cli("down", "e2e-toy@one").returncode == 0
    assert per_editor.cli("down", "e2e-toy@two").returncode == 0
    assert ensure(per_editor, two)["ports"] == ground.set(1)
    assert per_editor.cli("stop", "--servers").returncode == 0
    assert is_free(ground.http[1])
    per_editor.start()
    assert ensure(per_editor, two)["ports"] == ground.set(1)
    assert per_editor.cli("down", "e2e-toy@two").returncode == 0
    per_editor.kill_daemon()
    per_editor.start()
    assert ensure(per_editor, two)["ports"] == ground.set(1)
    assert ensure(per_editor, one)["ports"] == ground.set(0)


def test_a_project_moves_when_its_ports_are_held(per_editor: Home, ground: Ground) -> None:
    project = per_editor.project()
    assert per_editor.up("e2e-toy", "--project", project)["ports"] == ground.set(0)
    assert per_editor.cli("down").returncode == 0
    ground.hold(ground.http[0])
    server = per_editor.up("e2e-toy", "--project", project)
    assert server["ports"] == ground.set(1)
    assert passed_over(server)[ground.http[0]]["occupant"]["pid"] == os.getpid()


def test_projects_that_ask_at_once_never_share_a_port(per_editor: Home, ground: Ground) -> None:
    per_editor.start()
    projects = [per_editor.project(f"game-{number}") for number in range(SETS)]
    with ThreadPoolExecutor(SETS) as threads:
        servers = list(threads.map(lambda project: ensure(per_editor, project), projects))
    assert len({server["process"]["pid"] for server in servers}) == SETS
    assert sorted(server["ports"]["http"] for server in servers) == list(ground.http)
    assert all(server["ports"]["sessions"] - server["ports"]["http"] == SETS for server in servers)
    assert {server["project"] for server in servers} == set(projects)
    assert per_editor.events("port.lost") == []


def test_two_editors_of_one_project_share_its_server(per_editor: Home, ground: Ground) -> None:
    per_editor.start()
    first, second = per_editor.owner(), per_editor.owner()
    project = per_editor.project()
    claims = [{"kind": "e2e-toy", "owner": {"pid": owner.pid, "project": project}} for owner in (first, second)]
    with ThreadPoolExecutor(len(claims)) as threads:
        servers = list(threads.map(lambda claim: per_editor.call("server.ensure", claim), claims))
    assert {server["id"] for server in servers} == {"e2e-toy@my-game"}
    assert {server["process"]["pid"] for server in servers} == {servers[0]["process"]["pid"]}
    (listed,) = per_editor.call("server.list")["servers"]
    assert {owner["pid"] for owner in listed["owners"]} == {first.pid, second.pid}
    assert listed["ports"] == ground.set(0)
    assert len(per_editor.events("server.spawned")) == 1


def test_the_same_project_behind_a_link_is_the_same_project(per_editor: Home) -> None:
    project = per_editor.project()
    link = per_editor.projects / "link"
    link.symlink_to(project)
    server = per_editor.up("e2e-toy", "--project", project)
    assert per_editor.up("e2e-toy", "--project", str(link))["process"]["pid"] == server["process"]["pid"]


def test_a_kind_for_each_project_needs_one(per_editor: Home) -> None:
    code, error = per_editor.refused("up", "e2e-toy")
    assert (code, error["data"]["code"], error["data"]["field"]) == (2, "INVALID_PARAMS", "project")
    assert per_editor.call("server.list")["servers"] == []
    owner = per_editor.owner()
    code, error = per_editor.refused("up", "e2e-toy", "--owner-pid", str(owner.pid))
    assert (code, error["data"]["code"]) == (2, "INVALID_PARAMS")
    assert lives(owner.pid)
