"""The daemon that runs while a service is installed or removed. Its servers go on, unless the user says otherwise."""

import time

from ..client import endpoint
from ..client.autostart import ensure_daemon
from ..client.client import Client
from ..client.endpoint import Endpoint
from ..errors import DaemonNotRunning
from ..native.facts import Folders
from .steps import Steps

PATIENCE_S = 60.0


def running(where: Folders) -> Endpoint | None:
    """What the daemon that answers says of itself; None: none does.

    Raises:
        ProtocolUnsupported: it speaks another protocol.
    """
    try:
        found = endpoint.read(where.endpoint)
        if found is None:
            return None
        Client.connect(found).close()
    except DaemonNotRunning:
        return None
    return found


def make_way(where: Folders, steps: Steps, *, unless: int | None) -> None:
    """End the daemon that runs, unless it is the one that the service manager started (its pid). Servers go on.

    Raises:
        TimedOut: it was asked, and is still at it.
    """
    found = running(where)
    if found is not None and found.pid != unless:
        what = f"the daemon of pid {found.pid}, so that the service can take over; its servers go on"
        steps.act("stopped", what, lambda: _shut_down(where, found, servers=False))


def stop_servers(where: Folders, steps: Steps) -> None:
    """Stop every server, and the daemon. Where none runs, one is started: only a daemon knows which are ours.

    Raises:
        StopFailed: one could not be stopped.
        TimedOut: the daemon was asked, and is still at it.
    """

    def end() -> None:
        ensure_daemon(where).close()
        found = endpoint.read(where.endpoint)
        if found is not None:
            _shut_down(where, found, servers=True)

    steps.act("stopped", "every server, and the daemon", end)


def _shut_down(where: Folders, found: Endpoint, *, servers: bool) -> None:
    with Client.connect(found) as client:
        client.call("daemon.shutdown", {"servers": servers}, timeout_s=PATIENCE_S)
    endpoint.wait_until_withdrawn(where.endpoint, found.instance_id, time.monotonic() + PATIENCE_S)
