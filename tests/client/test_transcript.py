"""tests/data/transcript.jsonl against the client library, which has to send the same and return the same."""

import json
import socket
import threading
from collections.abc import Callable
from itertools import islice, takewhile
from typing import Any, Self

import pytest

from supervisor.client.client import Client, RemoteError
from supervisor.client.endpoint import Endpoint
from supervisor.client.stream import Stream
from supervisor.errors import DisconnectedAfterAccept
from tests.transcript import lines
from tests.transcript.stage import ENDPOINT, Line

RECORDED = lines.read()
CONNECTIONS = list(dict.fromkeys(line["connection"] for line in RECORDED if "connection" in line))
LIMIT_S = 10.0
"""The longest wait in this module; the usual ones are far shorter."""

INSTEAD_OF_NONSENSE = {"method": "ping", "params": {}}
"""Sent in place of recorded frames that are not JSON, which the library cannot send."""


class Daemon:
    """The daemon's side of one recorded connection: records each request, and answers as recorded."""

    def __init__(self, script: list[Line], altered: Callable[[Line], Line]) -> None:
        self.received: list[Line] = []
        self._script = script
        self._altered = altered
        self._listener = socket.create_server(("127.0.0.1", 0))
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


class Caller:
    """Makes the recorded calls through the library, and notes the answers in the form of the transcript."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.streams: dict[int, Stream] = {}

    def ask(self, frame: Line) -> tuple[Line, list[Line]]:
        """Return the outcome, and the notifications that came before it."""
        reported: list[Line] = []
        try:
            return {"result": self._result(frame, lambda params: reported.append(known(params)))}, reported
        except RemoteError as problem:
            return {"error": known(problem.to_wire())}, reported
        except DisconnectedAfterAccept as problem:
            return {"lost": True, "safe_to_retry": problem.safe_to_retry}, reported

    def _result(self, frame: Line, report: Callable[[Any], None]) -> Any:
        method, params = frame["method"], frame["params"]
        if method == "events.subscribe" or params.get("follow"):
            stream = self.streams[frame["id"]] = self._client.stream(method, params, accept_timeout_s=LIMIT_S)
            return known(stream.answer)
        return known(
            self._client.call(method, params, on_accepted=report, on_progress=report, accept_timeout_s=LIMIT_S)
        )


def known(value: Any) -> Any:
    """Return the value without the fields that this release does not know."""
    if isinstance(value, list):
        return [known(each) for each in value]
    if isinstance(value, dict):
        return {name: known(each) for name, each in value.items() if name != lines.LATER}
    return value


def unaltered(frame: Line) -> Line:
    return frame


def exchanges(script: list[Line]) -> list[tuple[Line, list[Line]]]:
    """Return each request with the daemon's lines up to the next request."""
    begins = [index for index, line in enumerate(script) if line["from"] == "client" and not line.get("leaves")]
    return [
        (script[index], list(takewhile(lambda line: line["from"] == "daemon", script[index + 1 :]))) for index in begins
    ]


def outcome_of(request: Line, answers: list[Line]) -> Line:
    results = [line["frame"] for line in answers if "frame" in line and "method" not in line["frame"]]
    if not results:
        return {"lost": True, "safe_to_retry": "request" in request["frame"]["params"]}
    return {key: results[0][key] for key in ("result", "error") if key in results[0]}


def notices(answers: list[Line], *methods: str) -> list[Line]:
    return [line["frame"] for line in answers if line.get("frame", {}).get("method") in methods]


@pytest.mark.parametrize("altered", [unaltered, lines.from_later])
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_the_library_sends_and_returns_what_was_recorded(connection: str, altered: Callable[[Line], Line]) -> None:
    """With `from_later`, the daemon is of a later release than the client."""
    script = lines.of(connection, RECORDED)
    (greeting, welcome), *asked = exchanges(script)
    with Daemon(script, altered) as daemon, Client.connect(daemon.endpoint) as client:
        assert {"result": known(client.daemon)} == outcome_of(greeting, welcome)
        caller = Caller(client)
        for number, (request, answers) in enumerate(asked, start=1):
            outcome, reported = caller.ask(request.get("frame", INSTEAD_OF_NONSENSE))
            assert outcome == outcome_of(request, answers)
            assert reported == [each["params"] for each in notices(answers, "accepted", "progress")]
            if "frame" in request:
                assert daemon.received[number] == request["frame"]
        for identifier, stream in caller.streams.items():
            streamed = notices(script, "event", "log", "resync")
            expected = [
                (each["method"], each["params"]) for each in streamed if each["params"]["id"] in (identifier, None)
            ]
            listening = stream.listen(LIMIT_S)
            assert [(name, known(params)) for name, params in islice(listening, len(expected))] == expected
            with pytest.raises(DisconnectedAfterAccept):
                next(listening)
    assert daemon.received[0] == greeting["frame"]
    assert len(daemon.received) == 1 + len(asked)
