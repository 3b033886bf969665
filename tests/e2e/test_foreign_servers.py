"""Servers that others started: found, adopted, reaped when their plugin has gone, and never touched while it lives."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest

from supervisor.errors import SupervisorError
from tests.e2e.conftest import MakeHome, Recycle
from tests.e2e.foreign_servers import (
    GRACE_S,
    TOY,
    Place,
    child_of,
    ended,
    explained,
    found,
    judged,
    rows,
    session,
    start_foreign_toy,
    waits_out,
)
from tests.e2e.home import Home, eventually, keeps_living, lives
from tests.gates import rest_in_full

# A daemon that looks for foreign servers finds those of every other test too, and may reap one of them.
pytestmark = pytest.mark.alone

AT_REST_S = 3.0
"""Longer than everything that could happen to a server that may be touched."""


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
def home(make_home: MakeHome, place: Place) -> Home:
    """Make a home without discovery."""
    return make_home(place.config())


@pytest.fixture
def watching(make_home: MakeHome, place: Place) -> Home:
    """A home that looks for servers of others."""
    return make_home(place.config(discover="watch"))


@pytest.fixture
def observing(make_home: MakeHome, place: Place) -> Home:
    """A home that looks, and leaves it at that."""
    return make_home(place.config(discover="observe"))


def adopted(home: Home, target: int, *words: str) -> dict[str, Any]:
    done = home.cli("adopt", str(target), *words, "--json")
    assert done.returncode == 0, done.stderr
    server: dict[str, Any] = json.loads(done.stdout)
    return server


# --- adopt ---


@pytest.mark.parametrize("by", rest_in_full(["port", "another port", "pid"]))
def test_adopt_takes_a_port_or_a_process_and_down_ends_it(home: Home, place: Place, by: str) -> None:
    foreign_server = start_foreign_toy(home, place.set(0))
    home.start()
    target = {"port": place.http[0], "another port": place.sessions[0], "pid": foreign_server.pid}[by]
    params = {"pid": target} if by == "pid" else {"port": target}
    server = home.call("server.adopt", params)
    assert (server["id"], server["origin"], server["state"]) == ("e2e-toy", "adopted", "ready")
    assert (server["version"], server["ports"]) == ("1.0", place.set(0))
    assert (server["process"]["pid"], server["root_pid"]) == (foreign_server.pid, foreign_server.pid)
    assert server["owners"] == []
    keeps_living(foreign_server.pid, 4 * GRACE_S)
    assert home.cli("down").returncode == 0
    assert foreign_server.wait(20) == -signal.SIGTERM
    assert rows(home) == []


def test_adopted_server_is_followed_reaped_and_found_again(home: Home, place: Place) -> None:
    owner = home.owner()
    foreign_server = start_foreign_toy(home, place.set(0), owner=owner)
    home.start()
    server = adopted(home, place.http[0])
    assert [held["pid"] for held in server["owners"]] == [owner.pid]
    home.kill_daemon()
    home.start()
    assert found(home, foreign_server.pid)["origin"] == "adopted"
    with session(place.set(0)):
        ended(owner)
        keeps_living(foreign_server.pid, 4 * GRACE_S)
        assert home.events("server.suspected") == []
    home.judged_twice("e2e-toy", GRACE_S)
    assert foreign_server.wait(20) == -signal.SIGTERM


def test_an_adopted_server_is_started_again_while_its_owner_lives(home: Home, place: Place) -> None:
    owner = home.owner()
    foreign_server = start_foreign_toy(home, place.set(0))
    home.start()
    adopted(home, place.http[0], "--owner-pid", str(owner.pid))
    ended(foreign_server)
    again = eventually(lambda: home.server_in("e2e-toy", "ready", origin="spawned"), "it is started again")
    assert again["ports"] == place.set(0)
    assert [held["pid"] for held in again["owners"]] == [owner.pid]
    ended(owner)
    home.judged_twice("e2e-toy", GRACE_S)


def test_adopting_twice_or_one_of_ours_changes_nothing(home: Home, place: Place) -> None:
    start_foreign_toy(home, place.set(0))
    home.start()
    first, second = adopted(home, place.http[0]), adopted(home, place.sessions[0])
    assert (first["id"], first["process"]) == (second["id"], second["process"])
    ours = home.up("e2e-toy", "--version", "2.0")
    assert adopted(home, ours["ports"]["http"])["origin"] == "spawned"
    assert len(rows(home)) == 2


NOT_RECOGNISED = ["another program", "nobody", "no such process", "another name", "mute", "itself"]


@pytest.mark.parametrize("what", rest_in_full(NOT_RECOGNISED))
def test_what_is_not_recognised_is_not_adopted(home: Home, place: Place, what: str) -> None:
    home.start()
    daemon = home.daemon_pid()
    assert daemon is not None
    with contextlib.ExitStack() as stack:
        params = {"port": place.http[0]}
        if what == "another program":
            stack.enter_context(socket.create_server(("127.0.0.1", place.http[0])))
        if what == "another name":
            start_foreign_toy(home, place.set(0), "--name", "somebody else")
        if what == "mute":
            start_foreign_toy(home, place.set(0), "--mute")
        if what == "no such process":
            params = {"pid": 4_000_000}
        if what == "itself":
            params = {"pid": daemon}
        code, error = home.refused("adopt", str(next(iter(params.values()))))
    expected = "NOT_FOUND" if what in ("nobody", "no such process") else "NOT_OURS"
    assert error["data"]["code"] == expected, error
    assert code == {"NOT_FOUND": 4, "NOT_OURS": 5}[expected]
    assert error["data"]["hint"]
    assert rows(home) == []


# --- launchers, and what must never be taken for one ---


def test_a_launcher_is_seen_through_and_stopped_with_its_server(home: Home, place: Place) -> None:
    shell = start_foreign_toy(home, place.set(0), before=("sh", "-c"))
    server = child_of(shell.pid)
    home.start()
    row = adopted(home, place.http[0])
    assert (row["process"]["pid"], row["root_pid"]) == (server, shell.pid)
    assert home.cli("down").returncode == 0
    assert shell.wait(20) == -signal.SIGTERM
    assert not lives(server)


def test_launcher_pid_adopts_its_server(home: Home, place: Place) -> None:
    shell = start_foreign_toy(home, place.set(0), before=("sh", "-c"))
    home.start()
    row = home.call("server.adopt", {"pid": shell.pid})
    assert (row["process"]["pid"], row["root_pid"]) == (child_of(shell.pid), shell.pid)


def test_a_shell_that_runs_something_else_too_is_no_launcher(home: Home, place: Place) -> None:
    mark = home.projects / "other.pid"
    words = f"sleep 600 & echo $! > {mark}; {sys.executable} {TOY} {place.http[0]} {place.sessions[0]}; true"
    shell = home.run("sh", "-c", words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    home.start()
    eventually(lambda: explained(home, place.http[0])["decision"] == "adopt", "it listens and answers")
    row = adopted(home, place.http[0])
    assert row["root_pid"] == row["process"]["pid"] != shell.pid
    assert home.cli("down").returncode == 0
    assert not lives(row["process"]["pid"])
    other = int(mark.read_text())
    keeps_living(other, 0.3)
    os.kill(other, signal.SIGKILL)


def test_an_editor_that_an_adopted_server_runs_survives_it(home: Home, place: Place) -> None:
    mark = home.projects / "editor.pid"
    foreign_server = start_foreign_toy(home, place.set(0), "--editor", str(mark))
    editor = int(mark.read_text())
    home.start()
    adopted(home, place.http[0], "--owner-pid", str(editor))
    assert home.cli("down").returncode == 0
    assert foreign_server.wait(20) == -signal.SIGTERM
    keeps_living(editor, 0.3)
    os.kill(editor, signal.SIGKILL)


# --- found ---


def test_plugins_server_is_reaped_after_its_editor_has_gone(watching: Home, place: Place) -> None:
    owner = watching.owner()
    foreign_server = start_foreign_toy(watching, place.set(0), owner=owner)
    watching.start()
    row = found(watching, foreign_server.pid)
    assert (row["id"], row["origin"], row["version"]) == ("e2e-toy", "discovered", "1.0")
    assert [held["pid"] for held in row["owners"]] == [owner.pid]
    waits_out(AT_REST_S, foreign_server.pid)
    assert watching.events("server.suspected") == []
    ended(owner)
    watching.judged_twice("e2e-toy", GRACE_S)
    assert foreign_server.wait(20) == -signal.SIGTERM
    eventually(lambda: rows(watching) == [], "its row has gone")
    assert len(watching.events("editor.ended")) == 1


def test_one_that_was_orphaned_before_the_daemon_came_is_judged_twice_too(watching: Home, place: Place) -> None:
    owner = watching.owner()
    foreign_server = start_foreign_toy(watching, place.set(0), owner=owner)
    ended(owner)
    watching.start()
    watching.judged_twice("e2e-toy", GRACE_S)
    assert foreign_server.wait(20) == -signal.SIGTERM
    assert watching.event("server.discovered")["owner"] == f"pid {owner.pid}, dead"


def test_a_session_keeps_a_found_server_whose_editor_has_gone(watching: Home, place: Place) -> None:
    owner = watching.owner()
    foreign_server = start_foreign_toy(watching, place.set(0), owner=owner)
    with session(place.set(0)):
        watching.start()
        found(watching, foreign_server.pid)
        ended(owner)
        keeps_living(foreign_server.pid, AT_REST_S)
        assert watching.events("server.suspected") == []
    watching.judged_twice("e2e-toy", GRACE_S)


def test_a_found_server_that_ends_is_not_started_again(watching: Home, place: Place) -> None:
    owner = watching.owner()
    foreign_server = start_foreign_toy(watching, place.set(0), owner=owner)
    watching.start()
    found(watching, foreign_server.pid)
    ended(foreign_server)
    watching.event("server.gone", server="e2e-toy")
    assert watching.events("server.spawned") == []
    assert watching.events("signal.sent") == []
    # Its plugin starts another one, and that is found as well: by a look that a read sets off.
    again = start_foreign_toy(watching, place.set(1), owner=owner)
    assert found(watching, again.pid)["origin"] == "discovered"


@pytest.mark.parametrize("stop", rest_in_full([False, True]), ids=["detaches", "detaches and would have it stopped"])
def test_detaching_plugin_keeps_the_server_that_it_started(watching: Home, place: Place, *, stop: bool) -> None:
    owner = watching.owner()
    foreign_server = start_foreign_toy(watching, place.set(0), owner=owner)
    watching.start()
    found(watching, foreign_server.pid)
    editor = watching.call("editor.attach", {"pid": owner.pid, "project": watching.project()})["id"]
    watching.call("editor.detach", {"editor": editor, "stop": stop})
    waits_out(AT_REST_S, foreign_server.pid)
    assert watching.events("server.suspected") == []
    ended(owner)
    watching.judged_twice("e2e-toy", GRACE_S)


def test_the_owner_of_a_found_server_cannot_release_it(watching: Home, place: Place) -> None:
    owner = watching.owner()
    foreign_server = start_foreign_toy(watching, place.set(0), owner=owner)
    watching.start()
    (held,) = found(watching, foreign_server.pid)["owners"]
    with pytest.raises(SupervisorError) as caught:
        watching.call("server.release", {"server": "e2e-toy", "editor": held["editor"]})
    assert caught.value.code == "NOT_OURS"


def test_per_editor_found_server_goes_to_its_owner_only(make_home: MakeHome, place: Place) -> None:
    home = make_home(place.config(discover="watch", topology="per-editor"))
    theirs, ours = home.owner(), home.owner()
    foreign_server = start_foreign_toy(home, place.set(0), owner=theirs)
    home.start()
    found(home, foreign_server.pid)
    other = home.up("e2e-toy", "--owner-pid", str(ours.pid), "--project", home.project("one"))
    assert (other["origin"], other["ports"]) == ("spawned", place.set(1))
    project = home.project("two")
    own = home.up("e2e-toy", "--owner-pid", str(theirs.pid), "--project", project)
    assert (own["origin"], own["process"]["pid"], own["project"]) == ("adopted", foreign_server.pid, project)


def test_stop_servers_leaves_a_server_with_unknown_owners(home: Home, place: Place) -> None:
    foreign_server = start_foreign_toy(home, place.set(0))
    assert home.up("e2e-toy")["process"]["pid"] == foreign_server.pid
    ours = home.up("e2e-toy", "--version", "2.0")
    assert home.cli("stop", "--servers").returncode == 0
    assert not lives(ours["process"]["pid"])
    keeps_living(foreign_server.pid, 0.3)
    home.start()
    assert home.cli("down", "e2e-toy").returncode == 0
    assert foreign_server.wait(20) == -signal.SIGTERM


def test_an_ensure_opts_in(watching: Home, place: Place) -> None:
    theirs, ours = watching.owner(), watching.owner()
    foreign_server = start_foreign_toy(watching, place.set(0), owner=theirs)
    watching.start()
    found(watching, foreign_server.pid)
    server = watching.up("e2e-toy", "--owner-pid", str(ours.pid))
    assert (server["id"], server["origin"], server["process"]["pid"]) == ("e2e-toy", "adopted", foreign_server.pid)
    ended(foreign_server)
    again = eventually(lambda: watching.server_in("e2e-toy", "ready", origin="spawned"), "it is started again")
    assert {held["pid"] for held in again["owners"]} == {theirs.pid, ours.pid}


def test_one_without_an_owner_is_external_and_only_listed(watching: Home, place: Place) -> None:
    foreign_server = start_foreign_toy(watching, place.set(0))
    watching.start()
    row = judged(watching, foreign_server.pid)
    assert (row["origin"], row["reap"]["verdict"]) == ("external", "keep")
    assert "only listed" in row["reap"]["reasons"][0]
    assert "external" in watching.cli("status").stdout
    code, error = watching.refused("down")
    assert (code, error["data"]["code"], error["data"]["hint"]) == (
        2,
        "INVALID_PARAMS",
        "godot-supervisor down e2e-toy",
    )
    waits_out(AT_REST_S, foreign_server.pid)
    assert watching.cli("reap").returncode == 0
    assert watching.cli("stop", "--servers").returncode == 0
    keeps_living(foreign_server.pid, 0.3)
    assert watching.events("signal.sent") == []


def test_a_user_may_still_name_an_external_one(watching: Home, place: Place) -> None:
    foreign_server = start_foreign_toy(watching, place.set(0))
    watching.start()
    found(watching, foreign_server.pid)
    assert watching.cli("down", "e2e-toy").returncode == 0
    assert foreign_server.wait(20) == -signal.SIGTERM


def test_a_server_of_another_home_is_shown_as_such_and_never_touched(make_home: MakeHome, place: Place) -> None:
    first, second = make_home(place.config()), make_home(place.config(discover="watch"))
    theirs = first.up("e2e-toy")
    second.start()
    row = judged(second, theirs["process"]["pid"])
    assert row["origin"] == "external"
    assert first.folders.home_id in row["reap"]["reasons"][0]
    assert explained(second, place.http[0])["decision"] == "relocate"
    for command in (("down", row["id"]), ("adopt", str(place.http[0]))):
        code, error = second.refused(*command)
        assert (code, error["data"]["code"]) == (5, "NOT_OURS")
    ours = second.up("e2e-toy")
    assert ours["ports"] == place.set(1)
    assert second.cli("stop", "--servers").returncode == 0
    assert lives(theirs["process"]["pid"])
    assert second.events("signal.sent", pid=theirs["process"]["pid"]) == []


def test_observing_lists_and_never_reaps(observing: Home, place: Place) -> None:
    owner = observing.owner()
    foreign_server = start_foreign_toy(observing, place.set(0), owner=owner)
    observing.start()
    assert found(observing, foreign_server.pid)["origin"] == "discovered"
    ended(owner)
    observing.event("editor.ended", pid=owner.pid)
    keeps_living(foreign_server.pid, AT_REST_S)
    row = judged(observing, foreign_server.pid)
    assert row["reap"]["reasons"] == ["it was found, and discovery only observes"]
    assert observing.events("signal.sent") == []


def test_with_discovery_off_nothing_is_found(home: Home, place: Place) -> None:
    owner = home.owner()
    foreign_server = start_foreign_toy(home, place.set(0), owner=owner)
    home.start()
    ended(owner)
    for _ in range(5):
        assert rows(home) == []
    keeps_living(foreign_server.pid, AT_REST_S)
    assert home.events("server.discovered") == []


# --- whose owner is whose ---


@pytest.mark.parametrize("text", rest_in_full(["no number", "-1", "0", " 1", "99999999999"]))
def test_an_owner_that_cannot_be_understood_keeps_the_server(watching: Home, place: Place, text: str) -> None:
    foreign_server = start_foreign_toy(watching, place.set(0), owner=text)
    watching.start()
    row = judged(watching, foreign_server.pid)
    assert (row["origin"], row["owners"]) == ("discovered", [])
    assert row["reap"]["reasons"] == ["it may have unknown owners"]
    keeps_living(foreign_server.pid, AT_REST_S)


def test_an_owner_in_another_pid_namespace_keeps_the_server(watching: Home, place: Place) -> None:
    gone = watching.owner()
    ended(gone)
    words = ("unshare", "--pid", "--fork", "sh", "-c")
    if watching.run("unshare", "--pid", "--fork", "true", stderr=subprocess.DEVNULL).wait() != 0:
        pytest.skip("no pid namespaces here")
    start_foreign_toy(watching, place.set(0), owner=gone, before=words)
    watching.start()
    row = judged(watching, eventually(lambda: rows(watching), "it is found")[0]["process"]["pid"])
    assert row["reap"]["reasons"] == ["it may have unknown owners"]
    keeps_living(row["process"]["pid"], AT_REST_S)
    os.kill(row["process"]["pid"], signal.SIGKILL)


@pytest.mark.needs_root
@pytest.mark.parametrize("when", rest_in_full(["before the daemon comes", "under the daemon"]))
def test_the_pid_of_an_owner_is_recycled(watching: Home, place: Place, recycle: Recycle, when: str) -> None:
    owner = watching.owner()
    foreign_server = start_foreign_toy(watching, place.set(0), owner=owner)
    if when == "under the daemon":
        watching.start()
        found(watching, foreign_server.pid)
        daemon = watching.daemon_pid()
        assert daemon is not None
        os.kill(daemon, signal.SIGSTOP)
        ended(owner)
        innocent = recycle(owner.pid)
        os.kill(daemon, signal.SIGCONT)
    else:
        ended(owner)
        innocent = recycle(owner.pid)
        watching.start()
    watching.judged_twice("e2e-toy", GRACE_S)
    assert foreign_server.wait(20) == -signal.SIGTERM
    assert innocent.poll() is None


@pytest.mark.needs_root
@pytest.mark.parametrize("how", rest_in_full(["adopted", "found"]))
def test_the_pid_of_a_foreign_server_is_recycled(
    home: Home, watching: Home, place: Place, recycle: Recycle, how: str
) -> None:
    """The process that has the pid now is innocent, whatever the daemon knew of the one before."""
    here = home if how == "adopted" else watching
    owner = here.owner()
    foreign_server = start_foreign_toy(here, place.set(0), owner=owner)
    here.start()
    if how == "adopted":
        adopted(here, place.http[0])
    else:
        found(here, foreign_server.pid)
    daemon = here.daemon_pid()
    assert daemon is not None
    os.kill(daemon, signal.SIGSTOP)
    ended(owner)
    ended(foreign_server)
    innocent = recycle(foreign_server.pid)
    os.kill(daemon, signal.SIGCONT)
    here.event("server.gone", server="e2e-toy")
    waits_out(AT_REST_S, innocent.pid)
    assert here.events("signal.sent") == []


@pytest.mark.needs_root
@pytest.mark.full
def test_adopted_pid_recycled_while_the_daemon_is_down(home: Home, place: Place, recycle: Recycle) -> None:
    owner = home.owner()
    foreign_server = start_foreign_toy(home, place.set(0), owner=owner)
    home.start()
    adopted(home, place.http[0])
    home.kill_daemon()
    ended(owner)
    ended(foreign_server)
    innocent = recycle(foreign_server.pid)
    home.start()
    home.event("server.gone", server="e2e-toy")
    waits_out(AT_REST_S, innocent.pid)
    assert home.events("signal.sent") == []


def test_ports_prints_what_a_user_needs_to_know(make_home: MakeHome, place: Place) -> None:
    home = make_home(place.config())
    mine = home.up("e2e-toy")
    foreign_server = start_foreign_toy(home, place.set(1))
    with socket.create_server(("127.0.0.1", place.http[2])):
        text = home.cli("ports", "e2e-toy").stdout
    lines = {line.split()[0]: line for line in text.splitlines()}
    assert "it is the port of e2e-toy" in lines[str(place.http[0])]
    assert f"pid {mine['process']['pid']}" in lines[str(place.http[0])]
    assert "adopt" in lines[str(place.http[1])]
    assert f"pid {foreign_server.pid}" in lines[str(place.http[1])]
    assert f"pid {os.getpid()}" in lines[str(place.http[2])]
    assert "its command line is not that of e2e-toy" in lines[str(place.http[2])]
    assert f"it is free, but {place.http[2]} goes with it" in lines[str(place.sessions[2])]
