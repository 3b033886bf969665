"""From one daemon to the next: what is followed goes on when the daemon is restarted beneath it."""

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

LOST = (DisconnectedBeforeAccept, DisconnectedAfterAccept)
"""What a connection ends with."""


def through_restarts(where: Folders, deadline: Deadline, follow: Callable[[Client], bool]) -> None:
    """Have each daemon followed, one after the other, until `follow` says that it is done."""
    client = remote.connect(where, deadline)
    while True:
        try:
            with client:
                if follow(client):
                    return
        except LOST:
            client = next_daemon(where, deadline)
        else:
            client = remote.connect(where, deadline)


def next_daemon(where: Folders, deadline: Deadline) -> Client:
    """A connection to a daemon as soon as there is one. Looks at the endpoint file, less and less often."""
    output.note("the daemon has gone; waiting for the next one")
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            time.sleep(min(pause_s, deadline.or_else(pause_s)))
            client = remote.connect(where, deadline)
        except DaemonNotRunning:
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        except ResponseTimeout as problem:
            raise ResponseTimeout("no daemon has come back in time", hint=START_HINT) from problem
        else:
            output.note(f"a daemon is there again, version {client.daemon['version']}")
            return client
