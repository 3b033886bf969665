"""Clients that mean harm to the real daemon: slow ones, half-open ones, thousands of them, and browsers."""

import contextlib
import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.client.client import Client
from supervisor.client.endpoint import Endpoint
from tests.e2e.conftest import toy_config
from tests.e2e.home import LATE_S, eventually
from tests.e2e.line import LONG, Busybody
from tests.e2e.raw_connections import AttackedHome, RawConnection, answer_time, code

HELLO_S = 5.0
STORM = 3000
ADMITTED = 256
UNAUTHENTICATED = 16
QUICK_S = 5.0
"""On a machine with other work; on an idle one it is hundredths of a second."""

PROMISED_KIB = 64 * 1024
REST = 10 * LATE_S


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedHome]:
    attacked = AttackedHome(tmp_path_factory.mktemp("siege"), toy_config())
    attacked.start()
    yield attacked
    attacked.close()


@pytest.fixture
def attacked(shared_home: AttackedHome) -> Iterator[AttackedHome]:
    """Share one daemon: after each test it answers, and has no more open than before."""
    shared_home.check_undisturbed()
    instance, descriptors = shared_home.published.instance_id, shared_home.descriptors()
    yield shared_home
    assert shared_home.published.instance_id == instance
    eventually(lambda: shared_home.cli("status").returncode == 0, "the daemon answers")
    shared_home.check_undisturbed()
    shared_home.wait_for_descriptors(descriptors)
    assert [row for row in shared_home.events() if row["level"] == "error"] == []


# --- slow ones --------------------------------------------------------------------------------------------------------


def test_slow_bytes_do_not_extend_the_time_for_hello(attacked: AttackedHome) -> None:
    with contextlib.ExitStack() as stack:
        unauthenticated = [stack.enter_context(attacked.caller("tcp")) for _ in range(4)]
        clients = [stack.enter_context(attacked.greeted(kind)) for kind in ("unix", "tcp")]
        hello = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": attacked.hello()}).encode()
        began = time.monotonic()
        said = 0
        while still_open(unauthenticated) and time.monotonic() - began < REST:
            # Never to the end: the token in it is the right one.
            for caller in (*unauthenticated, *clients):
                caller.say(hello[said % (len(hello) - 1) :][:1])
            said += 1
            time.sleep(0.02)
        assert HELLO_S - 0.1 <= time.monotonic() - began < HELLO_S + LATE_S
        assert {code(caller.hear()) for caller in unauthenticated} == {"UNAUTHORIZED"}
        for caller in clients:
            # An authenticated client may take its time, and sends one line that makes no sense.
            caller.say(b"\n")
            assert code(caller.hear()) == "PARSE_ERROR"
            assert caller.ask("ping")["result"] == {}


def still_open(unauthenticated: list[RawConnection]) -> list[RawConnection]:
    """Those who have heard nothing yet."""
    heard, _, _ = select.select(unauthenticated, [], [], 0)
    return [caller for caller in unauthenticated if caller not in heard]


# --- half-open ones ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_who_asks_and_stops_writing_is_answered_and_let_go(attacked: AttackedHome, kind: str) -> None:
    with attacked.greeted(kind) as caller:
        caller.say(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
        caller.shutdown(socket.SHUT_WR)
        assert caller.hear()["result"] == {}
        assert caller.hear() is None


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_who_stops_reading_costs_its_own_connection(attacked: AttackedHome, kind: str) -> None:
    with attacked.greeted(kind) as caller:
        caller.shutdown(socket.SHUT_RD)
        caller.say(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n' * 200)
        assert answer_time(attacked) < QUICK_S


LISTENER = """
import json, socket, sys
path, = sys.argv[1:]
with socket.socket(socket.AF_UNIX) as line:
    line.connect(path)
    line.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "events.subscribe"}).encode() + b"\\n")
    print(line.recv(1, socket.MSG_PEEK), flush=True)
    while line.recv(65536):
        pass
"""


def test_stopped_subscriber_is_cut_off_and_blocks_no_client(attacked: AttackedHome) -> None:
    (path,) = [row["path"] for row in attacked.published.transports if row["kind"] == "unix"]
    listener = attacked.run(sys.executable, "-c", LISTENER, path, stdout=subprocess.PIPE)
    assert listener.stdout is not None
    assert listener.stdout.readline()
    os.kill(listener.pid, signal.SIGSTOP)
    gossip = Busybody(attacked)
    end = time.monotonic() + REST
    while not attacked.events("connection.closed", reason="the client does not read"):
        assert time.monotonic() < end
        gossip.makes(250, LONG)
        assert answer_time(attacked) < QUICK_S
    os.kill(listener.pid, signal.SIGCONT)
    assert listener.wait(REST) == 0
    gossip.close()
    (editor,) = attacked.call("status")["editors"]
    os.kill(editor["pid"], signal.SIGKILL)
    assert attacked.peak_kib() < PROMISED_KIB


# --- thousands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def crowd() -> Iterator[list[socket.socket]]:
    """Connections, closed in the end. There may be thousands."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, STORM + 1000)), hard))
    found: list[socket.socket] = []
    yield found
    for one in found:
        one.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def arrive(found: Endpoint, kind: str) -> socket.socket:
    """Connect, and send nothing."""
    (where,) = [row for row in found.transports if row["kind"] == kind]
    if kind == "tcp":
        return socket.create_connection((where["host"], where["port"]))
    one = socket.socket(socket.AF_UNIX)
    # Without a timeout the kernel has it wait in line.
    one.connect(where["path"])
    return one


def test_thousands_of_connections_keep_no_client_out(attacked: AttackedHome, crowd: list[socket.socket]) -> None:
    published, descriptors = attacked.published, attacked.descriptors()
    worst = 0.0
    for number in range(STORM):
        crowd.append(arrive(published, "tcp"))
        if number % 100 == 0:
            worst = max(worst, answer_time(attacked))
    assert worst < QUICK_S
    with attacked.greeted("tcp") as slot:
        assert slot.ask("ping")["result"] == {}
    # Sooner than by their silence.
    gone = f"no more than {UNAUTHENTICATED} are left"
    eventually(lambda: attacked.descriptors() <= descriptors + UNAUTHENTICATED, gone, patience_s=HELLO_S / 2)
    told = [row for row in attacked.events() if row["event"] in ("connection.evicted", "connection.closed")]
    assert sum(1 + row.get("untold", 0) for row in told) > 0
    assert len(told) < STORM / 10, "the log is full of them"
    assert attacked.peak_kib() < PROMISED_KIB


def test_full_daemon_answers_busy_and_retryable(attacked: AttackedHome, crowd: list[socket.socket]) -> None:
    published = attacked.published
    with attacked.greeted("unix") as slot:
        crowd.extend(arrive(published, "unix") for _ in range(STORM))
        exit_code, error = attacked.refused("status")
        told = error["data"]
        assert (exit_code, told["code"], told["retryable"], told["retry_after_ms"]) == (8, "BUSY", True, 1000)
        assert slot.ask("ping")["result"] == {}
    while crowd:
        crowd.pop().close()
    eventually(lambda: attacked.cli("status").returncode == 0, "there is room again")
    assert attacked.peak_kib() < PROMISED_KIB


def test_who_finds_the_queue_full_waits_in_line(attacked: AttackedHome) -> None:
    """The daemon is stopped, and its queue filled: a client that comes then is served when it goes on."""
    pid, published = attacked.daemon_pid(), attacked.published
    assert pid is not None
    (place,) = [row for row in published.transports if row["kind"] == "unix"]
    queue: list[socket.socket] = []
    answers: list[object] = []

    def ask() -> None:
        with Client.connect(published._replace(transports=(place,)), timeout_s=REST) as client:
            answers.append(client.call("ping"))

    late = threading.Thread(target=ask)
    os.kill(pid, signal.SIGSTOP)
    try:
        with contextlib.suppress(BlockingIOError):
            while True:
                one = socket.socket(socket.AF_UNIX)
                queue.append(one)
                one.setblocking(False)
                one.connect(place["path"])
        late.start()
        eventually(lambda: not late.is_alive() or sleeps(late), "it waits, or has given up")
    finally:
        os.kill(pid, signal.SIGCONT)
    late.join(2 * REST)
    for one in queue:
        one.close()
    assert answers == [{}]


def sleeps(thread: threading.Thread) -> bool:
    """Whether it waits in the kernel."""
    stat = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "S"


# --- browsers ---------------------------------------------------------------------------------------------------------

ORIGIN = "Origin: https://evil.example"
PAGES = {
    "a form's post": ("POST / HTTP/1.1", ORIGIN, "Content-Type: text/plain"),
    "a fetch": ("POST /rpc HTTP/1.1", "Origin: null", "Content-Type: application/json", "Sec-Fetch-Mode: no-cors"),
    "a preflight": ("OPTIONS / HTTP/1.1", ORIGIN, "Access-Control-Request-Method: POST"),
    "a rebound name": ("GET /status HTTP/1.1",),
    "a web socket": (
        "GET / HTTP/1.1",
        ORIGIN,
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
    ),
    "another version": ("PRI * HTTP/2.0",),
}


@pytest.mark.parametrize("said", PAGES.values(), ids=PAGES)
def test_a_web_page_never_reaches_a_method(attacked: AttackedHome, said: tuple[str, ...]) -> None:
    """Even with the right token in it, which no page has."""
    ask = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "hello", "params": attacked.hello()}),
        json.dumps({"jsonrpc": "2.0", "id": 2, "method": "server.ensure", "params": {"kind": "e2e-toy"}}),
        json.dumps({"jsonrpc": "2.0", "id": 3, "method": "daemon.shutdown", "params": {"servers": True}}),
    ]
    body = "\n".join(["", *ask, ""])
    line, *headers = said
    head = "\r\n".join([line, "Host: supervisor.evil.example", f"Content-Length: {len(body)}", *headers, "", ""])
    with attacked.caller("tcp") as page:
        page.say((head + body).encode())
        assert page.hear() is None, "it was answered"
    assert attacked.call("server.list")["servers"] == []
    assert not attacked.events("flight.started")
