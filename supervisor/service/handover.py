"""The daemon that runs while a service is installed or removed. Its servers go on, unless the user says otherwise."""

import time

from ..client import discovery, endpoint
from ..client.autostart import ensure_daemon, rehearse
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
        found = discovery.find(where)
        Client.connect(found).close()
    except DaemonNotRunning:
        return None
    return found


def make_way(where: Folders, steps: Steps, *, unless: int | None, for_another: bool = True) -> None:
    """End the daemon that runs, unless it is the one that the service manager started (its pid). Servers go on.

    `for_another`: a daemon shall run in its place, so that one is seen to be able to first.

    Raises:
        TimedOut: it was asked, and is still at it.
        SupervisorError: no other could start in its place; it goes on.
    """
    found = running(where)
    if found is not None and found.pid != unless:
        if for_another and not steps.dry_run:
            rehearse(where)
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
        _shut_down(where, discovery.find(where), servers=True)

    steps.act("stopped", "every server, and the daemon", end)


def _shut_down(where: Folders, found: Endpoint, *, servers: bool) -> None:
    with Client.connect(found) as client:
        client.call("daemon.shutdown", {"servers": servers}, timeout_s=PATIENCE_S)
    endpoint.wait_until_withdrawn(where.endpoint, found.instance_id, time.monotonic() + PATIENCE_S)
