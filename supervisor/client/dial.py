"""A socket to the daemon: by the first of its doors that opens. Cheap to import: queries pay for it."""

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
    """A connected socket. `deadline` is monotonic.

    Raises:
        DaemonNotRunning: nobody answers there, or somebody else.
    """
    problems = []
    for transport in endpoint.transports:
        if transport["kind"] == "unix" and not hasattr(socket, "AF_UNIX"):
            continue
        try:
            return _connected(transport, max(0.001, deadline - time.monotonic()))
        except OSError as problem:
            problems.append(f"{transport['kind']}: {problem.strerror or problem}")
    raise DaemonNotRunning(
        "nobody answers at the endpoint", hint=START_HINT, data={"pid": endpoint.pid, "problems": problems}
    )


def _connected(transport: Mapping[str, Any], timeout_s: float) -> socket.socket:
    unix = transport["kind"] == "unix"
    connection = socket.socket(socket.AddressFamily["AF_UNIX" if unix else "AF_INET"], socket.SOCK_STREAM)
    try:
        if unix:
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
    """Connect to a process of this user, or not at all.

    Its place may be a folder of everybody's, tidied up since, and the token is about to be sent.

    Raises:
        OSError: nobody listens there, or somebody else.
    """
    # Python's own timeouts make it fail at once where the queue is full; this way the kernel has it wait in line.
    whole, rest = divmod(timeout_s, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", int(whole), int(rest * 1e6)))
    connection.connect(path)
    if not trust.same_user(connection):
        raise PermissionError(errno.EACCES, "a process of another user listens there")
