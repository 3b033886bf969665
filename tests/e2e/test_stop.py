"""Stopping: the processes that end, those that stay, and the leftovers of a start that fails."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import SERVERS, Home, eventually, free_ports, is_free, lives, stat_fields
from tests.gates import rest_in_full

MARKED = re.compile(r"<(\d+):(\d+)>")


def config(*options: str, **settings: Any) -> str:
    """With ports that no other test looks for: here they must be free in the end."""
    ports = free_ports(12)
    http, sessions = f"{ports[0]}-{ports[5]}", f"{ports[6]}-{ports[11]}"
    return toy_config(*options, http=http, sessions=sessions, **settings)


@pytest.fixture
def toy(make_home: MakeHome) -> Home:
    return make_home(config())


@pytest.fixture
def survivors() -> Iterator[list[int]]:
    """Processes that must outlive the servers, and end with the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        if lives(pid):
            os.kill(pid, signal.SIGKILL)


def marked(path: Path) -> int:
    """The pid that a process has written to this file."""
    return int(eventually(lambda: path.exists() and path.read_text(), f"{path.name} is written"))


def children(pid: int) -> list[int]:
    parents = {int(path.name): stat_fields(int(path.name))[1:2] for path in Path("/proc").glob("[0-9]*")}
    return [child for child, parent in parents.items() if parent == [str(pid)]]


def nothing_is_left(home: Home, ports: Any, *pids: int) -> None:
    assert not [pid for pid in pids if lives(pid)], home.note()
    assert home.server_processes() == []
    assert not [port for port in ports if not is_free(port)]


def signalled(home: Home) -> set[int]:
    return {row["pid"] for row in home.events("signal.sent")}


# --- `down` stops the whole tree --------------------------------------------------------------------------------------


def test_down_stops_a_descendant_that_ignores_sigterm(make_home: MakeHome, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    home = make_home(config("--child", str(mark), stop_timeout=1))
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    descendant = marked(mark)
    stopped = home.cli("down", "e2e-toy")
    assert stopped.returncode == 0, stopped.stderr
    nothing_is_left(home, server["ports"].values(), server["process"]["pid"], descendant)
    assert [row["signal"] for row in home.events("signal.sent", pid=descendant)] == ["ask", "kill"]
    assert owner.poll() is None
    assert home.server("e2e-toy") is None


@pytest.mark.parametrize("how", rest_in_full(["down", "reaped", "restarted"]))
def test_a_descendant_with_a_session_of_its_own_is_asked_and_left(
    make_home: MakeHome, tmp_path: Path, survivors: list[int], how: str
) -> None:
    mark = tmp_path / "pid"
    home = make_home(config("--escape", str(mark), grace=0.1, stop_timeout=1))
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    descendant = marked(mark)
    survivors.append(descendant)
    if how == "reaped":
        owner.kill()
    else:
        assert home.cli("down" if how == "down" else "restart", "e2e-toy").returncode == 0
    assert home.event("server.left_behind", server="e2e-toy")["pids"] == [descendant]
    eventually(lambda: not lives(server["process"]["pid"]), "the server has ended")
    assert lives(descendant)
    assert [row["signal"] for row in home.events("signal.sent", pid=descendant)] == ["ask"]
    if how == "restarted":
        survivors.append(marked(mark))


def test_a_godot_editor_that_the_server_has_started_is_never_signalled(
    make_home: MakeHome, tmp_path: Path, survivors: list[int]
) -> None:
    mark = tmp_path / "pid"
    home = make_home(config("--godot", str(mark), grace=0.1, stop_timeout=1))
    owner = home.owner()
    home.up("e2e-toy", "--owner-pid", str(owner.pid))
    editor = marked(mark)
    survivors.append(editor)
    owner.kill()
    home.event("server.stopped", server="e2e-toy")
    assert home.event("server.left_behind", server="e2e-toy")["pids"] == [editor]
    assert lives(editor)
    assert editor not in signalled(home)


def test_down_kills_a_server_that_ignores_sigterm_when_its_time_is_over(make_home: MakeHome) -> None:
    home = make_home(config("--ignore-term", stop_timeout=1))
    server = home.up("e2e-toy")
    assert home.cli("down", "e2e-toy").returncode == 0
    nothing_is_left(home, server["ports"].values(), server["process"]["pid"])
    asked, killed = home.events("signal.sent")
    assert (asked["signal"], killed["signal"]) == ("ask", "kill")
    assert killed["mono"] - asked["mono"] >= 1


def test_a_server_that_ends_when_asked_is_not_killed(toy: Home) -> None:
    server = toy.up("e2e-toy")
    assert toy.cli("down").returncode == 0
    nothing_is_left(toy, server["ports"].values(), server["process"]["pid"])
    assert [row["signal"] for row in toy.events("signal.sent")] == ["ask"]


def test_down_stops_a_grandchild_that_holds_the_port(make_home: MakeHome) -> None:
    home = make_home(config("--below", "2"))
    server = home.up("e2e-toy")
    root, listener = server["root_pid"], server["process"]["pid"]
    (between,) = children(root)
    assert children(between) == [listener]
    assert home.cli("down", "e2e-toy").returncode == 0
    nothing_is_left(home, server["ports"].values(), root, between, listener)


def test_a_server_behind_a_shell_is_found_below_it_and_both_are_stopped(make_home: MakeHome) -> None:
    plain = f'command = ["{sys.executable}", "{SERVERS / "toy.py"}", "{{http}}", "{{sessions}}"]'
    script = f"'{sys.executable}' '{SERVERS / 'toy.py'}' {{http}} {{sessions}}; true"
    home = make_home(config().replace(plain, f'command = ["sh", "-c", "{script}"]'))
    server = home.up("e2e-toy")
    root, listener = server["root_pid"], server["process"]["pid"]
    assert Path(f"/proc/{root}/cmdline").read_bytes().startswith(b"sh\0-c\0")
    assert children(root) == [listener]
    assert home.cli("down", "e2e-toy").returncode == 0
    nothing_is_left(home, server["ports"].values(), root, listener)


def test_what_a_server_that_was_killed_leaves_in_its_session_is_swept(make_home: MakeHome, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    home = make_home(config("--child", str(mark)))
    server = home.up("e2e-toy")
    descendant = marked(mark)
    os.kill(server["process"]["pid"], signal.SIGKILL)
    eventually(lambda: not lives(descendant), "the descendant is swept")
    assert signalled(home) == {descendant}


# --- and never anything else ------------------------------------------------------------------------------------------


def test_an_editor_that_the_server_has_started_outlives_it(
    make_home: MakeHome, tmp_path: Path, survivors: list[int]
) -> None:
    mark = tmp_path / "pid"
    home = make_home(config("--editor", str(mark)))
    server = home.up("e2e-toy")
    editor = marked(mark)
    (job,) = eventually(lambda: children(editor), "the editor runs something")
    survivors += [editor, job]
    assert stat_fields(editor)[3] == str(server["root_pid"]), "it is in the session of the server"
    home.up("e2e-toy", "--owner-pid", str(editor))
    assert home.cli("down", "e2e-toy").returncode == 0
    assert not lives(server["process"]["pid"])
    assert lives(editor)
    assert lives(job)
    assert not signalled(home) & {editor, job}


def test_a_server_cannot_own_itself(toy: Home) -> None:
    server = toy.up("e2e-toy")
    status, error = toy.refused("up", "e2e-toy", "--owner-pid", str(server["process"]["pid"]))
    assert (status, error["data"]["code"]) == (2, "INVALID_PARAMS")
    assert toy.cli("down", "e2e-toy").returncode == 0
    assert toy.server_processes() == []


def test_an_inherited_launch_token_alone_is_no_reason_to_kill(
    make_home: MakeHome, tmp_path: Path, survivors: list[int]
) -> None:
    mark = tmp_path / "pid"
    home = make_home(config("--escape", str(mark)))
    server = home.up("e2e-toy", "--owner-pid", str(home.owner().pid))
    survivors.append(marked(mark))
    os.kill(server["process"]["pid"], signal.SIGKILL)
    home.event("server.exited", server="e2e-toy")
    eventually(lambda: len(home.events("server.state", now="ready")) == 2, "it is started again")
    assert home.cli("stop", "--servers").returncode == 0
    home.start()
    assert lives(survivors[0])
    assert survivors[0] not in signalled(home)


@pytest.mark.parametrize("how", rest_in_full(["down", "reaped"]))
def test_a_grandchild_that_left_session_and_parents_is_held_and_named(
    make_home: MakeHome, tmp_path: Path, survivors: list[int], how: str
) -> None:
    mark = tmp_path / "pid"
    home = make_home(config("--daemonize", str(mark), grace=0.1))
    owner = home.owner()
    server = home.up("e2e-toy", "--owner-pid", str(owner.pid))
    grandchild = marked(mark)
    survivors.append(grandchild)
    assert stat_fields(grandchild)[3] != str(server["root_pid"])
    if how == "down":
        assert home.cli("down", "e2e-toy").returncode == 0
    else:
        owner.kill()
    left = home.event("server.left_behind", server="e2e-toy")
    assert left["pids"] == [grandchild]
    home.event("server.stopped", server="e2e-toy")
    assert lives(grandchild), "what it carries can be inherited: that is no proof"
    assert signalled(home) == {server["root_pid"]}
    home.kill_daemon()
    home.start()
    assert home.event("process.unknown")["pids"] == [grandchild]


class Shell:
    """An interactive bash on a terminal of its own."""

    def __init__(self, home: Home) -> None:
        self._terminal, slave = os.openpty()
        self._marks = 0
        words = ("setsid", "--ctty", "bash", "--norc", "--noprofile", "-i")
        self.process = home.run(*words, stdin=slave, stdout=slave, stderr=slave, cwd=home.folders.home)
        os.close(slave)
        self.supervisor = f"'{sys.executable}' -P -m supervisor"

    def say(self, line: str) -> tuple[int, str]:
        """Type a line; the status of the command, and all that the terminal showed until then."""
        self._marks += 1
        os.write(self._terminal, f'{line}\necho "<{self._marks}:$?>"\n'.encode())
        shown = ""
        while not any(found[1] == str(self._marks) for found in MARKED.finditer(shown)):
            shown += os.read(self._terminal, 65536).decode(errors="replace")
        (status,) = [int(found[2]) for found in MARKED.finditer(shown) if found[1] == str(self._marks)]
        return status, shown

    def job(self, line: str) -> list[int]:
        """Start a job in the background; its processes."""
        before = set(children(self.process.pid))
        assert self.say(f"{line} &")[0] == 0
        return [pid for pid in children(self.process.pid) if pid not in before]

    def close(self) -> None:
        os.close(self._terminal)


@pytest.fixture
def shell(toy: Home) -> Iterator[Shell]:
    opened = Shell(toy)
    yield opened
    opened.close()


@pytest.mark.parametrize("daemon", ["on its own", "as a job"])
def test_an_interactive_shell_and_its_jobs_are_never_touched(
    toy: Home, shell: Shell, survivors: list[int], daemon: str
) -> None:
    jobs = shell.job("sleep 600") + shell.job("sleep 601 | sleep 602")
    assert len(jobs) == 3
    survivors += jobs
    if daemon == "as a job":
        survivors += shell.job(f"{shell.supervisor} start --foreground")
        eventually(toy.folders.endpoint.exists, "the daemon is there")
    up = f"{shell.supervisor} up e2e-toy --owner-pid $$"
    status, shown = shell.say(up)
    assert status == 0, shown
    server = toy.server("e2e-toy")
    assert server is not None
    assert [row["pid"] for row in server["owners"]] == [shell.process.pid]
    status, shown = shell.say(f"{shell.supervisor} down e2e-toy")
    assert status == 0, shown
    assert not lives(server["process"]["pid"])
    assert all(lives(pid) for pid in survivors)
    assert shell.say("jobs")[1].count("Running") == len(survivors) - 1
    assert shell.say(up)[0] == 0
    again = toy.server("e2e-toy")
    assert again is not None
    shell.process.kill()
    shell.process.wait()
    eventually(lambda: not lives(again["process"]["pid"]), "the server is reaped")
    toy.event("server.stopped", launch=toy.events("server.reaped")[0]["launch"])
    assert toy.server_processes() == []
    assert all(lives(pid) for pid in survivors)
    assert signalled(toy) == {server["process"]["pid"], again["process"]["pid"]}


# --- the daemon goes --------------------------------------------------------------------------------------------------


def test_stopping_the_daemon_leaves_servers_running_unless_asked(make_home: MakeHome, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    home = make_home(config("--child", str(mark), topology="per-editor", stop_timeout=1))
    owner = home.owner()
    first = home.up("e2e-toy", "--owner-pid", str(owner.pid), "--project", home.project("one"))
    children_of_both = [marked(mark)]
    mark.unlink()
    second = home.up("e2e-toy", "--owner-pid", str(owner.pid), "--project", home.project("two"))
    children_of_both.append(marked(mark))
    pids = [server["process"]["pid"] for server in (first, second)]
    assert home.cli("stop").returncode == 0
    eventually(lambda: not home.daemon_processes(), "the daemon ends")
    assert all(lives(pid) for pid in (*pids, *children_of_both))
    home.start()
    assert [row["process"]["pid"] for row in home.call("server.list")["servers"]] == pids
    assert home.cli("stop", "--servers").returncode == 0
    nothing_is_left(home, [*first["ports"].values(), *second["ports"].values()], *pids, *children_of_both)
    eventually(lambda: not home.daemon_processes(), "the daemon ends")
    assert owner.poll() is None


@pytest.mark.parametrize("moment", ["while it is started", "while it is started again"])
def test_stop_with_servers_stops_one_that_is_not_ready_yet(make_home: MakeHome, moment: str) -> None:
    home = make_home(config("--slow-start", "1"))
    owner = home.owner()
    if moment == "while it is started":
        home.start()
        up = home.begin("up", "e2e-toy", "--owner-pid", str(owner.pid))
        home.event("server.spawned")
        assert home.cli("stop", "--servers").returncode == 0
        up.communicate(timeout=60)
    else:
        os.kill(home.up("e2e-toy", "--owner-pid", str(owner.pid))["process"]["pid"], signal.SIGKILL)
        eventually(lambda: len(home.events("server.spawned")) == 2, "it is started again")
        assert home.cli("stop", "--servers").returncode == 0
    eventually(lambda: not home.daemon_processes(), "the daemon ends")
    assert home.server_processes() == [], home.note()


# --- a start that fails -----------------------------------------------------------------------------------------------


def failed_start(home: Home, *words: str) -> dict[str, Any]:
    code, error = home.refused("up", "e2e-toy", *words)
    assert code == 1
    assert error["data"]["code"] == "START_FAILED"
    row = home.server("e2e-toy")
    assert row is not None
    assert row["state"] == "failed"
    assert row["failure"]["code"] == "START_FAILED"
    assert row["process"] is None
    nothing_is_left(home, row["ports"].values())
    return error


def test_a_server_that_ends_at_once_tells_its_exit_and_its_last_words(make_home: MakeHome) -> None:
    home = make_home(config("--exit", "3"))
    owner = home.owner()
    error = failed_start(home, "--owner-pid", str(owner.pid))
    assert error["data"]["exit"] == 3
    assert error["data"]["log_tail"][-1] == "e2e-toy: giving up"
    assert not home.events("signal.sent")
    row = home.server("e2e-toy")
    assert row is not None
    assert (row["failure"]["exit"], row["failure"]["log_tail"][-1]) == (3, "e2e-toy: giving up")
    # People see the same without --json.
    shown = home.cli("up", "e2e-toy").stderr
    assert "e2e-toy: giving up" in shown
    assert "Traceback" not in shown
    owner.kill()
    owner.wait()
    eventually(lambda: home.server("e2e-toy") is None, "the row of a failed start goes with its owner")


def test_a_server_that_never_answers_is_stopped_with_its_tree(make_home: MakeHome, tmp_path: Path) -> None:
    child = tmp_path / "child"
    patient = config("--mute", "--child", str(child), stop_timeout=1)
    home = make_home(patient.replace("ready_timeout_s = 20", "ready_timeout_s = 1.5"))
    error = failed_start(home)
    assert "1.5 s" in error["message"]
    assert not lives(marked(child))


def test_a_command_that_does_not_exist_is_named(make_home: MakeHome) -> None:
    home = make_home(config().replace(sys.executable, "/nowhere/python"))
    error = failed_start(home)
    assert "/nowhere/python" in error["message"]
    assert error["data"]["hint"]


def test_after_a_failed_start_the_next_up_tries_again(make_home: MakeHome) -> None:
    broken = config("--exit", "3")
    home = make_home(broken)
    failed_start(home)
    home.cli("stop")
    (home.folders.home / "config.toml").write_text(config())
    assert home.up("e2e-toy")["state"] == "ready"
    assert len(home.server_processes()) == 1
