"""Connects a socket to the daemon, by the first transport that works. Cheap to import: queries pay for it."""

import errno
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

from ..errors import DaemonNotRunning
from ..native import trust
from .endpoint import START_HINT, Endpoint


def dial(endpoint: Endpoint, deadline: float) -> socket.socket:
    """Return a connected socket. `deadline` is monotonic, seconds.

    Raises:
        DaemonNotRunning: no program listens at the endpoint, or a program of another user.
    """
    problems = []
    for transport in endpoint.transports:
        if transport["kind"] == "unix" and not hasattr(socket, "AF_UNIX"):
            continue
        try:
            return _connect(transport, max(0.001, deadline - time.monotonic()))
        except OSError as problem:
            problems.append(f"{transport['kind']}: {problem.strerror or problem}")
    raise DaemonNotRunning(
        "no daemon answers at the published endpoint", hint=START_HINT, data={"pid": endpoint.pid, "problems": problems}
    )


def _connect(transport: Mapping[str, Any], timeout_s: float) -> socket.socket:
    is_unix = transport["kind"] == "unix"
    connection = socket.socket(socket.AddressFamily["AF_UNIX" if is_unix else "AF_INET"], socket.SOCK_STREAM)
    try:
        if is_unix:
            _connect_unix(connection, transport["path"], timeout_s)
        else:
            connection.settimeout(timeout_s)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect((transport["host"], transport["port"]))
    except BaseException:
        connection.close()
        raise
    return connection


def _connect_unix(connection: socket.socket, path: str, timeout_s: float) -> None:
    """Connect, and refuse a process of another user.

    The socket may lie in a folder that all users can write. If a cleaner removed the socket, another user may have put
    one in its place, and that process would receive the token.

    Raises:
        OSError: no process listens there, or one of another user.
    """
    # With a timeout of Python's the socket is non-blocking, and connecting fails at once while the listener's queue
    # is full. With SO_SNDTIMEO the kernel waits for a place in the queue.
    whole, rest = divmod(timeout_s, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(whole), int(rest * 1e6)))
    connection.connect(path)
    if not trust.same_user(connection):
        raise PermissionError(errno.EACCES, "a process of another user listens there")
