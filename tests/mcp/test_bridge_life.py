"""How a bridge begins and ends, and that nothing that a client says ends it before."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from psutil import Process

from tests.e2e.home import eventually, stat_fields
from tests.mcp.bridge_client import HELLO, BridgeClient
from tests.mcp.conftest import Connect
from tests.mcp.home import SmallHome
from tests.mcp.steps import word_of

END_S = 3.0
"""A bridge ends within a tenth of a second; a busy machine takes longer to let it."""


def test_the_first_client_waits_for_the_server(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    hello = client.begin()
    assert hello["serverInfo"]["name"] == "mcp-server"
    assert hello["capabilities"]["tools"] == {"listChanged": True}
    assert len(client.call("tools/list")["tools"]) == 4
    # Some clients end the children of their servers, too. The daemon that this bridge has started is none.
    assert Process(client.process.pid).children() == []


@pytest.mark.full
def test_the_next_client_needs_no_server_to_list(small: SmallHome, connect: Connect) -> None:
    first = connect(small)
    first.begin()
    first.tool("write", word="first")
    eventually(lambda: list(small.folders.home.glob("catalogues/*.json")), "the catalogue is written")
    first.close()
    small.cli("stop", "--servers")
    second = connect(small)
    second.begin()
    assert len(second.call("tools/list")["tools"]) == 4
    assert second.answer(second.ask("prompts/list"))["error"]["code"] == -32601
    assert small.server_processes() == []
    assert word_of(second.tool("write", word="second")) == "second"


def test_a_damaged_catalogue_is_set_aside(small: SmallHome, connect: Connect) -> None:
    first = connect(small)
    first.begin()
    first.tool("write", word="first")
    found = eventually(lambda: list(small.folders.home.glob("catalogues/*.json")), "the catalogue is written")
    first.close()
    found[0].write_text("{")
    second = connect(small)
    assert second.begin()["serverInfo"]["name"] == "mcp-server"
    assert Path(f"{found[0]}.damaged").exists()


def test_a_client_with_eight_variables_finds_the_daemon(small: SmallHome, tmp_path: Path) -> None:
    kept = {name: os.environ[name] for name in ("PATH",)}
    environment = {**kept, "HOME": str(tmp_path), "GODOT_SUPERVISOR_HOME": str(small.folders.home)}
    client = BridgeClient("small", environment=environment, folder=small.project())
    try:
        assert client.begin(), small.note()
        assert word_of(client.tool("write", word="first")) == "first"
    finally:
        client.kill()


def test_discovery_is_answered_at_once_by_a_legacy_server(small: SmallHome, connect: Connect) -> None:
    small.configure_file("--legacy-only")
    client = connect(small)
    probe = client.ask("server/discover", {}, "server-discover-probe-1")
    assert client.answer(probe)["error"]["code"] == -32601
    client.begin()
    assert word_of(client.tool("write", word="first")) == "first"


def test_calls_wait_where_few_files_may_be_open(small: SmallHome) -> None:
    limited = ["sh", "-c", 'ulimit -n 64; exec "$0" "$@"']
    client = BridgeClient("small", environment=small.environment, folder=small.project(), launcher=limited)
    try:
        client.begin()
        calls = [client.ask("tools/call", {"name": "write", "arguments": {"word": f"w{n}"}}) for n in range(100)]
        assert [word_of(client.answer(call)["result"]) for call in calls] == [f"w{n}" for n in range(100)]
    finally:
        client.kill()


@pytest.fixture
def hangups_end_programs() -> Iterator[None]:
    """Let programs that are started here not ignore SIGHUP, as those under `nohup` do."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hangups_end_programs")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_it(small: SmallHome, connect: Connect, number: signal.Signals) -> None:
    client = connect(small)
    client.begin()
    client.ask("tools/call", {"name": "write", "arguments": {"word": "runs", "seconds": 60}})
    eventually(lambda: small.journal(word="runs"), "the call is executed")
    begun = time.monotonic()
    client.process.send_signal(number)
    assert client.process.wait(END_S) == 0
    assert time.monotonic() - begun < END_S
    eventually(lambda: small.journal(deleted=True), "the session is ended")


def test_the_end_of_the_input_ends_it(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    assert client.close() == 0


@pytest.mark.parametrize("launcher", [[], ["sh", "-c", '"$0" "$@"; exit']], ids=["directly", "by a shell"])
def test_the_end_of_its_client_ends_it(small: SmallHome, launcher: list[str]) -> None:
    # Another process keeps the bridge's input open, and so may a launcher that stays.
    program = (
        "import subprocess, sys; words = sys.argv[2:] + [sys.executable, '-P', '-m', 'supervisor', 'mcp', 'small']; "
        "subprocess.Popen(words, stdin=int(sys.argv[1])).wait()"
    )
    reader, writer = os.pipe()
    client = subprocess.Popen(
        [sys.executable, "-c", program, str(reader), *launcher],
        stdout=subprocess.PIPE,
        env=small.environment,
        cwd=small.project(),
        pass_fds=(reader,),
    )
    try:
        assert client.stdout is not None
        os.write(writer, json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode() + b"\n")
        assert json.loads(client.stdout.readline()) == {"jsonrpc": "2.0", "id": 1, "result": {}}
        begun = time.monotonic()
        client.kill()
        # The bridge, and the launcher after it, close the output.
        assert client.stdout.read() == b""
        assert time.monotonic() - begun < END_S
    finally:
        client.kill()
        client.wait()
        client.stdout.close()
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize(
    ("line", "code", "identifier"),
    [
        (b"nonsense", -32700, None),
        (b"\xff\xfe", -32700, None),
        (b"[1, 2]", -32600, None),
        (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600, None),
        (b'{"jsonrpc":"1.0","id":1,"method":"ping"}', -32600, 1),
        (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', -32600, None),
        (b'{"jsonrpc":"2.0","id":2,"method":5}', -32600, 2),
        (b'{"jsonrpc":"2.0","id":2,"method":"ping","params":[1]}', -32600, 2),
        (b'{"jsonrpc":"2.0","id":3}', -32600, 3),
        (b'{"a":' * 100_000, -32700, None),
        (b"[" * 100_000, -32600, None),
        (b'{"jsonrpc":"2.0","id":4,"method":"ping","params":{"x":NaN}}', -32700, None),
        (b'{"jsonrpc":"2.0","id":"long","method":"ping","params":{"x":"' + b"y" * 17_000_000 + b'"}}', -32600, "long"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else None,
)
def test_bad_input_has_one_defined_answer(
    without_daemon: BridgeClient, line: bytes, code: int, identifier: object
) -> None:
    without_daemon.write(line + b"\n")
    answer = without_daemon.answer(identifier)
    assert (answer["id"], answer["error"]["code"]) == (identifier, code)
    assert without_daemon.call("ping") == {}


def test_ids_of_every_type_come_back(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    for identifier in (0, -1, 1.5, 2**53, "", "a b", "\u20ac", 10**30):
        assert client.answer(client.ask("ping", {}, identifier))["result"] == {}
        call = client.ask("tools/call", {"name": "write", "arguments": {"word": "x"}}, identifier)
        assert word_of(client.answer(call)["result"]) == "x"


def test_unasked_answers_and_cancellations_are_ignored(without_daemon: BridgeClient) -> None:
    without_daemon.send({"id": 77, "result": {}})
    without_daemon.send({"id": None, "error": {"code": 1, "message": "x"}})
    without_daemon.send({"method": "notifications/cancelled", "params": {"requestId": 99}})
    without_daemon.send({"method": "notifications/unknown"})
    without_daemon.write(b"\n\r\n  \n")
    assert without_daemon.call("ping") == {}
    assert without_daemon.lines.empty()


def test_an_id_in_use_is_refused_without_an_id(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    client.begin()
    call = client.ask("tools/call", {"name": "write", "arguments": {"word": "slow", "seconds": 1}}, "same")
    client.ask("tools/call", {"name": "write", "arguments": {"word": "second"}}, "same")
    assert client.answer(None)["error"]["code"] == -32600
    assert word_of(client.answer(call)["result"]) == "slow"
    assert small.journal(word="second") == []
    again = client.ask("tools/call", {"name": "write", "arguments": {"word": "again"}}, "same")
    assert word_of(client.answer(again)["result"]) == "again"


def test_initialize_can_be_cancelled(small: SmallHome, connect: Connect) -> None:
    client = connect(small)
    hello = client.ask("initialize", HELLO, "hello")
    client.send({"method": "notifications/cancelled", "params": {"requestId": hello}})
    assert client.call("ping") == {}
    assert client.begin()["serverInfo"]["name"] == "mcp-server"
    assert "hello" not in client.unread_answers


@pytest.mark.linux_only
def test_a_daemon_does_not_descend_from_a_bridge(small: SmallHome, connect: Connect) -> None:
    # Copilot CLI and opencode end all processes that descend from their servers.
    client = connect(small)
    client.begin()
    client.tool("write", word="first")
    daemon = small.daemon_pid()
    assert daemon is not None
    assert ancestors(daemon).isdisjoint({client.process.pid, os.getpid()} - {1})


def ancestors(pid: int) -> set[int]:
    """Return the pids of all processes that a process descends from."""
    found = set()
    while pid > 1:
        pid = int(stat_fields(pid)[1])
        found.add(pid)
    return found
