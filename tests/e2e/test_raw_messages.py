"""Any messages to the real daemon: it goes on to answer other clients, and sends only typed errors."""

import contextlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from supervisor.client.client import RemoteError
from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import eventually
from tests.e2e.raw_connections import AttackedHome, code
from tests.privilege import IS_ROOT, NOBODY

HELLO_S = 5.0
MIB = 1024 * 1024
IDLE = 300
CLIENTS = 20
MISSING_PID = 2**22 + 1
"""Beyond the largest pid that Linux gives away."""

NOT_JSON = {
    "garbage": bytes(range(1, 10)) + b"\x80\xfe\xff" * 100,
    "an HTTP request": b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n\r\n{}",
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "invalid UTF-8": b'{"jsonrpc": "2.0", "id": 1, "method": "\xff\xfe"}',
    "half a value": b'{"jsonrpc": "2.0", "id": 1, ',
    "a lone surrogate's half": b'{"jsonrpc":"2.0","id":1,"method":"\\ud800"}',
    "deep nesting": b"[" * 200_000,
    "deep nesting in an object": b'{"a":' * 100_000,
    "a huge number": b'{"jsonrpc": "2.0", "id": ' + b"9" * 10_000 + b', "method": "ping"}',
}
NO_REQUEST = {
    "an empty line": b"",
    "an array": b"[]",
    "a batch": b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
    "a number": b"17",
    "null": b"null",
    "another version": b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
    "no method": b'{"jsonrpc":"2.0","id":1}',
    "a method that is a list": b'{"jsonrpc":"2.0","id":1,"method":["ping"]}',
    "params that are an array": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[1]}',
    "an id that is an object": b'{"jsonrpc":"2.0","id":{},"method":"ping"}',
    "not a number": b'{"jsonrpc":"2.0","id":NaN,"method":"ping"}',
}
WRONG: Mapping[str, tuple[str, object, str]] = {
    "an unknown verb": ("no.such.verb", {}, "METHOD_NOT_FOUND"),
    "a verb of a later release": ("server.migrate", {"server": "e2e-toy"}, "METHOD_NOT_FOUND"),
    "neither process nor port": ("server.adopt", {}, "INVALID_PARAMS"),
    "process and port": ("server.adopt", {"pid": 1, "port": 8000}, "INVALID_PARAMS"),
    "a missing field": ("server.get", {}, "INVALID_PARAMS"),
    "a number for a text": ("server.get", {"server": 5}, "INVALID_PARAMS"),
    "a text for a number": ("server.ensure", {"kind": "e2e-toy", "owner": {"pid": "12"}}, "INVALID_PARAMS"),
    "a boolean for a number": ("server.ensure", {"kind": "e2e-toy", "owner": {"pid": True}}, "INVALID_PARAMS"),
    "a text for a boolean": ("reap", {"dry_run": "yes"}, "INVALID_PARAMS"),
    "a list for an object": ("server.ensure", {"kind": "e2e-toy", "owner": []}, "INVALID_PARAMS"),
    "both owners": ("server.ensure", {"kind": "e2e-toy", "editor": "e", "owner": {"pid": 1}}, "INVALID_PARAMS"),
    "an endless name": ("server.get", {"server": "x" * 100_000}, "INVALID_PARAMS"),
    "pid 0": ("server.ensure", {"kind": "e2e-toy", "owner": {"pid": 0}}, "INVALID_PARAMS"),
    "a negative pid": ("server.ensure", {"kind": "e2e-toy", "owner": {"pid": -1}}, "INVALID_PARAMS"),
    "a pid beyond any": ("server.ensure", {"kind": "e2e-toy", "owner": {"pid": 2**40}}, "INVALID_PARAMS"),
    "a pid that nobody has": ("server.ensure", {"kind": "e2e-toy", "owner": {"pid": MISSING_PID}}, "EDITOR_GONE"),
    "an editor that nobody is": ("server.ensure", {"kind": "e2e-toy", "editor": "nobody-1"}, "NOT_FOUND"),
    "a kind that nobody knows": ("server.ensure", {"kind": "nonsense"}, "KIND_UNKNOWN"),
    "a server that nobody knows": ("server.stop", {"server": "nonsense"}, "NOT_FOUND"),
    "a name with a slash": ("server.get", {"server": "../../etc/passwd"}, "NOT_FOUND"),
    "a name with a NUL": ("server.get", {"server": "e2e-toy\0"}, "INVALID_PARAMS"),
    "port 0": ("server.ensure", {"kind": "e2e-toy", "ports": {"http": 0, "sessions": 18700}}, "INVALID_PARAMS"),
    "port 65536": ("server.ensure", {"kind": "e2e-toy", "ports": {"http": 65536, "sessions": 18700}}, "INVALID_PARAMS"),
    "a port of no name": ("server.ensure", {"kind": "e2e-toy", "ports": {"telnet": 23}}, "INVALID_PARAMS"),
    "port 70000 explained": ("ports.explain", {"ports": [70000]}, "INVALID_PARAMS"),
    "a thousand ports explained": ("ports.explain", {"ports": [8000] * 1000}, "INVALID_PARAMS"),
    "no ports explained": ("ports.explain", {}, "INVALID_PARAMS"),
    "a project that does not exist": (
        "editor.attach",
        {"pid": os.getpid(), "project": "/no/such/folder"},
        "INVALID_PARAMS",
    ),
    "a project without a root": ("editor.attach", {"pid": os.getpid(), "project": "my-game"}, "INVALID_PARAMS"),
    "a project that is a file": ("editor.attach", {"pid": os.getpid(), "project": __file__}, "INVALID_PARAMS"),
    "a project with a NUL": ("editor.attach", {"pid": os.getpid(), "project": "/tmp/\0"}, "INVALID_PARAMS"),
    "another start token": (
        "editor.attach",
        {"pid": os.getpid(), "project": "/", "start_token": "x:1"},
        "INVALID_PARAMS",
    ),
    "a restart of nothing": ("server.restart", {}, "INVALID_PARAMS"),
    "a restart of what nobody knows": ("server.restart", {"server": "nonsense"}, "NOT_FOUND"),
    "a restart that is forced by a text": ("server.restart", {"server": "e2e-toy", "force": "yes"}, "INVALID_PARAMS"),
    "a request without a name": ("server.restart", {"server": "e2e-toy", "request": ""}, "INVALID_PARAMS"),
    "a request of an endless name": ("server.stop", {"server": "e2e-toy", "request": "x" * 257}, "INVALID_PARAMS"),
    "a release without an editor": ("server.release", {"server": "e2e-toy"}, "INVALID_PARAMS"),
    "a release of what nobody knows": ("server.release", {"server": "nonsense", "editor": "e-1"}, "NOT_FOUND"),
    "a check that is a number": ("server.get", {"server": "e2e-toy", "check": 1}, "INVALID_PARAMS"),
    "a lease on what nobody knows": ("lease.acquire", {"server": "x", "holder": "me", "ttl_s": 60}, "NOT_FOUND"),
    "a lease of nobody": ("lease.acquire", {"server": "e2e-toy", "holder": "", "ttl_s": 60}, "INVALID_PARAMS"),
    "a lease for no time": ("lease.acquire", {"server": "e2e-toy", "holder": "me", "ttl_s": 0}, "INVALID_PARAMS"),
    "a lease for less": ("lease.acquire", {"server": "e2e-toy", "holder": "me", "ttl_s": -60}, "INVALID_PARAMS"),
    "a lease for ever": ("lease.acquire", {"server": "e2e-toy", "holder": "me", "ttl_s": 1e9}, "INVALID_PARAMS"),
    "a lease for a text": ("lease.acquire", {"server": "e2e-toy", "holder": "me", "ttl_s": "60"}, "INVALID_PARAMS"),
    "a lease without a time": ("lease.acquire", {"server": "e2e-toy", "holder": "me"}, "INVALID_PARAMS"),
    "a lease that nobody has, renewed": ("lease.renew", {"lease": "lease-1"}, "NOT_FOUND"),
    "a lease that nobody has, released": ("lease.release", {"lease": "lease-1"}, "NOT_FOUND"),
    "a lease that is a number": ("lease.renew", {"lease": 1}, "INVALID_PARAMS"),
    "a state of nobody": ("editor.state", {"editor": "nobody-1", "state": "busy"}, "NOT_FOUND"),
    "a state that is none": ("editor.state", {"editor": "e-1", "state": "asleep"}, "INVALID_PARAMS"),
    "a state for no time": ("editor.state", {"editor": "e-1", "state": "busy", "ttl_s": 0}, "INVALID_PARAMS"),
    "a state for a day": ("editor.state", {"editor": "e-1", "state": "busy", "ttl_s": 86400}, "INVALID_PARAMS"),
    "a reason without end": ("editor.state", {"editor": "e", "state": "busy", "reason": "x" * 257}, "INVALID_PARAMS"),
    "a result of what nobody asked for": ("request.result", {"request": "r-999"}, "NOT_FOUND"),
    "a result of nothing": ("request.result", {}, "INVALID_PARAMS"),
    "a cancel of what nobody asked for": ("request.cancel", {"request": "r-999"}, "NOT_FOUND"),
    "a cancel of a number": ("request.cancel", {"request": 7}, "INVALID_PARAMS"),
    "events since a number": ("events.subscribe", {"since": 7}, "INVALID_PARAMS"),
    "events since nobody's": ("events.subscribe", {"since": {"seq": 7}}, "INVALID_PARAMS"),
    "events since before": ("events.subscribe", {"since": {"instance_id": "x", "seq": -1}}, "INVALID_PARAMS"),
    "events since half": ("events.subscribe", {"since": {"instance_id": "x", "seq": 0.5}}, "INVALID_PARAMS"),
    "the log of nobody": ("logs.read", {"server": "nonsense"}, "NOT_FOUND"),
    "the log of a path": ("logs.read", {"server": "../../../etc/passwd"}, "NOT_FOUND"),
    "the log of nobody, followed": ("logs.read", {"server": "nonsense", "follow": True}, "NOT_FOUND"),
    "fewer lines than none": ("logs.read", {"lines": -1}, "INVALID_PARAMS"),
    "more lines than fit": ("logs.read", {"lines": 10_001}, "INVALID_PARAMS"),
    "lines that are a text": ("logs.read", {"lines": "50"}, "INVALID_PARAMS"),
}


@pytest.fixture(scope="module")
def shared_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AttackedHome]:
    attacked = AttackedHome(tmp_path_factory.mktemp("raw"), toy_config())
    attacked.start()
    yield attacked
    attacked.close()


@pytest.fixture
def attacked(shared_home: AttackedHome) -> Iterator[AttackedHome]:
    """The same daemon for all of them, as good after each as before."""
    instance = shared_home.published.instance_id
    yield shared_home
    for row in shared_home.call("server.list")["servers"]:
        shared_home.call("server.stop", {"server": row["id"]})
    assert shared_home.published.instance_id == instance
    shared_home.check_undisturbed()


# --- clients without hello on TCP -------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [*NOT_JSON.values(), *NO_REQUEST.values()], ids=[*NOT_JSON, *NO_REQUEST])
def test_a_client_that_does_not_say_hello_is_disconnected(attacked: AttackedHome, line: bytes) -> None:
    with attacked.caller("tcp") as caller:
        caller.say(line + b"\n")
        said = [caller.hear(), None]
        if said[0] is not None:
            assert code(said[0]) in ("UNAUTHORIZED", "PARSE_ERROR")
            said[1] = caller.hear()
        assert said[1] is None


def test_a_wrong_token_is_refused_and_the_connection_closed(attacked: AttackedHome) -> None:
    for kind in ("tcp", "unix"):
        with attacked.caller(kind) as caller:
            reply = caller.ask("hello", attacked.hello("x" * 43))
            assert code(reply) == "UNAUTHORIZED"
            assert "x" * 43 not in json.dumps(reply)
            if kind == "tcp":
                assert caller.hear() is None


def test_without_hello_a_verb_is_refused(attacked: AttackedHome) -> None:
    with attacked.caller("tcp") as caller:
        assert code(caller.ask("server.list")) == "UNAUTHORIZED"
        assert caller.hear() is None


@pytest.mark.parametrize("greeted", [False, True], ids=["not greeted", "greeted"])
def test_a_line_of_two_mebibytes_is_the_end_of_its_connection(attacked: AttackedHome, *, greeted: bool) -> None:
    with attacked.greeted("tcp") if greeted else attacked.caller("tcp") as caller:
        caller.say(b'"' + b"x" * 2 * MIB + b'"\n')
        reply = caller.hear()
        # The error may be lost with what was still on its way when the daemon hung up.
        if reply is not None:
            assert code(reply) in ("PARSE_ERROR", "INVALID_REQUEST")
            assert caller.hear() is None


def test_a_line_that_never_ends_is_not_collected(attacked: AttackedHome) -> None:
    with attacked.greeted("unix") as caller:
        for _ in range(64):
            caller.say(b"x" * MIB)
        reply = caller.hear()
        assert reply is None or code(reply) == "PARSE_ERROR"
    assert attacked.peak_kib() < 128 * 1024


def test_who_says_nothing_is_shown_out_after_five_seconds_and_no_sooner(attacked: AttackedHome) -> None:
    with attacked.caller("tcp") as silent, attacked.caller("tcp") as slow, attacked.caller("unix") as trusted:
        began = time.monotonic()
        slow.say(b'{"jsonrpc": "2.0"')
        replies = [silent.hear(), slow.hear()]
        assert time.monotonic() - began >= HELLO_S - 0.1
        assert {code(reply) for reply in replies} == {"UNAUTHORIZED"}
        assert [silent.hear(), slow.hear()] == [None, None]
        assert trusted.ask("ping")["result"] == {}


def test_hundreds_of_idle_connections_keep_no_client_out(attacked: AttackedHome) -> None:
    with contextlib.ExitStack() as crowd, attacked.greeted("tcp") as slot:
        for _ in range(IDLE):
            crowd.enter_context(attacked.caller("tcp"))
        attacked.check_undisturbed()
        assert slot.ask("ping")["result"] == {}
        assert attacked.cli("status").returncode == 0


# --- clients after hello ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_a_client_that_sends_nonsense_gets_typed_errors(attacked: AttackedHome, kind: str) -> None:
    with attacked.greeted(kind) as caller:
        for name, line in {**NOT_JSON, **NO_REQUEST}.items():
            caller.say(line + b"\n")
            reply = caller.hear()
            assert reply is not None, f"{name} has closed the connection"
            allowed = ("PARSE_ERROR", "INVALID_REQUEST", "INVALID_PARAMS", "METHOD_NOT_FOUND")
            lines = 5 if name == "an HTTP request" else 1
            replies = [reply, *(caller.hear() for _ in range(lines - 1))]
            assert {code(reply) for reply in replies} <= set(allowed), f"{name}: {replies}"
        assert caller.ask("ping")["result"] == {}


@pytest.mark.parametrize(("method", "params", "expected"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_is_a_typed_error_that_names_the_field(
    attacked: AttackedHome, method: str, params: object, expected: str
) -> None:
    with attacked.greeted("unix") as caller:
        error = caller.ask(method, params)["error"]
        assert error["data"]["code"] == expected, error
        assert error["message"]
        if expected == "INVALID_PARAMS":
            assert error["data"]["field"]
        assert error["data"]["fault"] == "caller"
        assert not error["data"]["retryable"]
        assert caller.ask("ping")["result"] == {}
    assert attacked.server_processes() == []
    assert attacked.call("server.list")["servers"] == []


def test_impossible_requests_print_no_traceback(attacked: AttackedHome) -> None:
    for words, status in (
        (("up", "e2e-toy", "--owner-pid", str(MISSING_PID)), 4),
        (("up", "nonsense"), 4),
        (("up", "e2e-toy", "--project", "/no/such/folder"), 2),
        (("down", "nonsense"), 4),
    ):
        done = attacked.cli(*words)
        assert done.returncode == status, (words, done.stderr)
        assert "Traceback" not in done.stderr
        assert done.stdout == ""


def test_another_users_process_cannot_be_an_owner(attacked: AttackedHome) -> None:
    pid = attacked.run("sleep", "600", user=NOBODY).pid if IS_ROOT else 1
    if Path(f"/proc/{pid}").stat().st_uid == os.geteuid():
        pytest.skip("process 1 is of this user")
    with attacked.greeted("unix") as caller:
        reply = caller.ask("server.ensure", {"kind": "e2e-toy", "owner": {"pid": pid}})
        assert code(reply) == "INVALID_PARAMS"
        assert "user" in reply["error"]["message"]
    assert attacked.server_processes() == []


# --- one operation at a time ------------------------------------------------------------------------------------------


def test_two_equal_requests_are_one_operation(make_home: MakeHome) -> None:
    home = make_home(toy_config("--slow-start", "0.7"))
    home.start()
    owner, other = home.owner(), home.owner()
    told: list[Mapping[str, Any]] = []
    servers: list[dict[str, Any]] = []

    def ensure(pid: int) -> None:
        with home.client() as client:
            params = {"kind": "e2e-toy", "owner": {"pid": pid}}
            servers.append(client.call("server.ensure", params, on_accepted=told.append))

    threads = [threading.Thread(target=ensure, args=(pid,)) for pid in (owner.pid, other.pid)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(row["joined"] for row in told) == [False, True]
    assert len({row["request"] for row in told}) == 2, "each may be given up by itself"
    assert [server["root_pid"] for server in servers] == home.server_processes() * 2
    assert {row["pid"] for row in servers[0]["owners"]} == {owner.pid, other.pid}
    assert len(home.events("flight.started")) == 1


def test_a_stop_during_a_start_is_busy_and_down_waits_for_it(make_home: MakeHome) -> None:
    home = make_home(toy_config("--slow-start", "2"))
    owner = home.owner()
    home.start()
    up = home.begin("up", "e2e-toy", "--owner-pid", str(owner.pid), "--json")
    home.event("server.spawned")
    with pytest.raises(RemoteError) as refused:
        home.call("server.stop", {"server": "e2e-toy"})
    assert refused.value.code == "BUSY"
    assert refused.value.retryable
    assert refused.value.retry_after_ms
    running = refused.value.data["running"]
    assert running["method"] == "server.ensure"
    assert running["holder"]
    assert 0 < running["elapsed_ms"] < 60_000
    assert running["request"] == home.event("flight.started")["request"]
    assert refused.value.data["requested"] == "server.stop"
    down = home.cli("down", "e2e-toy")
    assert down.returncode == 0, down.stderr
    out, err = up.communicate(timeout=60)
    assert up.returncode == 0, err
    assert json.loads(out)["state"] == "ready"
    assert home.server_processes() == []


def test_a_start_during_a_stop_waits_for_it(make_home: MakeHome) -> None:
    home = make_home(toy_config("--ignore-term", stop_timeout=1))
    first = home.up("e2e-toy")
    down = home.begin("down", "e2e-toy")
    home.event("signal.sent")
    second = home.up("e2e-toy")
    assert down.wait(60) == 0
    assert second["root_pid"] != first["root_pid"]
    assert home.server_processes() == [second["root_pid"]]


def test_many_clients_at_once_get_the_same_server(make_home: MakeHome) -> None:
    home = make_home(toy_config("--slow-start", "0.3"))
    home.start()
    owners = [home.owner() for _ in range(CLIENTS)]
    found: list[int] = []
    start = threading.Barrier(CLIENTS)

    def ensure(owner: "subprocess.Popen[Any]") -> None:
        with home.client() as client:
            start.wait(30)
            found.append(client.call("server.ensure", {"kind": "e2e-toy", "owner": {"pid": owner.pid}})["root_pid"])

    threads = [threading.Thread(target=ensure, args=(owner,)) for owner in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == home.server_processes() * CLIENTS
    assert len(home.events("server.spawned")) == 1
    server = home.server("e2e-toy")
    assert server is not None
    assert {row["pid"] for row in server["owners"]} == {owner.pid for owner in owners}
    # The owners end one after the other; the last one takes the server along.
    for owner in owners[1:]:
        owner.kill()
        owner.wait()
    assert home.server_processes() == [server["root_pid"]]
    owners[0].kill()
    owners[0].wait()
    eventually(lambda: not home.server_processes(), "the server is reaped")
