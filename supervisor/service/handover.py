"""Ending the daemon that runs while a service is installed or removed."""

import time

from ..client import discovery, endpoint
from ..client.autostart import ensure_daemon, rehearse
from ..client.client import Client
from ..client.endpoint import Endpoint
from ..errors import DaemonNotRunning
from ..native.facts import Folders
from .steps import Steps

SHUTDOWN_TIMEOUT_S = 60.0


def running_daemon(where: Folders) -> Endpoint | None:
    """Return the endpoint of the running daemon, or None if no daemon answers.

    Raises:
        ProtocolUnsupported: the daemon speaks another protocol.
    """
    try:
        found = discovery.find(where)
        Client.connect(found).close()
    except DaemonNotRunning:
        return None
    return found


def end_running(where: Folders, steps: Steps, *, unless: int | None, for_another: bool = True) -> None:
    """End the running daemon; do nothing if none runs, or if its pid is `unless`. Its servers keep running.

    `unless` is the pid of the service manager's own daemon, None if it has none. `for_another`: another daemon will
    take the place, so a start is rehearsed first.

    Raises:
        TimedOut: the daemon was asked to end, and has not ended yet.
        SupervisorError: no other daemon could start in its place. The running one goes on.
    """
    found = running_daemon(where)
    if found is not None and found.pid != unless:
        if for_another and not steps.dry_run:
            rehearse(where)
        what = f"the daemon of pid {found.pid}, so that the service can take over; its servers keep running"
        steps.act("stopped", what, lambda: _shut_down(where, found, servers=False))


def stop_servers(where: Folders, steps: Steps) -> None:
    """Stop every server, and the daemon. If no daemon runs, start one first, because only a daemon knows its servers.

    Raises:
        StopFailed: a server could not be stopped.
        TimedOut: the daemon was asked to end, and has not ended yet.
    """

    def end() -> None:
        ensure_daemon(where).close()
        _shut_down(where, discovery.find(where), servers=True)

    steps.act("stopped", "every server, and the daemon", end)


def _shut_down(where: Folders, found: Endpoint, *, servers: bool) -> None:
    with Client.connect(found) as client:
        client.call("daemon.shutdown", {"servers": servers}, timeout_s=SHUTDOWN_TIMEOUT_S)
    endpoint.wait_until_withdrawn(where.endpoint, found.instance_id, time.monotonic() + SHUTDOWN_TIMEOUT_S)
