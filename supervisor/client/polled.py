"""A connection to the daemon that never waits, for a program with a loop of its own."""

import socket
from collections import deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import ParseError, SupervisorError
from ..wire import framing, jsonrpc
from .client import RemoteError

BYTES_AT_ONCE = 65536
"""How much one read of the socket may return."""


class DaemonReply(NamedTuple):
    """An answer of the daemon. `id` is that of the request, None if it is unknown. `problem` is None for a success."""

    id: object
    problem: RemoteError | None = None


class PolledConnection:
    """A socket on which the daemon was greeted. Many requests may be in flight.

    The owner calls `flush` when the socket is ready for writing, and `receive` when it is ready for reading. Every
    method but `close` raises ConnectionError if the connection has ended.
    """

    def __init__(self, connected: socket.socket) -> None:
        """Use a connected socket, which belongs to this object from now on."""
        connected.setblocking(False)
        self.socket = connected
        self._decoder = framing.LineDecoder()
        self._unsent: deque[bytes] = deque()
        self._last_id = 0

    @property
    def has_unsent(self) -> bool:
        """Return whether something waits until the socket is ready for writing."""
        return bool(self._unsent)

    def ask(self, method: str, params: Mapping[str, Any]) -> int:
        """Send a request, as far as that is possible now, and return its id."""
        self._last_id += 1
        self._unsent.append(framing.frame_message(jsonrpc.request_envelope(self._last_id, method, dict(params))))
        self.flush()
        return self._last_id

    def flush(self) -> None:
        """Send what was left, as far as that is possible now."""
        while self._unsent:
            try:
                sent = self.socket.send(self._unsent[0])
            except BlockingIOError:
                return
            except OSError as problem:
                raise ConnectionError(str(problem)) from problem
            if sent < len(self._unsent[0]):
                self._unsent[0] = self._unsent[0][sent:]
            else:
                self._unsent.popleft()

    def receive(self) -> list[DaemonReply]:
        """Return the answers that have come."""
        try:
            data = self.socket.recv(BYTES_AT_ONCE)
            if not data:
                raise ConnectionResetError("the daemon has closed the connection")
            messages = [jsonrpc.parse_from_daemon(line) for line in self._decoder.feed(data)]
        except BlockingIOError:
            return []
        except (OSError, ParseError, SupervisorError) as problem:
            raise ConnectionError(str(problem)) from problem
        found = []
        for message in messages:
            if isinstance(message, jsonrpc.Failure):
                found.append(DaemonReply(message.id, RemoteError(message.error)))
            elif isinstance(message, jsonrpc.Success):
                found.append(DaemonReply(message.id))
        return found

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()
