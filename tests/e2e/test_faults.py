"""Faults of the machine: no descriptors, no disk, no time; and damage to the registry."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from supervisor.errors import SupervisorError
from supervisor.registry.store import FileStore, Found
from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import PATIENCE_S, Home, eventually, free_ports, keeps_living, lives
from tests.e2e.line import Line
from tests.e2e.project_servers import ProjectServers, serve_projects
from tests.e2e.turnstile import Turnstile
from tests.privilege import IS_ROOT

REPOSITORY = Path(__file__).resolve().parents[2]

TRUNCATED = 7
"""At how many places the registry is cut under a real daemon; in this process it is at every byte."""

CYCLES = 200
GRACE_S = 1.0
STILL_S = 7.0
"""Longer than a grace, and the lateness with which the daemon distrusts a sample."""


@pytest.fixture
def place(make_home: MakeHome) -> ProjectServers:
    """Servers of projects, with a daemon that runs in the background, as users have it."""
    ports = free_ports(8)
    home = make_home(ProjectServers.config(ports))
    home.start()
    return serve_projects(home, ports)


def daemon_of(home: Home) -> int:
    pid = home.daemon_pid()
    assert pid is not None
    return pid


# --- the registry -----------------------------------------------------------------------------------------------------


def damaged(whole: bytes) -> dict[str, bytes]:
    """A registry, as it may be found."""
    cuts = [len(whole) * number // TRUNCATED for number in range(TRUNCATED)]
    later = json.dumps({**json.loads(whole), "schema": 2, "servers": {}}).encode()
    return {
        **{f"cut at {cut}": whole[:cut] for cut in [*cuts, len(whole) - 1]},
        "garbage": bytes(range(256)) * 8,
        "of a later release": later,
    }


def test_registry_cut_at_any_byte_is_set_aside(place: ProjectServers, tmp_path: Path) -> None:
    place.home.kill_daemon()
    whole = place.home.folders.registry.read_bytes()
    path = tmp_path / "registry.json"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        loaded = FileStore(path).load()
        assert loaded.found is Found.SET_ASIDE, length
        assert loaded.aside is not None
        assert loaded.aside.read_bytes() == whole[:length]
        loaded.aside.unlink()
    path.write_bytes(whole)
    assert FileStore(path).load().found is Found.READ
    assert len(whole) > 500


def test_server_is_found_beside_any_kind_of_broken_registry(place: ProjectServers) -> None:
    home = place.home
    owner = place.claim()
    server = place.ensure(owner)
    home.kill_daemon()
    registry = home.folders.registry
    for number, (what, content) in enumerate(damaged(registry.read_bytes()).items(), 1):
        registry.write_bytes(content)
        daemon = Turnstile(home)
        aside = registry.with_name(f"registry.json.unreadable-{number}")
        assert aside.read_bytes() == content, what
        row = place.row(owner["project"])
        assert row is not None, what
        same = ("process", "root_pid", "ports", "state")
        assert {key: row[key] for key in same} == {key: server[key] for key in same}, what
        assert [held["pid"] for held in row["owners"]] == [owner["pid"]], what
        daemon.kill()
    assert not home.events("signal.sent")
    assert home.cli("start").returncode == 0
    assert home.call("server.stop", {"server": server["id"]})["state"] == "stopped"
    assert not lives(server["root_pid"])


# --- the disk ---------------------------------------------------------------------------------------------------------


@contextmanager
def mounted(folder: Path, *words: str) -> Iterator[None]:
    """Something mounted on a folder."""
    done = subprocess.run(["mount", *words, str(folder)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def refused_and_nothing_happens(home: Home, owner: dict[str, Any], server: dict[str, Any]) -> None:
    """No mutation, and nothing of what runs is touched; everything can be asked."""
    for method, params in (
        ("server.ensure", {"kind": "e2e-toy", "owner": owner}),
        ("server.stop", {"server": server["id"]}),
        ("lease.acquire", {"server": server["id"], "holder": "ci", "ttl_s": 60}),
    ):
        with pytest.raises(SupervisorError) as refused:
            home.call(method, params)
        assert (refused.value.code, refused.value.retryable) == ("STATE_NOT_WRITABLE", True), method
    assert home.server_processes() == [server["root_pid"]]
    status = home.call("status")
    assert [(row["id"], row["state"], row["leases"]) for row in status["servers"]] == [("e2e-toy", "ready", [])]
    assert [row["pid"] for row in status["servers"][0]["owners"]] == [server["owners"][0]["pid"]]
    assert "cannot be written" in " ".join(status["daemon"]["notes"])


def fill(folder: Path) -> None:
    """Leave no room on a disk."""
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(512)):
            pass
    assert shutil.disk_usage(folder).free == 0


@pytest.fixture(params=["full", "read-only"])
def spoil(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, Callable[[Path], Any]]]:
    """A small disk of its own, and what spoils it for as long as it lasts."""
    folder = tmp_path / "disk"
    folder.mkdir()

    @contextmanager
    def full(home: Path) -> Iterator[None]:
        # The next registry has this one's room already.
        (home / "registry.json.draft").unlink()
        fill(home)
        yield
        (home / "filler").unlink()

    @contextmanager
    def read_only(home: Path) -> Iterator[None]:
        with mounted(home, "--bind", str(home)):
            subprocess.run(["mount", "-o", "remount,bind,ro", str(home)], check=True)
            yield

    with mounted(folder, "-t", "tmpfs", "-o", "size=512k", "none"):
        yield folder, full if request.param == "full" else read_only


@pytest.mark.needs_root
@pytest.mark.skipif(not IS_ROOT or shutil.which("mount") is None, reason="only root can mount")
def test_with_a_spoilt_disk_nothing_is_begun_and_nothing_is_lost(
    spoil: tuple[Path, Callable[[Path], Any]], request: pytest.FixtureRequest
) -> None:
    folder, spoilt = spoil
    home = Home(folder, toy_config())
    request.addfinalizer(home.close)
    owner, other = home.owner(), home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    with spoilt(home.folders.home):
        refused_and_nothing_happens(home, {"pid": other.pid}, server)
        home.kill_daemon()
        if home.cli("start").returncode == 0:
            refused_and_nothing_happens(home, {"pid": other.pid}, server)
        owner.kill()
        owner.wait()
    home.start()
    eventually(lambda: not home.server_processes(), "an orphan goes once it can be written down")
    assert home.up("e2e-toy", "--owner-pid", str(other.pid))["state"] == "ready"


@pytest.mark.needs_root
@pytest.mark.skipif(not IS_ROOT or shutil.which("mount") is None, reason="only root can mount")
def test_a_disk_without_room_takes_what_has_room_already(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    with mounted(folder, "-t", "tmpfs", "-o", "size=512k", "none"):
        home = Home(folder, toy_config())
        try:
            owner, other = home.owner(), home.owner()
            home.up("e2e-toy", "--owner-pid", str(owner.pid))
            fill(home.folders.home)
            shared = home.call("server.ensure", {"kind": "e2e-toy", "owner": {"pid": other.pid}})
            assert {row["pid"] for row in shared["owners"]} == {owner.pid, other.pid}
            written = json.loads(home.folders.registry.read_bytes())["servers"][0]["owners"]
            assert {row["process"]["pid"] for row in written} == {owner.pid, other.pid}
            assert "registry" not in " ".join(home.call("status")["daemon"]["notes"])
        finally:
            home.close()


# --- descriptors ------------------------------------------------------------------------------------------------------


def descriptors(pid: int) -> set[int]:
    return {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}


@contextmanager
def without_descriptors(pid: int) -> Iterator[None]:
    """Keep a process from opening anything more, whatever it closes. Its open descriptors stay open."""
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    # A new descriptor's number has to be below the limit, and the standard three are never closed.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def test_without_descriptors_nothing_is_lost_and_it_recovers_by_itself(place: ProjectServers) -> None:
    home, pid = place.home, daemon_of(place.home)
    kept, orphaned, wanted = place.claim(), place.claim(), place.claim()
    keeps, orphan = place.ensure(kept), place.ensure(orphaned)
    place.settle()
    with Line(home) as line:
        assert line.ask("ping") == {}
        before = len(descriptors(pid))
        with without_descriptors(pid):
            assert line.ask("ping") == {}
            assert len(line.ask("server.list")["servers"]) == 3
            # A client that connects now waits for its own timeout, and its library says so.
            with pytest.raises(SupervisorError) as waited:
                home.call("ping")
            assert waited.value.code == "DAEMON_NOT_RUNNING"
            error = line.refused("server.ensure", {"kind": "mini", "owner": wanted})["data"]
            assert error["code"] != "INTERNAL", error
            refused = line.refused("server.stop", {"server": keeps["id"]})["data"]
            assert refused["code"] == "STATE_NOT_WRITABLE", refused
            os.kill(orphaned["pid"], signal.SIGKILL)
            judged = {row["server"]: row["verdict"] for row in line.ask("reap", {"dry_run": False})["servers"]}
            assert set(judged.values()) == {"keep"}, judged
            # Many graces. Whether the owner of the one lives cannot be told: that is no proof.
            for server in (keeps, orphan):
                keeps_living(server["root_pid"], 0.4)
        eventually(lambda: not lives(orphan["root_pid"]), "the orphan goes")
        assert line.ask("server.ensure", {"kind": "mini", "owner": wanted})["state"] == "ready"
    place.settle()
    row = place.row(kept["project"])
    assert row is not None
    assert (row["root_pid"], row["state"]) == (keeps["root_pid"], "ready")
    assert 1 <= len(home.events("loop.error")) <= 3, "what is the same trouble again is not told again"
    eventually(lambda: len(descriptors(pid)) <= before + 2, "no descriptor is left over")


# --- standing still ---------------------------------------------------------------------------------------------------


@contextmanager
def standing_still(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_stopped_daemon_judges_no_server_by_the_lost_time(make_home: MakeHome) -> None:
    ports = free_ports(8)
    home = make_home(ProjectServers.config(ports, grace=GRACE_S))
    home.start()
    place = serve_projects(home, ports)
    leased, suspected = place.claim(), place.claim()
    server, orphan = place.ensure(leased), place.ensure(suspected)
    with home.client() as client:
        lease = client.call("lease.acquire", {"server": server["id"], "holder": "ci", "ttl_s": 5})
        os.kill(leased["pid"], signal.SIGKILL)
        os.kill(suspected["pid"], signal.SIGKILL)
        first = home.event("server.suspected", server=orphan["id"])["sampled"]
        with standing_still(daemon_of(home)):
            began = time.monotonic()
            with pytest.raises(SupervisorError) as late:
                client.call("status")
            assert (late.value.code, late.value.retryable) == ("ACCEPT_TIMEOUT", True)
            with pytest.raises(SupervisorError) as nobody:
                home.call("ping")
            assert nobody.value.code == "DAEMON_NOT_RUNNING"
            assert time.monotonic() - began < STILL_S, "a client has its answer in its own time"
            keeps_living(orphan["root_pid"], began + STILL_S - time.monotonic())
    reaped = home.event("server.reaped", server=orphan["id"])
    assert reaped["first_sample"] > first + STILL_S, "the sample before does not count"
    assert reaped["second_sample"] - reaped["first_sample"] >= GRACE_S
    # A lease of 5 s, granted 7 s ago, which no client could renew in between.
    assert home.call("lease.renew", {"lease": lease["id"]})["expires_in_s"] > 4
    assert lives(server["root_pid"])
    home.call("lease.release", {"lease": lease["id"]})
    eventually(lambda: not lives(server["root_pid"]), "without its lease it goes")


def test_a_server_that_stands_still_is_kept_for_its_owner_and_then_ended(make_home: MakeHome) -> None:
    ports = free_ports(8)
    home = make_home(ProjectServers.config(ports, stop_timeout=0.5))
    home.start()
    place = serve_projects(home, ports)
    stopped, left = place.claim(), place.claim()
    servers = [place.ensure(owner) for owner in (stopped, left)]
    for server in servers:
        os.kill(server["root_pid"], signal.SIGSTOP)
    os.kill(left["pid"], signal.SIGKILL)
    with home.client() as client:
        shown = client.call("server.get", {"server": servers[0]["id"], "check": True}, accept_timeout_s=PATIENCE_S)
    assert shown["state"] == "unhealthy"
    assert not home.events("signal.sent", server=servers[0]["id"])
    assert home.call("server.stop", {"server": servers[0]["id"]})["state"] == "stopped"
    for server in servers:
        eventually(lambda server=server: not lives(server["root_pid"]), "it is ended")
        eventually(lambda server=server: home.server(server["id"]) is None, "its row goes")
        signals = [row["signal"] for row in home.events("signal.sent", server=server["id"])]
        assert signals == ["ask", "kill"]
    assert lives(stopped["pid"])
    place.settle()


# --- crowds -----------------------------------------------------------------------------------------------------------


def test_after_two_hundred_owners_that_came_and_died_nothing_is_left(place: ProjectServers) -> None:
    home, pid = place.home, daemon_of(place.home)
    project = home.project("crowded")
    with Line(home) as line:
        # Not before it has been let in.
        line.ask("ping")
        before = descriptors(pid)
        asked = []
        for number in range(CYCLES):
            owner = subprocess.Popen(["sleep", "600"])
            params = {"kind": "mini", "owner": {"pid": owner.pid, "project": project}}
            # Some die before they are heard, some while they wait, some when they have their answer.
            request = line.send("server.ensure", params)
            if number % 3 == 0:
                line.answer(request)
            elif number % 3 == 1:
                line.told(request, "accepted")
                asked.append(request)
            else:
                asked.append(request)
            owner.kill()
            owner.wait()
        codes = {answer["error"]["data"]["code"] for answer in map(line.answer, asked) if "error" in answer}
        assert codes <= {"EDITOR_GONE", "INVALID_PARAMS", "NOT_FOUND"}, codes
        eventually(lambda: not place.processes(project), "its server goes", 20.0)
        eventually(lambda: place.row(project) is None, "its row goes")
        assert len(line.ask("status")["editors"]) == 1, "the bystander's"
        eventually(lambda: len(descriptors(pid)) <= len(before), "no watch is left")
    place.settle()


# --- the wall clock ---------------------------------------------------------------------------------------------------

SHIFTED = """
import os, time
_now, _file = time.time, os.environ["TEST_CLOCK"]
def _shifted():
    with open(_file) as file:
        return _now() + float(file.read())
time.time = _shifted
"""


def test_wall_clock_set_by_an_hour_changes_no_verdict(make_home: MakeHome, tmp_path: Path) -> None:
    ports = free_ports(10)
    home = make_home(ProjectServers.config(ports, grace=0.5))
    clock, draft = tmp_path / "clock", tmp_path / "clock.new"
    clock.write_text("0")
    (tmp_path / "sitecustomize.py").write_text(SHIFTED)
    # The daemon keeps a search path that its own installation stands in.
    paths = (str(tmp_path), str(REPOSITORY))
    home.environment |= {"PYTHONPATH": os.pathsep.join(paths), "TEST_CLOCK": str(clock)}
    home.start()
    place = serve_projects(home, ports)
    kept, leased, crashing = (place.claim() for _ in range(3))
    servers = [place.ensure(owner) for owner in (kept, leased, crashing)]
    home.call("lease.acquire", {"server": servers[1]["id"], "holder": "ci", "ttl_s": 60})
    os.kill(leased["pid"], signal.SIGKILL)
    for hour in (3600, -3600):
        orphaned = place.claim()
        orphan = place.ensure(orphaned)["id"]
        os.kill(orphaned["pid"], signal.SIGKILL)
        first = home.event("server.suspected", server=orphan)
        draft.write_text(str(hour))
        draft.replace(clock)
        reaped = home.event("server.reaped", server=orphan)
        assert reaped["first_sample"] == first["sampled"], "the suspicion from before counts"
        assert 0.5 <= reaped["second_sample"] - reaped["first_sample"] < 5
        (before,) = place.processes(crashing["project"])
        os.kill(before, signal.SIGKILL)
        eventually(lambda: place.processes(crashing["project"]) not in ([], [before]), "it is back")  # noqa: B023
        assert orphan not in [row["id"] for row in place.settle()]
        row = place.row(crashing["project"])
        assert row is not None
        assert row["since"] == pytest.approx(time.time() + hour, abs=600), "the daemon's clock has been set"
    home.kill_daemon()
    home.start()
    place.settle()
    assert lives(servers[0]["root_pid"])
    assert lives(servers[1]["root_pid"])
    place.abandon(kept)
