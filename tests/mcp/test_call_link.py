"""The connection on which the bridge tells the daemon of calls."""

import socket
import threading
import time

from supervisor.mcp.bridge.call_link import RECONNECT_PAUSE_S, CallLink
from supervisor.mcp.bridge.loop import Loop
from supervisor.mcp.core.events_and_actions import BeginCall
from tests.mcp.test_loop import close_bell


class ClosedClient:
    """A client of a daemon that ends each connection at once."""

    def __init__(self) -> None:
        self.ours, theirs = socket.socketpair()
        theirs.close()

    def detach(self) -> socket.socket:
        return self.ours


def test_a_daemon_that_ends_each_connection_is_not_asked_all_the_time() -> None:
    before = set(threading.enumerate())
    loop = Loop()
    asked: list[ClosedClient] = []

    def connect(_starting: bool) -> ClosedClient:  # noqa: FBT001 (as `CallLink` calls it)
        asked.append(ClosedClient())
        return asked[-1]

    link = CallLink(loop, connect, lambda _: None, lambda: None)  # type: ignore[arg-type]
    link.perform(BeginCall(1, 1, "write", needs_admission=True))
    end = time.monotonic() + 5.5 * RECONNECT_PAUSE_S
    loop.run(lambda: end, loop.end)
    for thread in set(threading.enumerate()) - before:
        thread.join(30)
    for client in asked:
        client.ours.close()
    close_bell(loop._bell)
    assert 2 <= len(asked) <= 7
