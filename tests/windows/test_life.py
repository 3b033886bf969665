"""The life of a server and of its daemon."""

import json
import os
import socket
import threading

from supervisor.client import endpoint
from tests.e2e.home import eventually
from tests.windows.conftest import MakeHome, toy_config
from tests.windows.home import WindowsHome, end, lives

GRACE_S = 0.5

WRONG_TOKEN = (
    b'{"jsonrpc":"2.0","id":1,"method":"hello","params":'
    b'{"protocol":1,"client":{"name":"x","version":"1"},"token":"wrong"}}\n'
)


def test_a_server_lives_as_long_as_its_owner(toy: WindowsHome) -> None:
    daemon = json.loads(toy.cli("start", "--json").stdout)["pid"]
    owner = toy.owner()
    server = toy.up("e2e-toy", "--owner-pid", str(owner.pid))
    pid = server["process"]["pid"]
    assert server["state"] == "ready"
    assert lives(pid)
    listed = toy.cli("status").stdout
    assert "e2e-toy 1.0" in listed
    end(owner.pid)
    toy.judged_twice("e2e-toy", GRACE_S)
    eventually(lambda: not lives(pid), "the server ends")
    eventually(lambda: toy.server("e2e-toy") is None, "it is forgotten")
    stopped = toy.cli("stop")
    assert stopped.returncode == 0, stopped.stderr
    eventually(lambda: not lives(daemon), "the daemon ends")
    assert toy.daemon_pid() is None


def test_a_server_outlives_its_daemon_and_is_found_by_the_next(toy: WindowsHome) -> None:
    toy.start()
    owner = toy.owner()
    before = toy.ensure("e2e-toy", owner={"pid": owner.pid})
    toy.kill_daemon()
    assert lives(before["process"]["pid"])
    toy.start()
    found = toy.server("e2e-toy")
    assert found is not None
    assert (found["process"], found["state"], found["since"]) == (before["process"], "ready", before["since"])
    assert toy.ensure("e2e-toy", owner={"pid": owner.pid})["process"] == before["process"]
    assert len(toy.server_processes()) == 1
    end(owner.pid)
    eventually(lambda: not lives(before["process"]["pid"]), "the next daemon reaps it")


def test_server_whose_owner_died_without_a_daemon_is_reaped_later(toy: WindowsHome) -> None:
    toy.start()
    owner = toy.owner()
    pid = toy.ensure("e2e-toy", owner={"pid": owner.pid})["process"]["pid"]
    toy.kill_daemon()
    end(owner.pid)
    toy.start()
    toy.judged_twice("e2e-toy", GRACE_S)
    eventually(lambda: not lives(pid), "it is reaped")


def test_a_daemon_killed_while_it_starts_a_server_leaves_one_or_none(make_home: MakeHome) -> None:
    home = make_home(toy_config("--slow-start", "600"))
    home.start()
    ask = home.begin("up", "e2e-toy")
    eventually(home.server_processes, "it is started")
    home.kill_daemon()
    ask.communicate()
    home.start()
    home.event("server.found", server="e2e-toy")
    assert len(home.server_processes()) == 1


def test_taken_port_is_avoided_and_its_holder_named(toy: WindowsHome) -> None:
    toy.start()
    wanted = free_ports_of(toy)
    with socket.create_server(("127.0.0.1", wanted)):
        server = toy.ensure("e2e-toy")
        assert server["ports"]["http"] == wanted + 1
        (passed,) = [row for row in server["relocated"] if row["port"] == wanted]
        assert passed["occupant"]["pid"] == os.getpid()
    shown = json.loads(toy.cli("ports", "--json").stdout)
    assert any(row["port"] == wanted + 1 and row["decision"] == "reuse" for row in shown["ports"]), shown


def test_simultaneous_requests_get_one_server(toy: WindowsHome) -> None:
    toy.start()
    answers: list[int] = []

    def ask() -> None:
        answers.append(toy.ensure("e2e-toy")["process"]["pid"])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert set(answers) == set(toy.server_processes())
    assert len(toy.events("server.spawned")) == 1


def test_simultaneous_daemon_starts_leave_one_daemon(toy: WindowsHome) -> None:
    started = [toy.begin("start", "--json", "--timeout", "60") for _ in range(3)]
    said = [one.communicate() for one in started]
    assert [one.returncode for one in started] == [0, 0, 0], [errors for _, errors in said]
    assert len({json.loads(out)["pid"] for out, _ in said}) == 1


def test_bad_input_harms_no_other_client(toy: WindowsHome) -> None:
    daemon = toy.start()
    published = endpoint.read(toy.folders.endpoint)
    assert published is not None
    (tcp,) = published.transports
    assert tcp["kind"] == "tcp"
    for line, code in (
        (b"\xff\xfe nonsense\n", None),
        (b'{"jsonrpc":"2.0","id":1,"method":"server.list"}\n', "UNAUTHORIZED"),
        (WRONG_TOKEN, "UNAUTHORIZED"),
        (b"x" * 2_000_000, None),
    ):
        with socket.create_connection((tcp["host"], tcp["port"]), 20) as connection:
            answer = exchange(connection, line)
            assert code is None or code.encode() in answer, (line[:60], answer)
    exit_code, error = toy.refused("up", "nobody-knows-this-kind")
    assert error["data"]["code"] == "KIND_UNKNOWN", (exit_code, error)
    exit_code, error = toy.refused("up", "e2e-toy", "--owner-pid", str(daemon + 1))
    assert error["data"]["code"] == "EDITOR_GONE", (exit_code, error)
    assert toy.daemon_pid() == daemon
    assert lives(daemon)
    assert toy.server_processes() == []


def exchange(connection: socket.socket, data: bytes) -> bytes:
    """Return the answer until the daemon hangs up or has sent one line."""
    try:
        connection.sendall(data)
        return connection.makefile("rb").readline()
    except ConnectionError:
        return b""


def free_ports_of(home: WindowsHome) -> int:
    """Return the first port that the toy wants, free."""
    config = (home.folders.home / "config.toml").read_text()
    return int(config.partition('http = "')[2].partition("-")[0])
