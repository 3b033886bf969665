import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from supervisor.kinds.catalog import Catalog
from supervisor.kinds.kind import IdentifyRule, Kind, ReadyRule
from supervisor.kinds.queries.identify import Identification, ask_ready, identify
from supervisor.kinds.queries.loopback import speaks_tls

KIND = Catalog.build(
    {
        "mine": {
            "command": ["x"],
            "ports": {"http": 8100},
            "secrets": {"TOKEN": {"format": "token"}},
            "identify": {
                "http": "/status",
                "match": {"name": "mine"},
                "version": "version",
                "leases": "leases",
                "bearer": "TOKEN",
            },
        }
    }
).get("mine")
SECRET = "very-secret"
ANSWER = {"name": "mine", "version": "1.2", "leases": 3}

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode() + body


def ask(handler: Handler, *, kind: Kind = KIND, timeout_s: float = 20.0) -> Identification | None:
    """Ask a server with this handler, and check that no connection stays open."""

    async def main() -> Identification | None:
        ended = asyncio.Event()

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await handler(reader, writer)
                await reader.read()
            except OSError:
                pass
            finally:
                writer.transport.abort()
                ended.set()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        said = await identify(kind, {"http": port}, {"TOKEN": SECRET}, timeout_s)
        await asyncio.wait_for(ended.wait(), 20)
        server.close()
        return said

    return asyncio.run(main())


def answering(data: bytes) -> Handler:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await writer.drain()

    return handler


def test_a_server_that_says_the_right_name_matches() -> None:
    said = ask(answering(http(json.dumps(ANSWER).encode())))
    assert said is not None
    assert (said.matches, said.version, said.leases) == (True, "1.2", 3)


def test_the_request_names_the_port_and_carries_the_bearer() -> None:
    requests: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(http(b"{}"))

    ask(handler)
    lines = requests[0].decode().lower().split("\r\n")
    assert lines[0] == "get /status http/1.1"
    assert any(line.startswith("host: 127.0.0.1:") for line in lines)
    authorized = f"authorization: bearer {SECRET}" in lines
    assert authorized


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (http(b'{"name": "other"}'), "name is not 'mine'"),
        (http(b"{}"), "name is not 'mine'"),
        (http(b"[]"), "not a JSON object"),
        (http(b"hello"), "not JSON"),
        (http(b"\xff\xfe"), "not JSON"),
        (http(b"[" * 60_000), "not JSON"),
        (http(b"", "401 Unauthorized"), "GET /status answers 401: it wants a bearer"),
        (
            http(b"", "302 Found", "Location: http://127.0.0.1:1/\r\n"),
            "answers 302 to http://127.0.0.1:1/; redirects are not followed",
        ),
        (http(json.dumps(ANSWER).encode(), "500 Oops"), "GET /status answers 500"),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "not HTTP"),
        (http(b"x" * 100_000), "longer than"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "longer than"),
    ],
)
def test_any_other_answer_does_not_match_and_gives_the_reason(data: bytes, reason: str) -> None:
    said = ask(answering(data))
    assert said is not None
    assert not said.matches
    assert reason in said.detail
    secret_told = SECRET in repr(said)
    assert not secret_told


ANY = Catalog.build({"any": {"command": ["x"], "ports": {"http": 8100}, "identify": {"http": "/health"}}}).get("any")


@pytest.mark.parametrize(
    "data",
    [
        http(b"ok"),
        http(b"[1, 2]"),
        http(b""),
        http(b"{}", "201 Created"),
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nfine",
        b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x",
        http(b"x" * 100_000),
    ],
)
def test_any_success_matches_a_kind_without_expected_values(data: bytes) -> None:
    said = ask(answering(data), kind=ANY)
    assert said is not None
    assert said.matches


NESTED = replace(
    ANY,
    identify=IdentifyRule(
        "/health", "http", {"info.name": "x", "info.ok": True, "protocol": 2}, "info.version", null=("e",)
    ),
)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "it says who it is"),
        ({"protocol": 3}, "protocol is not 2: it is 3"),
        ({"protocol": True}, "protocol is not 2: it is true"),
        ({"e": 1}, "e is not null: it is 1"),
        ({"info": {"name": "x"}}, "info.ok is not true: the answer has no such key"),
        ({"info": []}, "info.name is not 'x': the answer has no such key"),
    ],
)
def test_nested_values_of_every_type_are_matched(changes: dict[str, object], reason: str) -> None:
    answer = {"info": {"name": "x", "ok": True, "version": "1.2"}, "protocol": 2, "e": None, **changes}
    said = ask(answering(http(json.dumps(answer).encode())), kind=NESTED)
    assert said is not None
    assert (said.matches, said.detail) == (not changes, reason)
    if not changes:
        assert said.version == "1.2"


@pytest.mark.parametrize(
    ("status", "more", "reason"),
    [
        ("307 Temporary Redirect", "Location: /health/?token=x\r\n", "answers 307 to /health/; redirects are not"),
        ("401 Unauthorized", "WWW-Authenticate: Basic realm=x\r\n", "a user name and a password (Basic)"),
        ("426 Upgrade Required", "Upgrade: websocket\r\n", "answers 426: a WebSocket port"),
        ("405 Method Not Allowed", "", "it does not allow GET"),
        ("503 Service Unavailable", "", "it says that it is not ready"),
    ],
)
def test_refusal_says_what_the_status_means(status: str, more: str, reason: str) -> None:
    said = ask(answering(http(b"", status, more)))
    assert said is not None
    assert reason in said.detail


def test_answer_in_tls_is_named() -> None:
    said = ask(answering(b"\x15\x03\x01\x00\x02\x02\x46"))
    assert said is not None
    assert said.detail == "the answer is not HTTP: it speaks TLS"


def asked(how: ReadyRule, data: bytes) -> Identification | None:
    async def main() -> Identification | None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await answering(data)(reader, writer)
            writer.close()

        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            return await ask_ready(how, {"http": server.sockets[0].getsockname()[1]})

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("statuses", "status", "matches"),
    [
        ((), "204 No Content", True),
        ((), "401 Nope", False),
        ((200, 401), "401 Nope", True),
        ((200,), "201 Made", False),
    ],
)
def test_ready_route_takes_the_statuses_that_its_kind_names(
    statuses: tuple[int, ...],
    status: str,
    matches: bool,  # noqa: FBT001
) -> None:
    said = asked(ReadyRule(("http",), "/live", "http", statuses), f"HTTP/1.1 {status}\r\n\r\n".encode())
    assert said is not None
    assert said.matches is matches


def test_server_that_wants_localhost_for_a_name_is_asked_by_it() -> None:
    hosts: list[str] = []

    async def main() -> Identification | None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            hosts.append(request.partition("host: ")[2].partition(":")[0])
            writer.write(http(b"{}", "200 OK" if hosts[-1] == "localhost" else "403 Forbidden"))
            writer.close()

        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            return await identify(ANY, {"http": server.sockets[0].getsockname()[1]}, {}, 20)

    said = asyncio.run(main())
    assert said is not None
    assert said.matches
    assert hosts == ["127.0.0.1", "localhost"]


@pytest.mark.parametrize(("first", "speaks"), [(b"\x16\x03\x03\x00", True), (b"HTTP/1.1 400 Bad", False), (b"", False)])
def test_a_handshake_shows_whether_a_server_speaks_tls(first: bytes, speaks: bool) -> None:  # noqa: FBT001
    async def main() -> bool:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readexactly(5)
            writer.write(first)
            writer.close()

        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            return await speaks_tls(server.sockets[0].getsockname()[1], 20)

    assert asyncio.run(main()) is speaks


@pytest.mark.parametrize("answer", [{"version": 4, "leases": "3"}, {"leases": True}, {"leases": -1}, {}])
def test_a_version_or_count_of_the_wrong_type_is_unknown(answer: dict[str, object]) -> None:
    said = ask(answering(http(json.dumps({"name": "mine", **answer}).encode())))
    assert said is not None
    assert (said.matches, said.version, said.leases) == (True, None, None)


def test_an_interim_answer_is_not_the_answer() -> None:
    said = ask(answering(b"HTTP/1.1 100 Continue\r\n\r\n" + http(json.dumps(ANSWER).encode())))
    assert said is not None
    assert said.matches


def test_a_chunked_answer_is_put_together() -> None:
    body = json.dumps(ANSWER).encode()
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:]))
    said = ask(answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"))
    assert said is not None
    assert said.matches


def test_silence_is_no_answer() -> None:
    assert ask(answering(b""), timeout_s=0.2) is None


def test_a_server_that_sends_slowly_cannot_hold_the_daemon() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for byte in http(json.dumps({**ANSWER, "more": "x" * 2000}).encode()):
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    begin = time.monotonic()
    assert ask(handler, timeout_s=0.4) is None
    assert time.monotonic() - begin < 10


def test_a_connection_closed_without_data_is_no_answer() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    assert ask(handler) is None


def test_an_answer_that_breaks_off_does_not_match() -> None:
    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(b"x" * 50)[:-20])
        writer.close()

    said = ask(handler)
    assert said is not None
    assert not said.matches


def test_a_closed_port_is_no_answer() -> None:
    async def main() -> Identification | None:
        server = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return await identify(KIND, {"http": port}, {}, 20)

    assert asyncio.run(main()) is None


def test_asking_a_kind_without_a_route_is_an_error() -> None:
    with pytest.raises(ValueError, match="no identify"):
        asyncio.run(identify(Kind("x", ("x",)), {}, {}, 1))


@pytest.mark.parametrize(
    ("answer", "leases"),
    [
        ({"version": "1.9"}, 0),
        ({"version": "1.9", "leases": 2}, 2),
        ({"version": "1.9", "leases": "two"}, None),
        ({"version": "2.0"}, None),
        ({}, None),
        ({"version": "mine"}, None),
    ],
)
def test_missing_leases_count_as_0_if_the_version_grants_none(answer: dict[str, object], leases: int | None) -> None:
    assert KIND.identify is not None
    kind = replace(KIND, identify=replace(KIND.identify, leases_versions=">=2"))
    said = ask(answering(http(json.dumps({"name": "mine", **answer}).encode())), kind=kind)
    assert said is not None
    assert said.leases == leases
