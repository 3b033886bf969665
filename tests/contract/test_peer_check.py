"""The contract of peer checks."""

import contextlib
import socket
import tempfile
from pathlib import Path

import pytest

from supervisor.native.platforms import open_platform
from tests.contract.platforms import PATIENCE_S, PlatformHarness, unix_connection
from tests.privilege import NEEDS_ROOT, as_nobody


def test_a_peer_of_the_same_user_is_known(harness: PlatformHarness) -> None:
    with unix_connection() as (ours, theirs):
        assert harness.platform.peers.same_user(ours)
        assert harness.platform.peers.same_user(theirs)


def test_socket_without_peer_credentials_is_refused() -> None:
    peers = open_platform().peers
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    ours.close()
    theirs.close()
    assert not peers.same_user(theirs)
    with socket.socket(socket.AF_INET) as network:
        assert not peers.same_user(network)


@pytest.mark.needs_root
@NEEDS_ROOT[1]
def test_a_peer_of_another_user_is_refused() -> None:
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        path = folder / "socket"
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.settimeout(PATIENCE_S)
        listener.bind(str(path))
        path.chmod(0o777)
        listener.listen()

        def connect() -> str:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                return "connected"

        assert as_nobody(connect) == "connected"
        connection, _ = listener.accept()
        stack.enter_context(connection)
        assert not open_platform().peers.same_user(connection)
