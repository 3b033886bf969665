"""One HTTP request to a server on the loopback, bounded in time and size."""

import asyncio
import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

from ...native.facts import LOOPBACK
from ...values import frozen
from ..answer_values import MISSING

if TYPE_CHECKING:
    import h11

ANSWER_LIMIT = 64 * 1024
"""Bytes of an answer, headers included. No answer that the daemon asks for needs more."""

QUOTED = 100
"""Characters of an answer that are shown to people, at most."""

LOCALHOST = "localhost"

SUCCESS = range(200, 300)

TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
"""The first bytes of a TLS record: an alert, a handshake."""

CLIENT_HELLO = bytes.fromhex(
    "16030100350100003103034d8f1c0b6a2e4f3e9d5b7c8a1f2e3d4c5b6a798807162534435261708f9eadbc00000a"
    "c02bc02fc030009c002f0100"
)
"""The smallest ClientHello of TLS 1.2. A server that speaks TLS answers it with a record of its own."""


@frozen
class HttpAnswer:
    """A complete answer with any status.

    `location` and `challenge` are its headers Location and WWW-Authenticate, as far as they can be shown.
    """

    status: int
    body: bytes
    location: str = ""
    challenge: str = ""

    def json(self) -> object:
        """Return the value of the body, or `MISSING` if the body is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return MISSING


class UnusableAnswerError(Exception):
    """A server answers, but not with HTTP, or with too many bytes. The text is for people."""


class _TooMuchError(Exception):
    """The answer is longer than `ANSWER_LIMIT`."""


async def http_get(
    port: int, path: str, bearer: str | None, timeout_s: float, *, host: str = LOOPBACK, needs_body: bool = True
) -> HttpAnswer | None:
    """Send one GET request. Redirects are not followed.

    `host` is the host name in the request; the connection goes to 127.0.0.1 in any case. If `needs_body` is False, the
    status of a success is enough, so the body may be long or never end.

    Returns:
        None if no complete answer came within `timeout_s`, or no process listens.

    Raises:
        UnusableAnswerError: the answer cannot be used.
    """
    # Imported when the first server is asked, because a daemon whose kinds are never asked saves 300 KiB.
    import h11

    headers = [("Host", f"{host}:{port}"), ("Accept", "application/json"), ("Connection", "close")]
    if bearer:
        headers.append(("Authorization", f"Bearer {bearer}"))
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(port, h11.Request(method="GET", target=path, headers=headers), needs_body=needs_body)
    except (TimeoutError, OSError):
        return None
    except _TooMuchError:
        raise UnusableAnswerError(f"the answer is longer than {ANSWER_LIMIT} bytes") from None
    except h11.RemoteProtocolError as error:
        # The text quotes the answer.
        raise UnusableAnswerError(f"the answer is not HTTP: {str(error)[:QUOTED]}") from error


async def speaks_tls(port: int, timeout_s: float) -> bool:
    """Return whether a server that does not answer HTTP answers a TLS handshake."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(LOOPBACK, port)
            try:
                writer.write(CLIENT_HELLO)
                return (await reader.readexactly(2)) in TLS_RECORDS
            finally:
                writer.transport.abort()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        return False


async def _exchange(port: int, request: "h11.Request", *, needs_body: bool) -> HttpAnswer:
    """Send a request and return the answer.

    Raises:
        OSError: the connection was refused, or ended before the first byte of an answer.
        h11.RemoteProtocolError: the answer is not HTTP, or broke off.
        _TooMuchError: the answer is too long.
    """
    import h11

    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=ANSWER_LIMIT)
        writer.write(connection.send(request) + connection.send(h11.EndOfMessage()))
        return await _answer(reader, connection, needs_body=needs_body)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader, connection: "h11.Connection", *, needs_body: bool) -> HttpAnswer:
    import h11

    answer, body, received = HttpAnswer(0, b""), bytearray(), 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(ANSWER_LIMIT)
            if not received:
                _check_first(data)
            received += len(data)
            if received > ANSWER_LIMIT:
                raise _TooMuchError
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            answer = _without_body(event)
            if not needs_body and answer.status in SUCCESS:
                return answer
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return replace(answer, body=bytes(body))
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("the server wants another protocol")


def _check_first(data: bytes) -> None:
    """Check the first bytes of an answer.

    Raises:
        ConnectionResetError: there is no answer.
        UnusableAnswerError: the server speaks TLS.
    """
    if not data:
        raise ConnectionResetError("closed without an answer")
    if data[:2] in TLS_RECORDS:
        raise UnusableAnswerError("the answer is not HTTP: it speaks TLS")


def _without_body(response: "h11.Response") -> HttpAnswer:
    headers = {bytes(name): bytes(value).decode("latin-1") for name, value in response.headers}
    # The query of a URL may contain secrets.
    location = headers.get(b"location", "").partition("?")[0]
    return HttpAnswer(response.status_code, b"", _shown(location), _shown(headers.get(b"www-authenticate", "")))


def _shown(text: str) -> str:
    """Return the beginning of a header for people; empty if it contains control characters."""
    return text[:QUOTED] if text.isprintable() else ""
