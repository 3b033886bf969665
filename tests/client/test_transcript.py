"""tests/data/transcript.jsonl against the client library, which has to send the same and return the same."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import pytest

from supervisor.client.client import Client, RemoteError
from supervisor.client.stream import Stream
from supervisor.errors import DisconnectedAfterAccept
from tests.transcript import lines
from tests.transcript.recorded_daemon import (
    INSTEAD_OF_NONSENSE,
    LIMIT_S,
    RecordedDaemon,
    answer_to,
    exchanges,
    known,
    notices,
    unaltered,
)
from tests.transcript.stage import Line

RECORDED = lines.read()
CONNECTIONS = list(dict.fromkeys(line["connection"] for line in RECORDED if "connection" in line))


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


def outcome_of(request: Line, answers: list[Line]) -> Line:
    return answer_to(answers) or {"lost": True, "safe_to_retry": "request" in request["frame"]["params"]}


@pytest.mark.parametrize("altered", [unaltered, lines.from_later])
@pytest.mark.parametrize("connection", CONNECTIONS)
def test_the_library_sends_and_returns_what_was_recorded(connection: str, altered: Callable[[Line], Line]) -> None:
    """With `from_later`, the daemon is of a later release than the client."""
    script = lines.of(connection, RECORDED)
    (greeting, welcome), *asked = exchanges(script)
    with RecordedDaemon(script, altered) as daemon, Client.connect(daemon.endpoint) as client:
        assert {"result": known(client.daemon)} == outcome_of(greeting, welcome)
        caller = Caller(client)
        for number, (request, answers) in enumerate(asked, start=1):
            outcome, reported = caller.ask(request.get("frame", INSTEAD_OF_NONSENSE))
            assert outcome == outcome_of(request, answers)
            assert reported == [each["params"] for each in notices(answers, "accepted", "progress")]
            if "frame" in request:
                assert daemon.received[number] == request["frame"]
        for identifier, stream in caller.streams.items():
            streamed = notices(script, "event", "calls", "log", "resync")
            expected = [
                (each["method"], each["params"]) for each in streamed if each["params"]["id"] in (identifier, None)
            ]
            listening = stream.listen(LIMIT_S)
            assert [(name, known(params)) for name, params in islice(listening, len(expected))] == expected
            with pytest.raises(DisconnectedAfterAccept):
                next(listening)
    assert daemon.received[0] == greeting["frame"]
    assert len(daemon.received) == 1 + len(asked)
