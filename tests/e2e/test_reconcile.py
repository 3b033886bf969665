"""Section 3 of docs/behaviour.md, row by row, with real listeners around a real daemon."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree, which
from typing import Any

import pytest

from supervisor.errors import SupervisorError
from tests.e2e.conftest import MakeHome
from tests.e2e.foreign_servers import Place, ended, explained, session, start_foreign_toy
from tests.e2e.home import Home, eventually, is_free, keeps_living, lives
from tests.gates import rest_in_full
from tests.privilege import IS_ROOT, NOBODY

# A daemon that looks for foreign servers finds those of every other test too, and may reap one of them.
pytestmark = pytest.mark.alone

LIAR = """
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{answer}')

HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def home(make_home: MakeHome, place: Place) -> Home:
    return make_home(place.config())


def relocated(server: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {row["port"]: row for row in server["relocated"]}


# --- what is not ours, and no server of the kind ---


def test_squatters_on_a_wildcard_or_on_ipv6_are_named_and_passed_over(home: Home, place: Place) -> None:
    with (
        socket.create_server(("0.0.0.0", place.http[0])),
        socket.create_server(("::1", place.sessions[1]), family=socket.AF_INET6),
    ):
        home.start()
        assert explained(home, place.http[0])["decision"] == "relocate"
        assert explained(home, place.sessions[0]) == {
            "port": place.sessions[0],
            "occupant": None,
            "decision": "relocate",
            "reason": f"it is free, but {place.http[0]} goes with it and is held",
        }
        assert "::1" in explained(home, place.sessions[1])["reason"]
        server = home.up("e2e-toy")
    assert server["ports"] == place.set(2)
    assert {row["occupant"]["pid"] for row in server["relocated"]} == {os.getpid()}


@pytest.mark.needs_root
@pytest.mark.skipif(not IS_ROOT or which("setpriv") is None, reason="only root can become another user")
def test_a_socket_whose_process_the_system_does_not_tell_is_passed_over(place: Place) -> None:
    # The interpreter may lie where only root can go; other users cannot look into root's processes even so.
    somebody = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    powers = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    # Not below the folder of this run, which is root's: a home there would be refused.
    folder = Path(tempfile.mkdtemp())
    (folder / "config.toml").write_text(place.config())
    for path in (folder, folder / "config.toml"):
        os.chown(path, NOBODY, NOBODY)

    def command(*words: str) -> dict[str, Any]:
        told = subprocess.run(
            [*somebody, *powers, sys.executable, "-P", "-m", "supervisor", *words, "--json"],
            env={**os.environ, "GODOT_SUPERVISOR_HOME": str(folder)},
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        answer: dict[str, Any] = json.loads(told.stdout)
        return answer

    with socket.create_server(("127.0.0.1", place.http[0])):
        try:
            server = command("up", "e2e-toy")
        finally:
            command("stop", "--servers")
            rmtree(folder)
    assert server["ports"] == place.set(1)
    occupant = relocated(server)[place.http[0]]["occupant"]
    assert (occupant["pid"], occupant["user"]) == (None, "root")


@pytest.mark.skipif(not IS_ROOT, reason="only root can become another user")
def test_another_users_server_is_named_and_never_asked_or_adopted(home: Home, place: Place) -> None:
    theirs = start_foreign_toy(home, place.set(0), "--user", str(NOBODY))
    server = home.up("e2e-toy")
    assert server["ports"] == place.set(1)
    row = relocated(server)[place.http[0]]
    assert row["occupant"]["pid"] == theirs.pid
    assert row["occupant"]["user"] == "nobody"
    code, error = home.refused("adopt", str(place.http[0]))
    assert (code, error["data"]["code"]) == (5, "NOT_OURS")
    assert theirs.poll() is None


def test_a_server_that_listens_but_never_answers_is_passed_over(home: Home, place: Place) -> None:
    mute = start_foreign_toy(home, place.set(0), "--mute")
    server = home.up("e2e-toy")
    assert server["ports"] == place.set(1)
    assert relocated(server)[place.http[0]]["occupant"]["pid"] == mute.pid
    assert "does not answer" in explained(home, place.sessions[0])["reason"]
    assert mute.poll() is None


def test_a_program_that_only_claims_to_be_the_server_is_not_believed(home: Home, place: Place) -> None:
    claims = LIAR.format(answer=json.dumps({"name": "e2e-toy", "version": "1.0"}), port=place.http[0])
    liar = home.run(sys.executable, "-c", claims, stderr=subprocess.DEVNULL)
    eventually(lambda: not is_free(place.http[0]), "it listens")
    server = home.up("e2e-toy")
    assert server["ports"] == place.set(1)
    assert "command line" in explained(home, place.http[0])["reason"]
    assert liar.poll() is None


def test_two_that_race_for_the_last_free_set_never_share_it(make_home: MakeHome) -> None:
    place = Place(2)
    home = make_home(place.config(topology="per-editor"))
    home.start()
    projects = [home.project("one"), home.project("two")]

    def ensure(project: str) -> Any:
        try:
            return home.call("server.ensure", {"kind": "e2e-toy", "project": project})
        except SupervisorError as error:
            return error

    with socket.create_server(("127.0.0.1", place.http[0])), ThreadPoolExecutor(2) as threads:
        outcomes = list(threads.map(ensure, projects))
    (won,) = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    (lost,) = [outcome for outcome in outcomes if isinstance(outcome, SupervisorError)]
    assert won["ports"] == place.set(1)
    assert lost.code == "PORTS_EXHAUSTED"
    assert {row["port"] for row in lost.data["occupants"]} >= {place.http[0], place.http[1]}


# --- ours ---


def test_slow_busy_server_is_never_replaced_under_its_owners(home: Home) -> None:
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    pid = server["process"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        code, error = home.refused("up", "e2e-toy")
        assert (code, error["data"]["code"]) == (1, "START_FAILED")
        assert lives(pid)
        beside = home.up("e2e-toy", "--version", "2.0")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (beside["id"], beside["version"], beside["origin"]) == ("e2e-toy-2", "2.0", "spawned")
    assert home.events("signal.sent") == []
    again = home.up("e2e-toy")
    assert (again["id"], again["process"]["pid"], again["state"]) == ("e2e-toy", pid, "ready")


@pytest.mark.full
def test_mute_server_is_replaced_once_it_is_not_in_use(make_home: MakeHome, place: Place, tmp_path: Path) -> None:
    mute = tmp_path / "mute"
    home = make_home(place.config("--mute-while", str(mute)))
    old = home.up("e2e-toy")
    mute.touch()
    code, error = home.refused("up", "e2e-toy")
    assert (code, error["data"]["code"]) == (1, "START_FAILED")
    since = time.monotonic()
    # Half a minute is the contract's; there is nothing to wait for but the clock.
    keeps_living(old["process"]["pid"], 10.0)
    home.refused("up", "e2e-toy")
    assert lives(old["process"]["pid"])
    time.sleep(max(0.0, since + 30.5 - time.monotonic()))
    mute_no_more = home.begin("up", "e2e-toy")
    eventually(lambda: not lives(old["process"]["pid"]), "the mute one is stopped")
    mute.unlink()
    assert mute_no_more.wait(60) == 0
    row = home.server("e2e-toy")
    assert row is not None
    assert (row["state"], row["ports"]) == ("ready", place.set(0))
    assert "has not answered for 3" in home.event("server.replaced")["reason"]


def test_another_version_replaces_a_server_not_in_use(home: Home, place: Place) -> None:
    owner = home.owner()
    old = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    new = home.up("e2e-toy", "--owner-pid", str(owner.pid), "--version", "2.0")
    assert (new["id"], new["version"], new["ports"]) == ("e2e-toy", "2.0", place.set(0))
    assert new["process"]["pid"] != old["process"]["pid"]
    assert not lives(old["process"]["pid"])
    (told,) = home.events("server.replaced")
    assert (told["was"], told["now"]) == ("1.0", "2.0")
    ended(owner)
    home.event("server.reaped", server="e2e-toy")
    eventually(lambda: not lives(new["process"]["pid"]), "the new one is reaped as the old one would have been")


@pytest.mark.parametrize("why", rest_in_full(["an owner", "a lease", "a session"]))
def test_another_version_starts_beside_a_server_that_is_in_use(home: Home, place: Place, why: str) -> None:
    owner = home.owner()
    words = ("--owner-pid", str(owner.pid)) if why == "an owner" else ()
    old = home.up("e2e-toy", *words)
    if why == "a lease":
        home.call("lease.acquire", {"server": "e2e-toy", "holder": "a test", "ttl_s": 600})
    if why == "a session":
        with session(old["ports"]):
            new = home.up("e2e-toy", "--version", "2.0")
    else:
        new = home.up("e2e-toy", "--version", "2.0")
    assert (new["id"], new["version"], new["ports"]) == ("e2e-toy-2", "2.0", place.set(1))
    keeps_living(old["process"]["pid"], 0.5)
    conflict = home.event("server.version_conflict", server="e2e-toy-2")
    assert (conflict["version"], conflict["beside"], conflict["beside_version"]) == ("2.0", "e2e-toy", "1.0")
    # Each version is one server: asked for again, each is found.
    assert home.up("e2e-toy", "--version", "1.0")["process"]["pid"] == old["process"]["pid"]
    assert home.up("e2e-toy", "--version", "2.0")["process"]["pid"] == new["process"]["pid"]


def test_a_replacement_that_does_not_become_ready_is_rolled_back(make_home: MakeHome, place: Place) -> None:
    home = make_home(place.config("--broken", "2.0"))
    owner = home.owner()
    home.up("e2e-toy", "--owner-pid", str(owner.pid))
    code, error = home.refused("up", "e2e-toy", "--owner-pid", str(owner.pid), "--version", "2.0")
    assert (code, error["data"]["code"]) == (1, "START_FAILED")
    assert error["data"]["rolled_back_to"] == "1.0"
    assert "runs again" in error["data"]["hint"]
    row = home.server("e2e-toy")
    assert row is not None
    assert (row["state"], row["version"], row["ports"]) == ("ready", "1.0", place.set(0))
    assert [held["pid"] for held in row["owners"]] == [owner.pid]
    assert home.events("server.replaced") == []
    assert home.event("server.rolled_back")["version"] == "1.0"


# --- foreign servers ---


def test_compatible_foreign_server_is_adopted_with_its_owner(home: Home, place: Place) -> None:
    theirs, ours = home.owner(), home.owner()
    foreign_server = start_foreign_toy(home, place.set(0), owner=theirs)
    home.start()
    assert explained(home, place.http[0])["decision"] == "adopt"
    server = home.up("e2e-toy", "--owner-pid", str(ours.pid))
    assert (server["id"], server["origin"], server["process"]["pid"]) == ("e2e-toy", "adopted", foreign_server.pid)
    assert (server["version"], server["ports"]) == ("1.0", place.set(0))
    assert {owner["pid"] for owner in server["owners"]} == {theirs.pid, ours.pid}
    ended(ours)
    keeps_living(foreign_server.pid, 4 * 0.5)
    ended(theirs)
    home.event("server.reaped", server="e2e-toy")
    assert foreign_server.wait(20) == -signal.SIGTERM


def test_an_adopted_server_that_ends_is_started_again_as_ours(home: Home, place: Place) -> None:
    owner = home.owner()
    foreign_server = start_foreign_toy(home, place.set(0), owner=owner)
    home.up("e2e-toy", "--owner-pid", str(owner.pid))
    ended(foreign_server)
    again = eventually(lambda: home.server_in("e2e-toy", "ready", origin="spawned"), "it is started again")
    assert again["ports"] == place.set(0)
    assert home.events("signal.sent") == []


def test_adopted_ownerless_server_outlives_its_requester(home: Home, place: Place) -> None:
    ours = home.owner()
    foreign_server = start_foreign_toy(home, place.set(0))
    assert home.up("e2e-toy", "--owner-pid", str(ours.pid))["process"]["pid"] == foreign_server.pid
    ended(ours)
    keeps_living(foreign_server.pid, 4 * 0.5)
    assert home.cli("down", "e2e-toy").returncode == 0
    assert foreign_server.wait(20) == -signal.SIGTERM


def test_request_without_owner_keeps_an_orphan_until_stopped(home: Home, place: Place) -> None:
    theirs = home.owner()
    foreign_server = start_foreign_toy(home, place.set(0), owner=theirs)
    ended(theirs)
    assert home.up("e2e-toy")["process"]["pid"] == foreign_server.pid
    keeps_living(foreign_server.pid, 6 * 0.5)
    assert home.cli("down").returncode == 0


def test_a_foreign_server_of_another_version_without_owner_is_replaced(home: Home, place: Place) -> None:
    theirs = home.owner()
    foreign_server = start_foreign_toy(home, place.set(0), "--version", "0.9", owner=theirs)
    ended(theirs)
    server = home.up("e2e-toy", "--version", "1.0")
    keeps_living(server["process"]["pid"], 6 * 0.5)
    assert (server["id"], server["version"], server["origin"]) == ("e2e-toy", "1.0", "spawned")
    assert server["ports"] == place.set(0)
    assert foreign_server.wait(20) == -signal.SIGTERM
    told = home.event("server.replaced")
    assert (told["was"], told["now"]) == ("0.9", "1.0")
    assert f"pid {theirs.pid}, is dead" in told["proof"]


@pytest.mark.parametrize("why", ["its owner lives", "it has no owner", "its owner is not known", "a session"])
def test_a_foreign_server_of_another_version_that_is_needed_stays(home: Home, place: Place, why: str) -> None:
    theirs = home.owner()
    owner = {"its owner lives": theirs, "it has no owner": None, "its owner is not known": "none of your pids"}
    foreign_server = start_foreign_toy(home, place.set(0), "--version", "0.9", owner=owner.get(why, theirs))
    if why == "a session":
        ended(theirs)
        with session(place.set(0)):
            server = home.up("e2e-toy", "--version", "1.0")
    else:
        server = home.up("e2e-toy", "--version", "1.0")
    assert (server["id"], server["ports"]) == ("e2e-toy", place.set(1))
    conflict = home.event("server.version_conflict", server="e2e-toy")
    assert (conflict["version"], conflict["beside_version"]) == ("1.0", "0.9")
    assert relocated(server)[place.http[0]]["occupant"]["pid"] == foreign_server.pid
    assert foreign_server.poll() is None
    assert home.events("signal.sent") == []
