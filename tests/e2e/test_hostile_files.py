"""Folders and files that others may have made what they are, and endpoint files that lie: refused, or healed."""

import json
import os
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from supervisor.native.linux.procfs import boot_id, read_stat
from tests.e2e.conftest import MakeHome, Recycle, toy_config
from tests.e2e.home import Home, eventually, lives
from tests.privilege import IS_ROOT, NEEDS_ROOT, NOBODY, as_nobody

NOT_RUNNING = 3
TIMED_OUT = 6
NOT_OURS = 5
MIB = 1024 * 1024
QUICK_S = 15.0
"""Bounds a command that waits two seconds for an answer; the rest is for a busy machine."""


def others_may_write(path: Path) -> None:
    path.chmod(0o777 if path.is_dir() else 0o666)


def is_anothers(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


def is_anothers_link(path: Path) -> None:
    """Make a link of another user to a folder that is ours."""
    target = path.with_name(f"{path.name}-elsewhere")
    path.rename(target)
    path.symlink_to(target)
    os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def is_our_link(path: Path) -> None:
    target = path.with_name(f"{path.name}-elsewhere")
    path.rename(target)
    path.symlink_to(target)


Spoil = Callable[[Path], None]
FOREIGN = [
    others_may_write,
    pytest.param(is_anothers, marks=NEEDS_ROOT),
    pytest.param(is_anothers_link, marks=NEEDS_ROOT),
]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home that may end up so that no daemon can be started in it any more."""
    home = Home(tmp_path, toy_config())
    yield home
    if home.daemon_processes():
        home.cli("stop", "--servers")
        eventually(lambda: not home.daemon_processes(), "the daemon ends")
    left = [*home.daemon_processes(), *home.server_processes()]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    home.let_go()
    assert left == []


# --- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spoil", FOREIGN)
def test_home_that_others_may_write_is_refused_untouched(home: Home, spoil: Spoil) -> None:
    victim = home.projects / "mine.txt"
    victim.write_text("mine\n")
    home.folders.logs.mkdir()
    (home.folders.logs / "daemon.out").symlink_to(victim)
    spoil(home.folders.home)
    exit_code, error = home.refused("start")
    assert (exit_code, error["data"]["code"]) == (NOT_OURS, "NOT_OURS"), error
    assert victim.read_text() == "mine\n"
    assert home.daemon_processes() == []
    assert not home.folders.endpoint.exists()


def test_a_home_that_is_a_link_of_ours_is_a_home(home: Home) -> None:
    is_our_link(home.folders.home)
    assert home.up("e2e-toy")["state"] == "ready"
    assert home.cli("down", "e2e-toy").returncode == 0
    assert home.cli("stop").returncode == 0


@pytest.mark.parametrize("spoil", FOREIGN)
def test_a_folder_of_logs_that_others_have_a_hand_in_is_refused(home: Home, spoil: Spoil) -> None:
    """Servers run in it, and Python looks for modules where it runs."""
    home.folders.logs.mkdir()
    spoil(home.folders.logs)
    exit_code, error = home.refused("start")
    assert (exit_code, error["data"]["code"]) == (NOT_OURS, "NOT_OURS")
    assert "logs" in error["message"]
    assert home.daemon_processes() == []


@pytest.mark.parametrize("spoil", FOREIGN)
def test_environments_that_others_may_write_are_not_run(packaged: Home, spoil: Spoil) -> None:
    packaged.folders.environments.mkdir()
    spoil(packaged.folders.environments)
    exit_code, error = packaged.refused("up", "e2e-toy")
    assert (exit_code, error["data"]["code"]) == (NOT_OURS, "NOT_OURS")
    assert "environments" in error["message"]
    assert packaged.server_processes() == []
    assert list(packaged.folders.environments.iterdir()) == []


def test_link_in_place_of_the_lock_is_refused_untouched(home: Home) -> None:
    victim = home.projects / "mine.txt"
    victim.write_text("mine\n")
    home.folders.lock.symlink_to(victim)
    exit_code, error = home.refused("start")
    assert (exit_code, error["data"]["code"]) == (NOT_OURS, "NOT_OURS")
    assert victim.read_text() == "mine\n"


def test_what_we_make_is_ours_alone_whatever_the_umask(packaged: Home) -> None:
    """Some systems let a user's own group write by default; the installer works under it too."""
    up = packaged.begin("up", "e2e-toy", "--json", umask=0)
    out, err = up.communicate(timeout=180)
    assert up.returncode == 0, err
    folders = packaged.folders
    made = [folders.logs, folders.environments, folders.endpoint, folders.registry, folders.lock, folders.socket]
    made += [folders.socket.parent, folders.logs / "daemon.log", Path(json.loads(out)["log"])]
    assert [path for path in made if path.lstat().st_mode & 0o077] == []


# --- the configuration ------------------------------------------------------------------------------------------------


def test_a_configuration_that_others_may_write_starts_nothing(home: Home) -> None:
    """The configuration says which commands are run."""
    home.folders.config.chmod(0o622)
    exit_code, error = home.refused("up", "e2e-toy")
    assert (exit_code, error["data"]["code"]) == (1, "CONFIG_INVALID")
    assert error["data"]["hint"] == f"chmod go-w '{home.folders.config}'"
    assert home.daemon_processes() == []


def test_a_configuration_that_others_may_write_is_not_read_again(home: Home) -> None:
    home.start()
    home.folders.config.write_text(toy_config("--exit", "7"))
    home.folders.config.chmod(0o602)
    exit_code, error = home.refused("config", "reload")
    assert (exit_code, error["data"]["code"]) == (1, "CONFIG_INVALID")
    home.folders.config.chmod(0o600)
    assert home.up("e2e-toy")["state"] == "ready", "the old one holds"


# --- the registry -----------------------------------------------------------------------------------------------------


def identity_of(process: "subprocess.Popen[Any]") -> dict[str, Any]:
    """Return a process's identity as a registry has it; all users can read it of all processes."""
    return {"pid": process.pid, "start_token": f"{boot_id()}:{read_stat(process.pid).ticks}"}


def as_a_link(path: Path) -> None:
    is_our_link(path)


@pytest.mark.parametrize("spoil", [others_may_write, as_a_link, pytest.param(is_anothers, marks=NEEDS_ROOT)])
def test_registry_that_others_may_write_ends_no_process(home: Home, spoil: Spoil) -> None:
    """The registry's records say which processes are ours to stop."""
    home.up("e2e-toy")
    innocent = home.owner()
    home.kill_daemon()
    registry = json.loads(home.folders.registry.read_text())
    (row,) = registry["servers"]
    for name in ("process", "root"):
        row[name] = identity_of(innocent)
    home.folders.registry.write_text(json.dumps(registry))
    spoil(home.folders.registry)
    home.start()
    assert home.event("registry.set_aside")["reason"]
    assert home.server("e2e-toy") is not None, "found again by what it carries"
    assert home.cli("stop", "--servers").returncode == 0
    assert home.server_processes() == []
    assert innocent.poll() is None


@pytest.mark.parametrize("what", ["fifo", "folder"])
def test_a_registry_that_is_no_file_is_set_aside(home: Home, what: str) -> None:
    os.mkfifo(home.folders.registry) if what == "fifo" else home.folders.registry.mkdir()
    home.start()
    assert "no regular file" in home.event("registry.set_aside")["reason"]
    assert home.up("e2e-toy")["state"] == "ready"
    assert stat.S_ISREG(home.folders.registry.stat().st_mode)


# --- the endpoint file ------------------------------------------------------------------------------------------------


def endpoint_of(home: Home, **changes: Any) -> dict[str, Any]:
    """The endpoint that a daemon which was killed has left."""
    home.start()
    home.kill_daemon()
    found: dict[str, Any] = json.loads(home.folders.endpoint.read_bytes())
    return {**found, **changes}


def put(home: Home, contents: bytes | dict[str, Any]) -> None:
    """In its place, with its modes."""
    data = contents if isinstance(contents, bytes) else json.dumps(contents).encode()
    home.folders.endpoint.write_bytes(data)
    home.folders.endpoint.chmod(0o600)


NONSENSE: dict[str, bytes] = {
    "nothing": b"",
    "garbage": b"\x00\xff\xfe" * 100,
    "an array": b"[]",
    "a text": b'"endpoint"',
    "too deep": b"[" * 60_000,
    "megabytes": b" " * 8 * MIB + b"{}",
    "a huge number": b'{"schema": ' + b"9" * 5000 + b"}",
}
ODD: dict[str, dict[str, Any]] = {
    "a pid beyond any": {"pid": 10**30},
    "a socket without a folder": {"transports": [{"kind": "unix", "path": "\0godot"}]},
    "a socket of half a letter": {"transports": [{"kind": "unix", "path": "/tmp/\ud800"}]},
    "a path that is too long": {"transports": [{"kind": "unix", "path": "/x" * 300}]},
    "no transports": {"transports": []},
    "a text for transports": {"transports": "unix"},
}


@pytest.mark.parametrize("contents", [*NONSENSE.values(), *ODD.values()], ids=[*NONSENSE, *ODD])
def test_an_endpoint_file_that_makes_no_sense_is_no_daemon(home: Home, contents: bytes | dict[str, Any]) -> None:
    if isinstance(contents, dict):
        base = {"schema": 1, "pid": 7, "start_token": "x", "instance_id": "i", "version": "0", "token": "t"}
        contents = {**base, "protocol": {"min": 1, "max": 1}, "transports": [], **contents}
    put(home, contents)
    began = time.monotonic()
    exit_code, error = home.refused("status")
    assert (exit_code, error["data"]["code"]) == (NOT_RUNNING, "DAEMON_NOT_RUNNING")
    assert time.monotonic() - began < QUICK_S


def is_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def is_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "spoil",
    [others_may_write, as_a_link, is_a_fifo, pytest.param(is_anothers, marks=NEEDS_ROOT)],
)
def test_endpoint_that_others_may_write_is_replaced(home: Home, spoil: Spoil) -> None:
    put(home, endpoint_of(home))
    spoil(home.folders.endpoint)
    exit_code, error = home.refused("status")
    assert exit_code == NOT_RUNNING
    assert "trusted" in error["message"]
    home.start()
    assert home.cli("status").returncode == 0
    assert stat.S_IMODE(home.folders.endpoint.lstat().st_mode) == 0o600


def test_process_with_a_dead_daemons_pid_is_left_alone(home: Home, recycle: Recycle) -> None:
    published = endpoint_of(home)
    innocent = recycle(published["pid"])
    put(home, published)
    assert home.cli("stop").stdout == "no daemon is running\n"
    # A daemon of another protocol is asked to leave as a process.
    put(home, {**published, "protocol": {"min": 7, "max": 9}})
    home.cli("restart", "--daemon")
    assert home.cli("status").returncode == 0
    assert home.cli("stop").returncode == 0
    assert lives(innocent.pid)


@pytest.mark.parametrize("spoil", [others_may_write, pytest.param(is_anothers, marks=NEEDS_ROOT)])
def test_foreign_endpoint_makes_no_process_leave(home: Home, spoil: Spoil) -> None:
    innocent = home.owner()
    put(home, {**endpoint_of(home), **identity_of(innocent), "protocol": {"min": 7, "max": 9}})
    spoil(home.folders.endpoint)
    assert home.cli("restart", "--daemon").returncode == 0, "one is started"
    assert home.cli("status").returncode == 0
    assert innocent.poll() is None


# --- listeners in the place of a daemon -------------------------------------------------------------------------------


class Impostor:
    """Listens on a port, sends a given answer, and keeps what it receives."""

    def __init__(self, says: Callable[[], Iterator[bytes]]) -> None:
        self.heard = b""
        self._says = says
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with closing(connection):
                try:
                    self.heard += connection.recv(65536)
                    for piece in self._says():
                        connection.sendall(piece)
                    connection.recv(65536)
                except OSError:
                    continue

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(20)


def flood() -> Iterator[bytes]:
    while True:
        yield b"x" * 65536


def drip() -> Iterator[bytes]:
    while True:
        yield b" "
        time.sleep(0.02)


def lies() -> Iterator[bytes]:
    greeting = {"protocol": 1, "instance_id": "not it", "version": "9", "capabilities": []}
    yield json.dumps({"jsonrpc": "2.0", "id": 1, "result": greeting}).encode() + b"\n"


Says = Callable[[], Iterator[bytes]]


@pytest.mark.parametrize("says", [flood, drip, lies], ids=["megabytes", "drip", "another instance"])
def test_listener_on_a_dead_daemons_port_is_not_believed(home: Home, says: Says) -> None:
    """The listener gets the token of a dead daemon only, because the port was that daemon's as long as it lived."""
    published = endpoint_of(home)
    with closing(Impostor(says)) as impostor:
        put(home, {**published, "transports": [{"kind": "tcp", "host": "127.0.0.1", "port": impostor.port}]})
        began = time.monotonic()
        # A listener whose answer never ends is left when the time is up.
        assert home.refused("status", "--timeout", "0.5")[0] == (TIMED_OUT if says is drip else NOT_RUNNING)
        assert time.monotonic() - began < QUICK_S
        assert published["token"].encode() in impostor.heard
        if says is not drip:
            home.start()
            token = json.loads(home.folders.endpoint.read_bytes())["token"]
            assert token.encode() not in impostor.heard


@contextmanager
def other_users_socket() -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield a unix socket of another user that all users may connect to, and what it received."""
    with tempfile.TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as listener:
        folder = Path(name)
        folder.chmod(0o777)
        listener.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o777)
        listener.settimeout(60)
        heard: list[bytes] = []

        def listen() -> str:
            # The kernel notes who listens.
            listener.listen()
            (folder / "ready").touch()
            connection, _ = listener.accept()
            return connection.recv(65536).decode() or "nothing"

        thread = threading.Thread(target=lambda: heard.append(as_nobody(listen).encode()))
        thread.start()
        eventually((folder / "ready").exists, "it listens")

        def said() -> bytes:
            thread.join(60)
            return heard[0]

        yield str(folder / "socket"), said


@pytest.mark.needs_root
@pytest.mark.skipif(not IS_ROOT, reason="only root can")
def test_the_token_of_a_living_daemon_is_not_sent_to_another_users_socket(home: Home) -> None:
    """A shared folder was tidied up, and another user's socket stands where ours was."""
    home.start()
    published = json.loads(home.folders.endpoint.read_bytes())
    (tcp,) = [row for row in published["transports"] if row["kind"] == "tcp"]
    with other_users_socket() as (path, said):
        put(home, {**published, "transports": [{"kind": "unix", "path": path}, tcp]})
        # The other transport still reaches the daemon.
        done = home.cli("status")
        assert said() == b"nothing"
    put(home, published)
    assert done.returncode == 0, done.stderr


def test_taken_socket_folder_is_not_used(make_home: MakeHome) -> None:
    home = make_home(toy_config())
    (home.folders.home / "control").symlink_to(home.projects)
    exit_code, error = home.refused("start")
    assert (exit_code, error["data"]["code"]) == (NOT_OURS, "NOT_OURS")
    (home.folders.home / "control").unlink()
