"""docs/behaviour.md section 10: a misbehaving connection gets a typed error or is closed, and the others go on."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.control import all_connections, calls, connection, outbound
from supervisor.control.connection import Connection
from tests.control.harness import HELLO, KINDS, ListenerHarness, Wire, Work, accept, open_listener, until
from tests.systems import POSIX_ONLY

MiB = 1024 * 1024


def with_listener(
    folder: Path, scenario: Callable[[ListenerHarness], Awaitable[None]], work: Work | None = None
) -> None:
    """Run a scenario beside a polite client, whose connection must survive."""

    async def both() -> None:
        async with open_listener(folder, work=work) as harness:
            witness = await harness.connect()
            await scenario(harness)
            assert (await witness.ask("ping"))["result"] == {}
            newcomer = await harness.connect("tcp")
            assert (await newcomer.ask("ping"))["result"] == {}
            await witness.close()
            await newcomer.close()

    asyncio.run(both())


def codes(received: bytes) -> list[str]:
    return [json.loads(line)["error"]["data"]["code"] for line in received.splitlines()]


def hello(**changes: Any) -> bytes:
    message = {"jsonrpc": "2.0", "id": 1, "method": "hello", "params": {**HELLO, **changes}}
    return json.dumps(message).encode() + b"\n"


@pytest.mark.parametrize("kind", KINDS)
def test_garbage_of_an_authenticated_client_is_answered(tmp_path: Path, kind: str) -> None:
    async def scenario(harness: ListenerHarness) -> None:
        wire = await harness.connect(kind)
        for garbage in (b"{]", b"\xff\xfe\x00", b"", b"[]", b"null", b"[" * 200_000, b'{"jsonrpc":"2.0"}'):
            wire.raw(garbage + b"\n")
            reply = await wire.hear()
            assert reply["id"] is None
            assert reply["error"]["data"]["code"] in {"PARSE_ERROR", "INVALID_REQUEST"}
        assert (await wire.ask("ping"))["result"] == {}
        await wire.close()

    with_listener(tmp_path, scenario)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("greet", [True, False], ids=["greeted", "not greeted"])
@pytest.mark.parametrize(("size", "answers"), [(MiB + 1, [["PARSE_ERROR"]]), (2 * MiB, [["PARSE_ERROR"], []])])
def test_an_oversized_line_is_an_error_and_ends_the_connection(
    tmp_path: Path, kind: str, size: int, answers: list[list[str]], *, greet: bool
) -> None:
    async def scenario(harness: ListenerHarness) -> None:
        wire = await harness.connect(kind, greet=greet)
        wire.raw(b"x" * size)
        # If the rest of the line was still in transit, the system may drop the error with the connection.
        assert codes(await wire.rest()) in answers
        await wire.close()

    with_listener(tmp_path, scenario)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n\r\n" + hello() + b"\n",
        os.urandom(4096).replace(b"\n", b"") + b"\n",
        b"\x16\x03\x01\x02\x00\n",
    ],
    ids=["get", "post", "noise", "tls"],
)
def test_another_protocol_is_closed_without_an_answer(tmp_path: Path, request_bytes: bytes) -> None:
    async def scenario(harness: ListenerHarness) -> None:
        wire = await harness.connect("tcp", greet=False)
        wire.raw(request_bytes)
        assert await wire.rest() == b""
        await wire.close()

    with_listener(tmp_path, scenario)


@pytest.mark.parametrize(
    "first",
    [
        hello(token="wrong"),
        hello(token="ключ"),
        hello(token=None),
        b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n',
        b'{"jsonrpc":"2.0","method":"hello"}\n',
        b'{"jsonrpc":"2.0","id":1}\n',
        b"[]\n",
        b"7\n",
    ],
)
def test_a_client_without_hello_and_token_is_unauthorized(tmp_path: Path, first: bytes) -> None:
    async def scenario(harness: ListenerHarness) -> None:
        wire = await harness.connect("tcp", greet=False)
        wire.raw(first + b'{"jsonrpc":"2.0","id":2,"method":"server.ensure","params":{"kind":"godot-ai"}}\n')
        assert codes(await wire.rest()) == ["UNAUTHORIZED"]
        assert not harness.work.begun.is_set()
        await wire.close()

    with_listener(tmp_path, scenario)


def test_a_hello_with_wrong_types_ends_the_connection(tmp_path: Path) -> None:
    async def scenario(harness: ListenerHarness) -> None:
        wire = await harness.connect("tcp", greet=False)
        wire.raw(hello(token=["x"]))
        assert codes(await wire.rest()) == ["INVALID_PARAMS"]
        await wire.close()

    with_listener(tmp_path, scenario)


@pytest.mark.parametrize("said", [b"", b'{"jsonrpc":'], ids=["nothing", "half-a-line"])
def test_a_connection_without_hello_in_time_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connection, "HELLO_S", 0.1)

    async def scenario(harness: ListenerHarness) -> None:
        wire = await harness.connect("tcp", greet=False)
        wire.raw(said)
        assert codes(await wire.rest()) == ["UNAUTHORIZED"]
        await wire.close()

    with_listener(tmp_path, scenario)


def test_a_client_may_be_silent_after_hello(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "HELLO_S", 0.05)

    async def scenario(harness: ListenerHarness) -> None:
        wire, unauthenticated = await harness.connect("tcp"), await harness.connect("tcp", greet=False)
        await unauthenticated.rest()
        assert (await wire.ask("ping"))["result"] == {}
        await wire.close()
        await unauthenticated.close()

    with_listener(tmp_path, scenario)


def test_the_oldest_unauthenticated_connection_makes_room(tmp_path: Path) -> None:
    async def scenario(harness: ListenerHarness) -> None:
        unauthenticated = [
            await harness.connect("tcp", greet=False) for _ in range(all_connections.UNAUTHENTICATED + 8)
        ]
        for gone in unauthenticated[:8]:
            assert await gone.rest() == b""
        assert "result" in await unauthenticated[8].ask("hello", HELLO)
        assert len(harness.all_connections.connections) <= all_connections.UNAUTHENTICATED + 2
        for wire in unauthenticated:
            await wire.close()

    with_listener(tmp_path, scenario)


def test_idle_unauthenticated_connections_keep_no_client_out(tmp_path: Path) -> None:
    async def scenario(harness: ListenerHarness) -> None:
        unauthenticated = [await harness.connect("tcp", greet=False) for _ in range(40)]
        wire = await harness.connect("tcp")
        assert (await wire.ask("ping"))["result"] == {}
        for each in (wire, *unauthenticated):
            await each.close()

    with_listener(tmp_path, scenario)


@POSIX_ONLY
def test_a_connection_beyond_the_limit_is_refused_as_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(all_connections, "CONNECTIONS", 8)

    async def scenario(harness: ListenerHarness) -> None:
        clients = [await harness.connect() for _ in range(7)]
        for open_connection in clients:
            await open_connection.ask("ping")
        late = await harness.connect()
        assert codes(await late.rest()) == ["BUSY"]
        for each in (*clients, late):
            await each.close()
        await until(lambda: len(harness.all_connections.connections) == 1)

    with_listener(tmp_path, scenario)


@POSIX_ONLY
def test_an_unauthenticated_connection_makes_room_for_a_known_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(all_connections, "CONNECTIONS", 4)

    async def scenario(harness: ListenerHarness) -> None:
        unauthenticated = [await harness.connect("tcp", greet=False) for _ in range(3)]
        await until(lambda: len(harness.all_connections.connections) == 4)
        wire = await harness.connect()
        assert (await wire.ask("ping"))["result"] == {}
        for each in (*unauthenticated, wire):
            await each.close()
        await until(lambda: len(harness.all_connections.connections) == 1)

    with_listener(tmp_path, scenario)


async def _fill(wire: Wire, harness: ListenerHarness) -> Connection:
    """Send requests until the daemon stops reading, as the kernel has buffers too. Return the daemon's connection."""
    hello = {**HELLO, "client": {"name": "filler", "version": "0"}}
    assert "result" in await wire.ask("hello", hello)
    wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
    (open_connection,) = (
        each
        for each in harness.all_connections.connections
        if isinstance(each, Connection) and each._calls.caller.who == "filler 0"
    )
    flood = b'{"jsonrpc":"2.0","id":1,"method":"server.list"}\n' * 100
    async with asyncio.timeout(30):
        while not open_connection._outbound.clogged:
            wire.raw(flood)
            await asyncio.sleep(0)
    return open_connection


@pytest.mark.parametrize("kind", KINDS)
def test_requests_of_a_client_that_does_not_read_are_not_read(tmp_path: Path, kind: str) -> None:
    async def scenario(harness: ListenerHarness) -> None:
        wire = await harness.connect(kind)
        open_connection = await _fill(wire, harness)
        held = open_connection._transport.get_write_buffer_size()
        wire.raw(b'{"jsonrpc":"2.0","id":1,"method":"server.list"}\n' * 5000)
        await asyncio.sleep(0.1)
        assert open_connection._transport.get_write_buffer_size() <= held < outbound.OUTBOUND_LIMIT / 2
        other = await harness.connect(kind)
        assert (await other.ask("ping"))["result"] == {}
        await other.close()
        wire.writer.transport.abort()
        await until(lambda: open_connection not in harness.all_connections.connections)

    with_listener(tmp_path, scenario)


def test_a_client_that_reads_late_gets_every_answer(tmp_path: Path) -> None:
    async def scenario(harness: ListenerHarness) -> None:
        wire = await harness.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(6000):
            wire.say({"jsonrpc": "2.0", "id": number, "method": "server.list"})
        await asyncio.sleep(0.2)
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert [(await wire.hear())["id"] for _ in range(6000)] == [*range(6000)]
        assert not harness.events.named("connection.closed")
        await wire.close()

    with_listener(tmp_path, scenario)


def test_late_answers_wait_for_the_reader_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "OUTBOUND_LIMIT", 3 * outbound.COMFORTABLE)

    async def scenario(harness: ListenerHarness) -> None:
        wire = await harness.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for number in range(100):
            wire.say({"jsonrpc": "2.0", "id": number, "method": "slow.page"})
        await asyncio.sleep(0.2)
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert {(await wire.hear())["id"] for _ in range(100)} == {*range(100)}
        await wire.close()

    with_listener(tmp_path, scenario)


def test_many_requests_of_one_client_do_not_delay_the_others(tmp_path: Path) -> None:
    async def scenario(harness: ListenerHarness) -> None:
        one, other = await harness.connect(), await harness.connect()
        one.raw(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n' * 5000)
        other.say({"jsonrpc": "2.0", "id": 2, "method": "ping"})
        await other.hear()
        busy = [
            open_connection
            for open_connection in harness.all_connections.connections
            if isinstance(open_connection, Connection) and open_connection._lines
        ]
        assert busy
        await one.close()
        await other.close()

    with_listener(tmp_path, scenario)


def test_too_many_requests_at_once_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "IN_FLIGHT", 3)

    async def scenario(harness: ListenerHarness) -> None:
        wire = await harness.connect()
        for number in range(4):
            wire.say({"jsonrpc": "2.0", "id": number, "method": "server.ensure", "params": {"kind": "godot-ai"}})
        replies = [await wire.hear() for _ in range(4)]
        refused = [reply for reply in replies if "error" in reply]
        assert [reply["error"]["data"]["code"] for reply in refused] == ["BUSY"]
        assert refused[0]["error"]["data"]["retry_after_ms"] == calls.RETRY_AFTER_MS
        await wire.close()

    with_listener(tmp_path, scenario, Work(accept, waits=True))


def test_a_client_that_resets_at_once_does_not_close_the_listener(tmp_path: Path) -> None:
    async def scenario(harness: ListenerHarness) -> None:
        for _ in range(50):
            wire = await harness.connect("tcp", greet=False)
            wire.writer.transport.abort()
        assert await harness.listener.check() is False
        assert not harness.events.named("listener.rebuilt")

    with_listener(tmp_path, scenario)


def test_tokens_are_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return True

    monkeypatch.setattr(all_connections, "compare_digest", compare)

    async def scenario(harness: ListenerHarness) -> None:
        wire = await harness.connect("tcp", greet=False)
        wire.raw(hello(token="wrong"))
        assert "result" in await wire.hear()
        assert compared[-1] == (b"wrong", HELLO["token"].encode())
        await wire.close()

    with_listener(tmp_path, scenario)
