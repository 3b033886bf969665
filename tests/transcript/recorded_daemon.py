"""Plays the daemon's side of recorded connections, for implementations of the client's side."""

import json
import socket
import threading
from collections.abc import Callable
from itertools import takewhile
from typing import Any, Self

from supervisor.client.endpoint import Endpoint
from tests.transcript import lines
from tests.transcript.stage import ENDPOINT, Line

LIMIT_S = 10.0
"""The longest wait for one message; the usual ones are far shorter."""
ACCEPT_LIMIT_S = 60.0
"""How long the client under test may take to connect."""

INSTEAD_OF_NONSENSE: Line = {"method": "ping", "params": {}}
"""Sent in place of recorded frames that are not JSON, which no client can send."""


class RecordedDaemon:
    """The daemon's side of one recorded connection: records each request, and answers as recorded."""

    def __init__(self, script: list[Line], altered: Callable[[Line], Line]) -> None:
        self.received: list[Line] = []
        self._script = script
        self._altered = altered
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(ACCEPT_LIMIT_S)
        self._thread = threading.Thread(target=self._serve)

    @property
    def endpoint(self) -> Endpoint:
        host, port = self._listener.getsockname()
        return ENDPOINT._replace(transports=({"kind": "tcp", "host": host, "port": port},))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        connection.settimeout(LIMIT_S)
        with connection, connection.makefile("rb") as requests:
            for line in self._script:
                if line["from"] == "client" and not line.get("leaves"):
                    self.received.append(json.loads(requests.readline()))
                elif "frame" in line:
                    connection.sendall(json.dumps(self._altered(line["frame"])).encode() + b"\n")


def unaltered(frame: Line) -> Line:
    """Return the frame of a daemon of this release."""
    return frame


def known(value: Any) -> Any:
    """Return the value without the fields that this release does not know."""
    if isinstance(value, list):
        return [known(each) for each in value]
    if isinstance(value, dict):
        return {name: known(each) for name, each in value.items() if name != lines.LATER}
    return value


def exchanges(script: list[Line]) -> list[tuple[Line, list[Line]]]:
    """Return each request with the daemon's lines up to the next request."""
    begins = [index for index, line in enumerate(script) if line["from"] == "client" and not line.get("leaves")]
    return [
        (script[index], list(takewhile(lambda line: line["from"] == "daemon", script[index + 1 :]))) for index in begins
    ]


def answer_to(answers: list[Line]) -> Line | None:
    """Return the result or the error among the daemon's lines; None if the request was never answered."""
    results = [line["frame"] for line in answers if "frame" in line and "method" not in line["frame"]]
    return {key: results[0][key] for key in ("result", "error") if key in results[0]} if results else None


def notices(answers: list[Line], *methods: str) -> list[Line]:
    """Return the notifications of these methods."""
    return [line["frame"] for line in answers if line.get("frame", {}).get("method") in methods]
