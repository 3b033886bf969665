"""The daemon begins and ends: one for each home, whatever is asked at once, and a reason whenever it cannot."""

import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.client import endpoint
from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home, eventually, lives

AT_ONCE = 10
PUBLISHED = ("schema", "pid", "start_token", "instance_id", "version", "protocol", "token", "transports", "home")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def daemon_ends(home: Home) -> None:
    eventually(lambda: not home.daemon_processes(), "the daemon ends")


# --- one daemon -------------------------------------------------------------------------------------------------------


def test_many_starts_at_once_give_one_daemon_and_all_succeed(toy: Home) -> None:
    starts = [toy.begin("start", "--json") for _ in range(AT_ONCE)]
    pids = set()
    for start in starts:
        out, err = start.communicate(timeout=60)
        assert start.returncode == 0, err
        pids.add(json.loads(out)["pid"])
    assert len(pids) == 1
    # Those that came second may still be on their way out.
    eventually(lambda: toy.daemon_processes() == [*pids], "one daemon is left")
    assert toy.daemon_pid() in pids


def test_a_second_start_says_who_runs(toy: Home) -> None:
    first = toy.cli("start")
    pid = toy.daemon_pid()
    assert (first.returncode, first.stdout.split(",")[0]) == (0, f"started: pid {pid}")
    second = toy.cli("start")
    assert (second.returncode, second.stdout.split(",")[0]) == (0, f"already running: pid {pid}")
    assert toy.daemon_processes() == [pid]


def test_in_the_foreground_it_stays_and_a_second_one_says_who_runs(toy: Home, tmp_path: Path) -> None:
    with (tmp_path / "console").open("w") as console:
        first = toy.begin("start", "--foreground", stderr=console)
    eventually(toy.folders.endpoint.exists, "it has published itself")
    assert toy.daemon_pid() == first.pid
    for words in (("start", "--foreground"), ("start",)):
        second = toy.cli(*words)
        assert (second.returncode, second.stdout.split(",")[0]) == (0, f"already running: pid {first.pid}")
    assert first.poll() is None
    assert toy.daemon_processes() == [first.pid]
    assert toy.cli("stop").returncode == 0
    assert first.wait(30) == 0
    shown = (tmp_path / "console").read_text()
    assert "daemon.ready" in shown
    assert "Traceback" not in shown


def test_foreground_daemons_that_race_for_the_lock_all_exit_0(toy: Home) -> None:
    racing = [toy.begin("start", "--foreground") for _ in range(3)]
    eventually(toy.folders.endpoint.exists, "one has published itself")
    winner = toy.daemon_pid()
    for process in racing:
        if process.pid != winner:
            out, err = process.communicate(timeout=30)
            assert (process.returncode, out[:16]) == (0, "already running:"), err
    assert toy.daemon_processes() == [winner]
    assert toy.cli("stop").returncode == 0


def test_two_homes_are_two_independent_daemons(make_home: MakeHome) -> None:
    one, two = make_home(toy_config()), make_home(toy_config())
    first, second = one.up("e2e-toy"), two.up("e2e-toy")
    assert one.daemon_pid() != two.daemon_pid()
    assert set(first["ports"].values()).isdisjoint(second["ports"].values())
    assert one.cli("stop", "--servers").returncode == 0
    assert one.server_processes() == []
    assert two.server_processes() == [second["root_pid"]]
    row = two.server("e2e-toy")
    assert row is not None
    assert row["state"] == "ready"


def test_without_a_daemon_status_exits_3_and_stop_has_nothing_to_do(toy: Home) -> None:
    assert toy.cli("status").returncode == 3
    toy.start()
    for _ in range(2):
        assert toy.cli("stop").returncode == 0
    daemon_ends(toy)
    assert toy.cli("status").returncode == 3
    assert toy.cli("stop", "--servers").returncode == 3


def test_stop_and_start_can_follow_each_other_at_once(toy: Home) -> None:
    pids = {toy.start()}
    for _ in range(3):
        assert toy.cli("stop").returncode == 0
        pids.add(toy.start())
    assert len(pids) == 4
    eventually(lambda: toy.daemon_processes() == [toy.daemon_pid()], "one daemon is left")


# --- what it leaves on the disk ---------------------------------------------------------------------------------------


def test_what_it_publishes_is_for_its_user_only(toy: Home) -> None:
    toy.folders.home.joinpath("config.toml").unlink()
    toy.folders.home.rmdir()
    toy.environment["HOME"] = str(toy.folders.home.parent)
    made = toy.begin("start", cwd=toy.folders.home.parent)
    assert made.wait(60) == 0
    assert mode(toy.folders.home) == 0o700
    assert mode(toy.folders.endpoint) == 0o600
    assert mode(toy.folders.socket.parent) == 0o700
    assert mode(toy.folders.socket) == 0o600
    assert toy.folders.socket.is_socket()
    published = json.loads(toy.folders.endpoint.read_text())
    assert tuple(published) == PUBLISHED
    assert [transport["kind"] for transport in published["transports"]] == ["unix", "tcp"]
    assert published["transports"][1]["host"] == "127.0.0.1"
    for path in (toy.folders.logs, *toy.folders.logs.iterdir()):
        assert not mode(path) & 0o022, f"{path} may be written by others"


def test_the_log_has_one_json_object_a_line_stamped_in_order(toy: Home) -> None:
    toy.up("e2e-toy")
    assert toy.cli("stop", "--servers").returncode == 0
    lines = (toy.folders.logs / "daemon.log").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert {"daemon.starting", "daemon.ready", "server.planned", "server.spawned", "daemon.stopped"} <= {
        row["event"] for row in rows
    }
    assert all(row["level"] in ("info", "warning") and row["timestamp"].endswith("Z") for row in rows)
    stamps = [row["mono"] for row in rows if "mono" in row]
    assert len(stamps) == len(rows)
    assert stamps == sorted(stamps)


def test_a_home_whose_path_is_too_long_for_a_socket_works(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, make_home: MakeHome
) -> None:
    folder = tmp_path.joinpath(*["a-rather-long-folder-name"] * 5)
    folder.mkdir(parents=True)
    home = Home(folder, toy_config())
    # The folder of a test with a long name may be too long itself.
    short = tmp_path_factory.mktemp("t")
    home.environment["TMPDIR"] = str(short)
    try:
        assert home.up("e2e-toy")["state"] == "ready"
        published = endpoint.read(home.folders.endpoint)
        assert published is not None
        (unix,) = [transport for transport in published.transports if transport["kind"] == "unix"]
        path = Path(unix["path"])
        assert path.is_relative_to(short)
        assert len(str(path)) < 108
        assert mode(path.parent) == 0o700
        # Another long home has another socket.
        other = make_home(toy_config())
        other.start()
        assert home.call("status")["daemon"]["home"] == str(home.folders.home)
        assert home.cli("down", "e2e-toy").returncode == 0
    finally:
        home.close()
    assert not path.exists()


# --- it ends ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_exits_0_and_leaves_the_servers(toy: Home, tmp_path: Path, number: signal.Signals) -> None:
    with (tmp_path / "console").open("w") as console:
        daemon = toy.begin("start", "--foreground", stderr=console)
    eventually(toy.folders.endpoint.exists, "it has published itself")
    server = toy.up("e2e-toy", "--owner-pid", str(toy.owner().pid))
    daemon.send_signal(number)
    assert daemon.wait(30) == 0
    assert not toy.folders.endpoint.exists()
    assert not toy.folders.socket.exists()
    assert lives(server["process"]["pid"])
    assert toy.events()[-1]["event"] == "daemon.stopped"
    assert "Traceback" not in (tmp_path / "console").read_text()
    toy.start()
    after = toy.server("e2e-toy")
    assert after is not None
    assert after["process"] == server["process"]


def test_told_to_end_during_up_it_finishes_what_it_began(make_home: MakeHome) -> None:
    home = make_home(toy_config("--slow-start", "1"))
    home.start()
    owner = home.owner()
    up = home.begin("up", "e2e-toy", "--owner-pid", str(owner.pid), "--json")
    home.event("server.spawned")
    pid = home.daemon_pid()
    assert pid is not None
    os.kill(pid, signal.SIGTERM)
    out, err = up.communicate(timeout=60)
    daemon_ends(home)
    assert up.returncode == 0, err + home.note()
    (survivor,) = home.server_processes()
    assert json.loads(out)["root_pid"] == survivor
    home.start()
    after = home.server("e2e-toy")
    assert after is not None
    assert (after["root_pid"], after["state"]) == (survivor, "ready")


# --- it cannot begin --------------------------------------------------------------------------------------------------


def too_open(path: Path) -> None:
    path.chmod(0o666)


def broken(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "no TOML": (broken("[daemon\nlog_level = 'info'\n"), "line 1"),
    "an unknown table": (broken("[demon]\n"), "demon"),
    "an unknown key": (broken('[daemon]\nlog_levle = "info"\n'), "daemon.log_levle"),
    "a wrong value": (broken('[daemon]\nlog_level = "loud"\n'), "daemon.log_level"),
    "a wrong type": (broken("[daemon]\ndiscover = true\n"), "daemon.discover"),
    "an unknown key of a kind": (broken('[kinds.e2e-toy]\ncommand = ["x"]\ncolour = "red"\n'), "kinds.e2e-toy.colour"),
    "a kind without a command": (broken('[kinds.e2e-toy]\ntopology = "shared"\n'), "kinds.e2e-toy.command"),
    "written by others": (too_open, "chmod go-w"),
}


@pytest.mark.parametrize(("spoil", "named"), BROKEN.values(), ids=BROKEN)
def test_unusable_configuration_is_refused_with_file_and_key(
    toy: Home, spoil: Callable[[Path], object], named: str
) -> None:
    config = toy.folders.home / "config.toml"
    good = config.read_text()
    spoil(config)
    done = toy.cli("start")
    assert str(config) in done.stderr
    assert named in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert done.returncode == 1, done.stderr
    assert toy.daemon_processes() == []
    config.write_text(good)
    config.chmod(0o600)
    toy.start()


def test_a_broken_configuration_is_an_error_object_with_json(toy: Home) -> None:
    (toy.folders.home / "config.toml").write_text('[daemon]\nlog_levle = "info"\n')
    in_the_foreground = toy.cli("start", "--foreground", "--json")
    assert in_the_foreground.returncode == 1
    assert json.loads(in_the_foreground.stderr)["data"]["key"] == "daemon.log_levle"
    status, error = toy.refused("start")
    assert status == 1
    assert error["data"]["code"] == "CONFIG_INVALID"
    status, error = toy.refused("up", "e2e-toy")
    assert status == 1
    assert error["data"]["code"] == "CONFIG_INVALID"


@pytest.mark.parametrize("spoilt", ["a file in place of the home", "a folder in place of the lock"])
def test_unusable_home_prints_no_traceback(toy: Home, spoilt: str) -> None:
    if spoilt.startswith("a folder"):
        toy.folders.lock.mkdir()
        done = toy.cli("start")
        toy.folders.lock.rmdir()
    else:
        elsewhere: Any = toy.folders.home.with_name("file")
        elsewhere.write_text("")
        toy.environment["GODOT_SUPERVISOR_HOME"] = str(elsewhere)
        done = toy.cli("start")
        toy.environment["GODOT_SUPERVISOR_HOME"] = str(toy.folders.home)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert str(elsewhere if spoilt.startswith("a file") else toy.folders.lock) in done.stderr
