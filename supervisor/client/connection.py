"""Messages over one connected socket, each wait with a limit. Cheap to import: each command-line query pays for it."""

import socket
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidParams, InvalidRequest, ParseError
from ..native.facts import LONGEST_BLOCKING_WAIT_S
from ..wire import framing, jsonrpc
from .timeouts import FOREVER, CallTimeout, Timeout

BYTES_AT_ONCE = 65536
"""How much one read of the socket may return."""

Message = jsonrpc.Success | jsonrpc.Failure | jsonrpc.Notification


class DaemonConnection:
    """A socket that carries requests to the daemon and its messages back. Not for several threads."""

    def __init__(self, connected: socket.socket) -> None:
        """Use a connected socket, which belongs to this object from now on."""
        self._socket = connected
        self._decoder = framing.LineDecoder()
        self._lines: deque[bytes] = deque()

    def send(self, identifier: int, method: str, params: Mapping[str, Any], timeout: CallTimeout) -> None:
        """Send a request.

        Raises:
            InvalidParams: the params are too long for a frame.
            AcceptTimeout, ResponseTimeout: the daemon did not read the request in time.
        """
        try:
            frame = framing.frame_message(jsonrpc.request_envelope(identifier, method, dict(params)))
        except ValueError as problem:
            raise InvalidParams("params", str(problem)) from problem
        try:
            self._socket.settimeout(_seconds_left(timeout))
            self._socket.sendall(frame)
        except TimeoutError:
            # Half a frame may have been sent, so nothing can follow it.
            self.close()
            raise timeout.timeout_error(method) from None
        except OSError:
            # The daemon has closed the connection. Its reason may still be readable; otherwise the next read fails.
            return

    def receive(self, method: str, timeout: Timeout) -> Message:
        """Wait for the next message, whichever request it belongs to. `method` names the call in errors.

        Raises:
            AcceptTimeout, ResponseTimeout: no message came in time.
            DisconnectedBeforeAccept, DisconnectedAfterAccept: the connection has ended, or carried no valid message.
        """
        try:
            while not self._lines:
                data = self._read(timeout)
                if not data:
                    raise ConnectionResetError
                self._lines.extend(self._decoder.feed(data))
            return jsonrpc.parse_from_daemon(self._lines.popleft())
        except TimeoutError:
            raise timeout.timeout_error(method) from None
        except (OSError, ParseError, InvalidRequest) as problem:
            self.close()
            raise timeout.disconnection_error(method) from problem

    def has_ended(self) -> bool:
        """Return whether the daemon has closed the connection. Data that is still unread is discarded."""
        try:
            self._socket.settimeout(0)
            return not self._socket.recv(BYTES_AT_ONCE)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def detach(self) -> socket.socket:
        """Return the socket, which no longer belongs to this object. Messages that were received are dropped."""
        return self._socket

    def close(self) -> None:
        """Close the socket. Harmless when repeated."""
        self._socket.close()

    def _read(self, timeout: Timeout) -> bytes:
        """Return the bytes that came; empty if the connection has ended. Raises TimeoutError at the deadline."""
        while True:
            pause = min(_seconds_left(timeout), _longest_wait())
            self._socket.settimeout(pause if pause < FOREVER else None)
            try:
                return self._socket.recv(BYTES_AT_ONCE)
            except TimeoutError:
                # Only this pause has ended. `_seconds_left` raises once the whole wait has.
                continue


def _longest_wait() -> float:
    """Return how long this thread may wait. Only the main thread handles Ctrl-C, so no other one has to wake up."""
    if LONGEST_BLOCKING_WAIT_S == FOREVER:
        return FOREVER
    from threading import current_thread, main_thread

    return LONGEST_BLOCKING_WAIT_S if current_thread() is main_thread() else FOREVER


def _seconds_left(timeout: Timeout) -> float:
    left = timeout.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
