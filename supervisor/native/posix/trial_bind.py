"""The trial bind that tells on POSIX systems whether a port is free."""

import errno
import os
import socket
import sys

from ...core.model import Bind
from ..facts import LOOPBACK

assert sys.platform != "win32"  # noqa: S101 (tells type checkers where this runs)


def try_bind(port: int) -> tuple[Bind, str | None]:
    """Return whether 127.0.0.1 can be bound, and the system's reason if it cannot.

    SO_REUSEADDR is set, as servers do, so TIME_WAIT does not count. The trial does not listen: listening would find
    nothing more, and would accept the connection of a client that waits for the real server.

    FREE does not exclude a listener on macOS: with that option 127.0.0.1 can be bound beside a wildcard listener.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((LOOPBACK, port))
    except OSError as error:
        verdict = {errno.EADDRINUSE: Bind.TAKEN, errno.EACCES: Bind.EXCLUDED}.get(error.errno or 0, Bind.FAILED)
        return verdict, os.strerror(error.errno) if error.errno else str(error)
    return Bind.FREE, None
