"""Another real user of this machine, at the socket, at the port, and at our files."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.client import endpoint
from supervisor.errors import DaemonNotRunning
from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import SERVERS, eventually, free_ports
from tests.e2e.raw_connections import AttackedHome
from tests.privilege import IS_ROOT, NOBODY, as_nobody

pytestmark = [pytest.mark.needs_root, pytest.mark.skipif(not IS_ROOT, reason="only root can become somebody else")]

MIB = 1024 * 1024
SECRETIVE = 'secrets = { TOY_SECRET = { format = "token" } }\n'


@pytest.fixture(scope="module")
def attacked() -> Iterator[AttackedHome]:
    """Make a home in a folder that all users may look into, so that only the daemon keeps them out."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    config = toy_config().replace('topology = "shared"\n', f'topology = "shared"\n{SECRETIVE}')
    assert SECRETIVE in config
    attacked = AttackedHome(folder, config)
    attacked.folders.home.chmod(0o755)
    attacked.up("e2e-toy")
    yield attacked
    attacked.close()
    shutil.rmtree(folder)


def said_at(attacked: AttackedHome, kind: str, first: bytes) -> str:
    """All that another user hears who says this first, and then asks for something."""
    (where,) = [row for row in attacked.published.transports if row["kind"] == kind]
    ask = b'{"jsonrpc":"2.0","id":2,"method":"status"}\n'

    def connect() -> str:
        unix = kind == "unix"
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as line:
            line.settimeout(20)
            try:
                line.connect(where["path"] if unix else (where["host"], where["port"]))
                line.sendall(first + ask)
                heard = b""
                while piece := line.recv(65536):
                    heard += piece
            except (ConnectionError, BrokenPipeError):
                return "hung up"
            except PermissionError:
                return "no entry"
            return heard.decode()

    return as_nobody(connect)


def hello(attacked: AttackedHome, token: str | None) -> bytes:
    params = {**attacked.hello(), "token": token}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": params}).encode() + b"\n"


def test_the_socket_lets_no_other_user_in(attacked: AttackedHome) -> None:
    assert said_at(attacked, "unix", hello(attacked, attacked.published.token)) == "no entry"


def test_where_modes_do_not_keep_another_user_out_the_kernels_word_does(attacked: AttackedHome) -> None:
    """Modes may be gone: a file system without any, an administrator's chmod -R."""
    control = attacked.folders.home / "control"
    try:
        control.chmod(0o777)
        (control / "socket").chmod(0o777)
        assert said_at(attacked, "unix", hello(attacked, attacked.published.token)) in ("", "hung up")
    finally:
        control.chmod(0o700)
        (control / "socket").chmod(0o600)
    assert attacked.event("connection.refused")["reason"] == "the peer is another user"


@pytest.mark.parametrize("share", [None, 0, 1, 0.5, "all but one", "one more"])
def test_without_the_whole_token_tcp_lets_no_client_in(attacked: AttackedHome, share: float | str | None) -> None:
    token = attacked.published.token
    guesses: dict[float | str | None, str | None] = {
        None: None,
        0: "",
        1: token[:1],
        0.5: token[: len(token) // 2],
        "all but one": token[:-1],
        "one more": f"{token}x",
    }
    heard = [json.loads(line) for line in said_at(attacked, "tcp", hello(attacked, guesses[share])).splitlines()]
    assert [frame["error"]["data"]["code"] for frame in heard] == ["UNAUTHORIZED"]
    assert token not in json.dumps(heard)


def test_nothing_of_ours_can_be_read_or_written_by_another_user(attacked: AttackedHome) -> None:
    server = attacked.server("e2e-toy")
    assert server is not None
    pid, server_pid = attacked.daemon_pid(), server["root_pid"]
    secrets = [
        attacked.folders.endpoint,
        attacked.folders.registry,
        attacked.folders.lock,
        attacked.folders.logs / "daemon.log",
    ]
    secrets += [attacked.folders.logs / "daemon.out", Path(server["log"]), attacked.folders.home / "control" / "socket"]
    secrets += [Path(f"/proc/{number}/{name}") for number in (pid, server_pid) for name in ("environ", "mem", "fd/0")]
    assert [path for path in secrets if not path.exists()] == []

    def try_all() -> str:
        opened = []
        for path in secrets:
            for mode in (os.O_RDONLY, os.O_WRONLY | os.O_APPEND):
                try:
                    os.close(os.open(path, mode | os.O_NONBLOCK))
                except OSError:
                    continue
                opened.append(str(path))
        return ", ".join(opened)

    assert as_nobody(try_all) == ""
    token, bearer = attacked.published.token, "TOY_SECRET"
    for number in (pid, server_pid):
        shown = Path(f"/proc/{number}/cmdline").read_text()
        assert token not in shown
        assert bearer not in shown
    environment = Path(f"/proc/{server_pid}/environ").read_text().split("\0")
    (secret,) = [entry.partition("=")[2] for entry in environment if entry.startswith(f"{bearer}=")]
    written = [*attacked.folders.logs.rglob("*.log"), *attacked.folders.logs.rglob("*.out"), attacked.folders.registry]
    assert secret
    leaked = [path for path in written if secret in path.read_text() or token in path.read_text()]
    assert leaked == []


def test_hard_link_to_our_file_reveals_and_changes_nothing(attacked: AttackedHome) -> None:
    """A file that another user has hard-linked stays unreadable for that user. It is replaced, not changed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        ours = [attacked.folders.endpoint, attacked.folders.registry, attacked.folders.lock]

        def link_all() -> str:
            read = []
            for path in ours:
                try:
                    os.link(path, folder / path.name)
                    read.append((folder / path.name).read_text())
                except OSError:
                    continue
            return "".join(read)

        assert as_nobody(link_all) == ""
        # Where the system lets him (fs.protected_hardlinks = 0), he has the old one at best.
        for path in ours[:2]:
            os.link(path, folder / f"linked-{path.name}")
            (folder / f"linked-{path.name}").chmod(0o666)
        (folder / "linked-registry.json").write_text("{}")
        with pytest.raises(DaemonNotRunning, match="cannot be trusted: others may write"):
            endpoint.read(attacked.folders.endpoint)
        spoilt = attacked.folders.endpoint.stat().st_ino
        # A file that others may write is not believed: the daemon is asked outside the home, and writes it anew.
        assert attacked.cli("status").returncode == 0
        eventually(lambda: attacked.folders.endpoint.stat().st_ino != spoilt, "the endpoint is written anew")
        assert attacked.folders.endpoint.stat().st_mode & 0o777 == 0o600
        (folder / "linked-registry.json").unlink()
    assert attacked.call("status")["servers"][0]["id"] == "e2e-toy"


LISTENER = """
import ctypes, os, socket, sys, time
held = [socket.create_server(("127.0.0.1", int(port))) for port in sys.argv[2:5]]
os.setuid(int(sys.argv[1]))
ctypes.CDLL(None).prctl(4, 1)  # or /proc says that the process is root's (PR_SET_DUMPABLE)
print(flush=True)
time.sleep(600)
"""


def test_other_users_listener_is_shown_and_passed_over(attacked: AttackedHome) -> None:
    """Megabytes of arguments, escape sequences in them: all users can read them, so they are shown."""
    wide = ["\x1b]0;owned\x07" + "\x01" * 4000, *["x" * 100_000] * 10]
    low = int(attacked.call("server.get", {"server": "e2e-toy"})["ports"]["http"])
    ports = [low + number for number in (1, 2, 3)]
    words = [sys.executable, "-c", LISTENER, str(NOBODY), *map(str, ports), *wide]
    foreign_server = attacked.run(*words, stdout=subprocess.PIPE)
    assert foreign_server.stdout is not None
    assert foreign_server.stdout.readline() == b"\n"
    rows = attacked.call("ports.explain", {"ports": ports})["ports"]
    assert {row["occupant"]["user"] for row in rows} == {"nobody"}
    assert all(sum(map(len, row["occupant"]["command"])) <= 1000 for row in rows)
    done = attacked.cli("ports", "e2e-toy")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    assert attacked.peak_kib() < 64 * 1024
    foreign_server.kill()


def listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["-c", LISTENER, str(NOBODY)], "no process that carries it runs e2e-toy"),
        ([str(SERVERS / "toy.py"), "--user", str(NOBODY)], "another user's process carries it, or it names no server"),
    ],
    ids=["by_its_token", "by_its_command_line_too"],
)
def test_other_users_process_with_our_token_is_not_ours(make_home: MakeHome, words: list[str], reason: str) -> None:
    """The registry is lost, and processes with the home's token are looked for; any user can work that token out."""
    ports = free_ports(2)
    home = make_home(toy_config(http=str(ports[0]), sessions=str(ports[1])))
    home.start()
    home.kill_daemon()
    home.folders.registry.unlink(missing_ok=True)
    token = f"{home.folders.home_id}.e2e-toy.12345678"
    carrier = {"env": {"GODOT_SUPERVISOR_SERVER_ID": token}, "start_new_session": True}
    foreign_server = home.run(sys.executable, *words, *map(str, ports), **carrier)
    eventually(lambda: Path(f"/proc/{foreign_server.pid}").stat().st_uid == NOBODY, "it is another user's")
    eventually(lambda: all(listens(port) for port in ports), "it listens")
    home.start()
    assert home.event("server.not_rebuilt")["reason"] == reason
    assert home.call("server.list")["servers"] == []
    assert home.cli("stop", "--servers").returncode == 0
    assert foreign_server.poll() is None
    home.let_go()
