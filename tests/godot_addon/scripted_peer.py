"""A peer that a client of the daemon connects to, whose every connection follows a script."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from supervisor.client import endpoint
from tests.transcript.stage import ENDPOINT

LIMIT_S = 120.0
"""An editor on a busy machine takes as long to start."""
CAPABILITIES = ["hello", "ping"]


class PeerConnection:
    """A connection, with the frames that the client has sent, and frames to the client."""

    def __init__(self, peer: "ScriptedPeer", connected: socket.socket) -> None:
        self.peer = peer
        self.socket = connected
        self._lines = connected.makefile("rb")

    def receive(self) -> Any:
        """Return the next frame of the client. It is also kept in `ScriptedPeer.received`."""
        line = self._lines.readline()
        if not line:
            raise ConnectionResetError
        frame = json.loads(line)
        self.peer.received.append(frame)
        return frame

    def send(self, *frames: Any) -> None:
        """Send frames, all at once."""
        self.socket.sendall(b"".join(json.dumps({"jsonrpc": "2.0", **frame}).encode() + b"\n" for frame in frames))

    def welcome(self, instance: str = ENDPOINT.instance_id) -> None:
        """Take the `hello` of the client."""
        hello = self.receive()
        answer = {"protocol": 1, "instance_id": instance, "version": "0.1.0", "capabilities": CAPABILITIES}
        self.send({"id": hello["id"], "result": answer})

    def wait_for_end(self) -> None:
        """Wait until the client closes the connection."""
        with contextlib.suppress(OSError):
            while self._lines.readline():
                pass

    def close(self) -> None:
        self._lines.close()
        self.socket.close()


Script = Callable[[PeerConnection], None]


class ScriptedPeer:
    """Listens in the place of a daemon. `scripts`: one for each connection, in their order; more are refused."""

    def __init__(self, home: Path, *scripts: Script) -> None:
        self.home = home
        self.received: list[Any] = []
        self.problems: list[BaseException] = []
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(LIMIT_S)
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self.home.mkdir(mode=0o700, exist_ok=True)
        self.publish(ENDPOINT.instance_id)
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        assert self.problems == []

    def publish(self, instance: str) -> None:
        """Publish this peer as the daemon with this instance id."""
        port = self._listener.getsockname()[1]
        transports = ({"kind": "tcp", "host": "127.0.0.1", "port": port},)
        endpoint.publish(self.home / "endpoint.json", ENDPOINT._replace(transports=transports, instance_id=instance))

    def _serve(self) -> None:
        try:
            for script in self._scripts:
                connected, _ = self._listener.accept()
                connected.settimeout(LIMIT_S)
                connection = PeerConnection(self, connected)
                with contextlib.closing(connection), contextlib.suppress(ConnectionResetError, BrokenPipeError):
                    script(connection)
        except BaseException as problem:  # noqa: BLE001 (shown by the test, which waits in another thread)
            self.problems.append(problem)
        finally:
            self._listener.close()
