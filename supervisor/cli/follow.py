"""Keeps following events, a log or a state when the daemon is restarted."""

import time
from collections.abc import Callable

from ..client.client import Client
from ..client.endpoint import START_HINT
from ..errors import DaemonNotRunning, DisconnectedAfterAccept, DisconnectedBeforeAccept, ResponseTimeout
from ..native.facts import Folders
from . import output, remote
from .deadline import Deadline

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0

CONNECTION_LOST = (DisconnectedBeforeAccept, DisconnectedAfterAccept)
"""The errors of a connection that has ended."""


def through_restarts(where: Folders, deadline: Deadline, follow: Callable[[Client], None]) -> None:
    """Call `follow` with a connection to the daemon. If that connection ends, do so again with the next daemon."""
    client = remote.connect(where, deadline)
    while True:
        try:
            with client:
                return follow(client)
        except CONNECTION_LOST:
            client = connect_to_next_daemon(where, deadline)


def connect_to_next_daemon(where: Folders, deadline: Deadline) -> Client:
    """Wait for a daemon, and connect to it. The endpoint file is checked less and less often.

    Raises:
        ResponseTimeout: no daemon was started before the deadline.
    """
    output.note("the daemon has ended; waiting for the next one")
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            time.sleep(min(pause_s, deadline.left_or(pause_s)))
            client = remote.connect(where, deadline)
        except DaemonNotRunning:
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        except ResponseTimeout as problem:
            raise ResponseTimeout("no daemon was started in time", hint=START_HINT) from problem
        else:
            output.note(f"connected to a new daemon, version {client.daemon['version']}")
            return client
