"""Streams of notifications, from a daemon that sends the bytes that the test chooses."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from supervisor.client import connection
from supervisor.client.client import Client
from supervisor.errors import (
    AcceptTimeout,
    DisconnectedAfterAccept,
    DisconnectedBeforeAccept,
    NotFound,
    ResponseTimeout,
    SupervisorError,
)
from tests.client.test_client import daemon_that, frame, greeting

OPEN = {"jsonrpc": "2.0", "id": 2, "result": {"seq": 0}}


def notice(method: str, **params: Any) -> bytes:
    return frame({"jsonrpc": "2.0", "method": method, "params": params})


def pong(number: int) -> bytes:
    return frame({"jsonrpc": "2.0", "id": number, "result": {}})


def says(*answers: bytes | None) -> Callable[[int], bytes | None]:
    """Return the answers to the requests after `hello`; later requests get none, and the connection stays open."""
    script = dict(enumerate((greeting(), *answers), start=1))
    return lambda number: script.get(number, b"")


def test_notifications_come_in_order_after_the_answer() -> None:
    script = says(frame(OPEN) + notice("event", id=2, seq=1) + notice("event", id=2, seq=2))
    with daemon_that(script) as where, Client.connect(where) as client:
        stream = client.stream("events.subscribe")
        assert stream.answer == {"seq": 0}
        listened = stream.listen(30)
        assert [next(listened) for _ in range(2)] == [("event", {"id": 2, "seq": 1}), ("event", {"id": 2, "seq": 2})]


def test_a_stream_gets_its_own_notifications_and_each_resync() -> None:
    second = frame({"jsonrpc": "2.0", "id": 3, "result": "lines"})
    mixed = notice("log", id=3, lines=["a"]) + notice("event", id=2, seq=1) + notice("resync", reason="too slow")
    strange = notice("event", id=99) + notice("accepted", id=98, request="r-1") + notice("news")
    with (
        daemon_that(says(frame(OPEN), second + mixed + strange, pong(4), pong(5))) as where,
        Client.connect(where) as client,
    ):
        events, logs = client.stream("events.subscribe"), client.stream("logs.read")
        assert [method for method, _ in events.until_now()] == ["event", "resync", "news"]
        assert [method for method, _ in logs.until_now()] == ["log", "resync", "news"]


def test_a_call_beside_a_stream_loses_no_notification() -> None:
    answer = notice("event", id=2, seq=1) + frame({"jsonrpc": "2.0", "id": 3, "result": "right"})
    with (
        daemon_that(says(frame(OPEN), answer + notice("event", id=2, seq=2))) as where,
        Client.connect(where) as client,
    ):
        stream = client.stream("events.subscribe")
        assert client.call("server.get") == "right"
        listened = stream.listen(30)
        assert [next(listened)[1]["seq"] for _ in range(2)] == [1, 2]


def test_until_now_ends_at_what_the_daemon_has_sent() -> None:
    script = says(
        frame(OPEN) + notice("event", id=2, seq=1),
        notice("event", id=2, seq=2) + pong(3) + notice("event", id=2, seq=3),
        pong(4),
    )
    with daemon_that(script) as where, Client.connect(where) as client:
        stream = client.stream("events.subscribe")
        assert [params["seq"] for _, params in stream.until_now()] == [1, 2]
        assert [params["seq"] for _, params in stream.until_now()] == [3]


def test_the_end_of_the_connection_comes_last() -> None:
    script = says(frame(OPEN) + notice("event", id=2, seq=1) + notice("resync", reason="too slow"), None)
    with daemon_that(script) as where, Client.connect(where) as client:
        stream = client.stream("events.subscribe")
        listened = stream.listen()
        assert [next(listened)[0] for _ in range(2)] == ["event", "resync"]
        with pytest.raises(DisconnectedBeforeAccept):
            stream.until_now()
        with pytest.raises(DisconnectedAfterAccept, match=r"events\.subscribe") as caught:
            next(stream.listen())
        assert (caught.value.retryable, caught.value.safe_to_retry) == (True, False)


def test_a_silent_stream_ends_at_the_readers_limit() -> None:
    with daemon_that(says(frame(OPEN))) as where, Client.connect(where) as client:
        began = time.monotonic()
        with pytest.raises(ResponseTimeout, match="stopped listening"):
            next(client.stream("events.subscribe", accept_timeout_s=30).listen(0.2))
        assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", AcceptTimeout),
        (None, DisconnectedBeforeAccept),
        (frame({"jsonrpc": "2.0", "id": 2, "error": NotFound("no server x").to_wire()}), SupervisorError),
    ],
)
def test_without_an_answer_there_is_no_stream(answer: bytes | None, error: type[SupervisorError]) -> None:
    with daemon_that(says(answer)) as where, Client.connect(where) as client, pytest.raises(error):
        client.stream("logs.read", {"server": "x"}, accept_timeout_s=0.2)


def test_waits_are_split_where_ctrl_c_does_not_end_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LONGEST_BLOCKING_WAIT_S", 0.05)
    with daemon_that(says(frame(OPEN))) as where, Client.connect(where) as client:
        began = time.monotonic()
        with pytest.raises(ResponseTimeout):
            next(client.stream("events.subscribe", accept_timeout_s=30).listen(0.2))
        assert time.monotonic() - began >= 0.2


def test_waits_are_not_split_outside_the_main_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[Any] = []
    with daemon_that(says(frame(OPEN))) as where, Client.connect(where) as client:
        # A wait of no length is none: the socket would not block.
        monkeypatch.setattr(connection, "LONGEST_BLOCKING_WAIT_S", 0.0)

        def listen() -> None:
            with pytest.raises(ResponseTimeout):
                next(client.stream("events.subscribe", accept_timeout_s=30).listen(0.2))
            received.append(client)

        listener = threading.Thread(target=listen)
        listener.start()
        listener.join(30)
    assert received == [client]


def test_a_request_with_a_clients_id_is_safe_to_retry() -> None:
    for params, safe in (({"server": "x", "request": "mine"}, True), ({"server": "x"}, False)):
        with daemon_that(says(None)) as where, Client.connect(where) as client:
            with pytest.raises(DisconnectedBeforeAccept) as caught:
                client.call("server.restart", params)
            assert (caught.value.retryable, caught.value.safe_to_retry) == (True, safe)
            assert caught.value.to_wire()["data"]["safe_to_retry"] is safe
