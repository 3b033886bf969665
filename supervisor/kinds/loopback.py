"""One HTTP request to a server on the loopback, bounded in time and size."""

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ..frozen import frozen
from ..native.facts import LOOPBACK

if TYPE_CHECKING:
    import h11

ANSWER_LIMIT = 64 * 1024
"""Bytes, headers included. Nothing that is asked of a server needs more."""

QUOTED = 100
"""Characters of it, at most, that are shown to people."""


@frozen
class Answer:
    """A complete answer, whatever it says."""

    status: int
    body: bytes


class UnusableAnswerError(Exception):
    """Somebody answers, but not with HTTP, or with too much. The text is for people."""


class _TooMuchError(Exception):
    """The answer is longer than `ANSWER_LIMIT`."""


async def get(port: int, path: str, bearer: str | None, timeout_s: float) -> Answer | None:
    """Ask once; redirects are not followed. None: no complete answer within `timeout_s`, or nobody listens.

    Raises:
        UnusableAnswerError: what came cannot be used.
    """
    # Loaded when the first server is asked: a daemon whose kinds cannot be asked does without its 300 KiB.
    import h11

    headers = [("Host", f"{LOOPBACK}:{port}"), ("Accept", "application/json"), ("Connection", "close")]
    if bearer:
        headers.append(("Authorization", f"Bearer {bearer}"))
    try:
        async with asyncio.timeout(timeout_s):
            return await _exchange(port, h11.Request(method="GET", target=path, headers=headers))
    except (TimeoutError, OSError):
        return None
    except _TooMuchError:
        raise UnusableAnswerError(f"the answer is longer than {ANSWER_LIMIT} bytes") from None
    except h11.RemoteProtocolError as error:
        # The text quotes what came.
        raise UnusableAnswerError(f"the answer is not HTTP: {str(error)[:QUOTED]}") from error


async def _exchange(port: int, request: "h11.Request") -> Answer:
    """Ask and listen.

    Raises:
        OSError: the connection was refused, or ended before anything was answered.
        h11.RemoteProtocolError: what came is not HTTP, or broke off.
        _TooMuchError: the answer does not fit.
    """
    import h11

    reader, writer = await asyncio.open_connection(LOOPBACK, port)
    try:
        connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=ANSWER_LIMIT)
        writer.write(connection.send(request) + connection.send(h11.EndOfMessage()))
        return await _answer(reader, connection)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader, connection: "h11.Connection") -> Answer:
    import h11

    status, body, received = 0, bytearray(), 0
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            data = await reader.read(ANSWER_LIMIT)
            received += len(data)
            if received > ANSWER_LIMIT:
                raise _TooMuchError
            if not received:
                raise ConnectionResetError("closed without an answer")
            connection.receive_data(data)
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return Answer(status, bytes(body))
        elif not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("it wants to speak something else")
