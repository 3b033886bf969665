"""Connections to a real daemon that can send any bytes, and the checks that the daemon is undisturbed afterwards."""

import contextlib
import json
import socket
import time
from pathlib import Path
from typing import Any, Self

from supervisor.client import endpoint
from supervisor.client.endpoint import Endpoint
from tests.e2e.home import Home, eventually
from tests.protocol import CheckedClient

PATIENCE_S = 20.0


class RawConnection:
    """A connection that can send any bytes. `kind`: unix or tcp."""

    def __init__(self, found: Endpoint, kind: str) -> None:
        (self._where,) = [transport for transport in found.transports if transport["kind"] == kind]
        if kind == "unix":
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(self._where["path"])
        else:
            self._socket = socket.create_connection((self._where["host"], self._where["port"]))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(PATIENCE_S)
        self._file = self._socket.makefile("rb")

    def say(self, data: bytes) -> None:
        """Send bytes, also to a daemon that closes the connection early."""
        with contextlib.suppress(ConnectionError):
            self._socket.sendall(data)

    def ask(self, method: str, params: object = None) -> Any:
        """Return the answer; notifications before it are passed over."""
        self.say(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}).encode() + b"\n")
        while (message := self.hear()) is not None and "id" not in message:
            pass
        return message

    def hear(self) -> Any:
        """Return the next message; None if the connection has ended."""
        try:
            line = self._file.readline()
        except ConnectionError:
            return None
        return json.loads(line) if line else None

    def shutdown(self, how: int) -> None:
        """Close one direction of the connection, or both."""
        self._socket.shutdown(how)

    def fileno(self) -> int:
        """Return the descriptor, for `select`."""
        return self._socket.fileno()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AttackedHome(Home):
    """A home whose daemon gets messages from raw connections."""

    at_rest = 0
    """The number of descriptors that the daemon has open before an attack; set by a test."""

    @property
    def published(self) -> Endpoint:
        found = endpoint.read(self.folders.endpoint)
        assert found is not None
        return found

    def caller(self, kind: str) -> RawConnection:
        return RawConnection(self.published, kind)

    def greeted(self, kind: str) -> RawConnection:
        caller = self.caller(kind)
        assert "result" in caller.ask("hello", self.hello())
        return caller

    def hello(self, token: str | None = None) -> dict[str, Any]:
        client = {"name": "test", "version": "0"}
        return {"protocol": 1, "token": token or self.published.token, "client": client}

    def check_undisturbed(self) -> None:
        """Check that the same daemon answers on both transports, and has logged neither a traceback nor its token."""
        for kind in ("unix", "tcp"):
            with self.greeted(kind) as caller:
                assert caller.ask("ping")["result"] == {}
        written = "".join(path.read_text() for path in self.folders.logs.glob("daemon.*"))
        assert "Traceback" not in written
        assert self.published.token not in written
        assert not [row for row in self.events() if "exception" in row or "exc_info" in row]

    def descriptors(self) -> int:
        """Return the number of descriptors that the daemon has open."""
        return len([*Path(f"/proc/{self.daemon_pid()}/fd").iterdir()])

    def wait_for_descriptors(self, descriptors: int) -> None:
        """Wait until the daemon has at most this number of descriptors open."""
        eventually(lambda: self.descriptors() <= descriptors, f"no more than {descriptors} descriptors are open")

    def peak_kib(self) -> int:
        """Return the most memory that the daemon has ever had, in KiB."""
        status = Path(f"/proc/{self.daemon_pid()}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def code(reply: Any) -> str:
    """Return the code of an answer that is an error."""
    found: str = reply["error"]["data"]["code"]
    return found


def answer_time(home: Home) -> float:
    """Return how long a new client waits for `status`, in seconds."""
    found = endpoint.read(home.folders.endpoint)
    assert found is not None
    began = time.monotonic()
    with CheckedClient.connect(found, timeout_s=PATIENCE_S) as client:
        client.call("status", accept_timeout_s=PATIENCE_S)
    return time.monotonic() - began
