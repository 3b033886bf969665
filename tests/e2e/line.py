"""A raw connection to the daemon: many requests and streams at once, and whatever else a client may do."""

import contextlib
import json
import socket
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, Self

from supervisor.client import endpoint
from tests import protocol
from tests.e2e.home import PATIENCE_S, Home

Message = dict[str, Any]

LONG = ("\N{PILE OF POO}" * 250, "\N{FACE WITH TEARS OF JOY}" * 250)
"""Two reasons for being busy that make events of kilobytes."""


class Line:
    """A connection on the unix socket. Frames are kept by the id that they belong to."""

    def __init__(self, home: Home, instance: str | None = None) -> None:
        """With an `instance`, it says hello as that client; without one it says nothing, as on this socket it may."""
        found = endpoint.read(home.folders.endpoint)
        assert found is not None, "no daemon has published itself"
        (path,) = [transport["path"] for transport in found.transports if transport["kind"] == "unix"]
        self.instance_id = found.instance_id
        self._socket = socket.socket(socket.AF_UNIX)
        # Without a limit: with one, a full backlog is an error at once.
        self._socket.connect(path)
        self._socket.settimeout(PATIENCE_S)
        self._buffer = b""
        self._count = 0
        self._kept: dict[Any, deque[Message]] = {}
        if instance is not None:
            client = {"name": "plugin", "version": "1", "instance": instance}
            self.ask("hello", {"protocol": found.protocol.max, "client": client})

    def send(self, method: str, params: Mapping[str, Any] | None = None) -> int:
        """Ask; the id of the request."""
        self._count += 1
        request = {"jsonrpc": "2.0", "id": self._count, "method": method, "params": params or {}}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        return self._count

    def ask(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """The result."""
        answer = self.answer(self.send(method, params))
        assert "result" in answer, answer
        protocol.check(method, answer["result"])
        return answer["result"]

    def refused(self, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """The error."""
        answer = self.answer(self.send(method, params))
        assert "error" in answer, answer
        protocol.check_frame(answer)
        return answer["error"]

    def answer(self, identifier: int) -> Message:
        """Return the answer to a request; notifications before it are passed over."""
        while True:
            message = self.next(identifier)
            assert message is not None, "the daemon closed the connection"
            if "method" not in message:
                return message

    def told(self, identifier: int | None, method: str) -> Any:
        """The params of the next message of a request, which has to be this notification."""
        message = self.next(identifier)
        assert message is not None, "the daemon closed the connection"
        assert message.get("method") == method, message
        return message["params"]

    def next(self, identifier: int | None) -> Message | None:
        """The next message of a request; None: the connection has ended. Without an id: of the connection itself."""
        kept = self._kept.setdefault(identifier, deque())
        end = time.monotonic() + PATIENCE_S
        while not kept:
            assert time.monotonic() < end, f"nothing came for request {identifier}"
            if not self._hear():
                return None
        return kept.popleft()

    def subscribe(self, **since: Any) -> "Feed":
        """`events.subscribe`."""
        return Feed(self, self.send("events.subscribe", {"since": since} if since else {}))

    def close(self) -> None:
        """The client vanishes."""
        self._socket.close()

    def _hear(self) -> bool:
        """Keep what comes; whether the connection is open."""
        data = b""
        with contextlib.suppress(ConnectionError):
            data = self._socket.recv(1 << 20)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            of = message["params"]["id"] if "method" in message else message["id"]
            self._kept.setdefault(of, deque()).append(message)
        return bool(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Feed:
    """A subscription to events. `answer` is what it began with."""

    def __init__(self, line: Line, identifier: int) -> None:
        self._line = line
        self.identifier = identifier
        self.answer = line.answer(identifier)["result"]
        self.seq: int = self.answer["seq"]

    def next(self) -> Message:
        """The next event. Its number is the one after that of the event before it."""
        told: Message = self._line.told(self.identifier, "event")
        assert told["seq"] == self.seq + 1, (self.seq, told)
        self.seq = told["seq"]
        return told

    def until(self, event: str, **details: Any) -> list[Message]:
        """The events up to this one, which has these details."""
        told = []
        while True:
            told.append(self.next())
            protocol.check_frame({"jsonrpc": "2.0", "method": "event", "params": told[-1]})
            seen = {**told[-1]["details"], "server": told[-1]["server"], "editor": told[-1]["editor"]}
            if told[-1]["event"] == event and all(seen.get(name) == value for name, value in details.items()):
                return told


class Busybody:
    """An editor that makes events: as many as are asked for."""

    def __init__(self, home: Home) -> None:
        self._line = Line(home)
        self._editor = self._line.ask("editor.attach", {"pid": home.owner().pid, "project": home.project()})["id"]
        self._count = 0

    def makes(self, events: int, reasons: tuple[str, str] = ("importing", "compiling")) -> None:
        asked = []
        for _ in range(events):
            self._count += 1
            state = {"editor": self._editor, "state": "busy", "reason": reasons[self._count % 2]}
            asked.append(self._line.send("editor.state", state))
            if len(asked) > 50:
                self._line.answer(asked.pop(0))
        for request in asked:
            self._line.answer(request)

    def close(self) -> None:
        self._line.ask("editor.detach", {"editor": self._editor, "stop": True})
        self._line.close()
