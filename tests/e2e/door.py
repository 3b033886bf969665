"""A daemon that is spoken to: connections that may say anything, and what must not have impressed it."""

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


class Caller:
    """A connection that may say anything."""

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
        """The next message; None: the connection has ended."""
        try:
            line = self._file.readline()
        except ConnectionError:
            return None
        return json.loads(line) if line else None

    def shutdown(self, how: int) -> None:
        """Close half of it."""
        self._socket.shutdown(how)

    def fileno(self) -> int:
        """For `select`."""
        return self._socket.fileno()

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class House(Home):
    """A home whose daemon is spoken to."""

    at_rest = 0
    """How many descriptors the daemon has open while nothing happens; noted by a test."""

    @property
    def published(self) -> Endpoint:
        found = endpoint.read(self.folders.endpoint)
        assert found is not None
        return found

    def caller(self, kind: str) -> Caller:
        return Caller(self.published, kind)

    def greeted(self, kind: str) -> Caller:
        caller = self.caller(kind)
        assert "result" in caller.ask("hello", self.hello())
        return caller

    def hello(self, token: str | None = None) -> dict[str, Any]:
        client = {"name": "test", "version": "0"}
        return {"protocol": 1, "token": token or self.published.token, "client": client}

    def is_unimpressed(self) -> None:
        """The same daemon answers at both doors, and its log has neither a traceback nor a secret."""
        for kind in ("unix", "tcp"):
            with self.greeted(kind) as caller:
                assert caller.ask("ping")["result"] == {}
        written = "".join(path.read_text() for path in self.folders.logs.glob("daemon.*"))
        assert "Traceback" not in written
        assert self.published.token not in written
        assert not [row for row in self.events() if "exception" in row or "exc_info" in row]

    def descriptors(self) -> int:
        """How many the daemon has open."""
        return len([*Path(f"/proc/{self.daemon_pid()}/fd").iterdir()])

    def has_let_go(self, descriptors: int) -> None:
        """As many are open again as there were."""
        eventually(lambda: self.descriptors() <= descriptors, f"no more than {descriptors} descriptors are open")

    def peak_kib(self) -> int:
        """The most memory that the daemon has ever had."""
        status = Path(f"/proc/{self.daemon_pid()}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def code(reply: Any) -> str:
    """The code of an answer that is an error."""
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
