"""Counting the sessions that a server reports."""

import asyncio
import json

import pytest

from supervisor.kinds.kind import SessionRoute
from supervisor.kinds.queries.loopback import UnusableAnswerError
from supervisor.kinds.queries.sessions import count_sessions

ROUTE = SessionRoute("/api/instances", "http", "instances")


def told(answer: bytes, timeout_s: float = 20.0) -> tuple[int | None, bytes]:
    """Return the count from an answer, and the first line of the request."""
    asked: list[bytes] = []

    async def main() -> int | None:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append((await reader.readuntil(b"\r\n\r\n")).splitlines()[0])
            writer.write(answer)
            await writer.drain()
            await reader.read()
            writer.transport.abort()

        async with await asyncio.start_server(handle, "127.0.0.1", 0) as server:
            return await count_sessions(ROUTE, {"http": server.sockets[0].getsockname()[1]}, timeout_s)

    return asyncio.run(main()), asked[0]


def http(value: object, status: str = "200 OK") -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.parametrize(("value", "count"), [([], 0), ([{"hash": "a"}, {"hash": "b"}], 2), (0, 0), (3, 3)])
def test_a_list_is_counted_and_a_number_taken(value: object, count: int) -> None:
    assert told(http({"success": True, "instances": value})) == (count, b"GET /api/instances HTTP/1.1")


@pytest.mark.parametrize(
    "answer",
    [
        http({"instances": True}),
        http({"instances": -1}),
        http({"instances": "2"}),
        http({"others": []}),
        http([]),
        http(b"<html>"),
        http({"instances": []}, "500 Internal Server Error"),
        http({"instances": []}, "404 Not Found"),
        b"no HTTP at all\r\n\r\n",
        http(b" " * 100_000),
    ],
)
def test_any_other_answer_does_not_report_the_sessions(answer: bytes) -> None:
    with pytest.raises(UnusableAnswerError):
        told(answer)


def test_a_silent_server_has_no_session_count() -> None:
    assert told(b"", timeout_s=0.2)[0] is None


def test_a_closed_port_has_no_session_count() -> None:
    async def main() -> int | None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return await count_sessions(ROUTE, {"http": port}, 20)

    assert asyncio.run(main()) is None
