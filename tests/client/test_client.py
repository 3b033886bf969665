import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from supervisor.client import timeouts
from supervisor.client.client import Client, RemoteError
from supervisor.client.endpoint import Endpoint, ProtocolRange
from supervisor.engine.operations.requester import Requester
from supervisor.errors import (
    AcceptTimeout,
    Busy,
    DaemonNotRunning,
    DisconnectedAfterAccept,
    DisconnectedBeforeAccept,
    InvalidParams,
    ProtocolUnsupported,
    ResponseTimeout,
    SupervisorError,
)
from tests.control.harness import KINDS, TEN, TOKEN, ListenerHarness, Work, accept, busy, open_listener
from tests.systems import POSIX_ONLY

ENSURE = {"kind": "godot-ai"}
GREETING = {"result": {"protocol": 1, "instance_id": "i-1", "version": "0.1.0", "capabilities": []}}
ACCEPTED = {"method": "accepted", "params": {"id": 2, "request": "r-1", "joined": False, "deadline_s": 60}}


def with_listener(folder: Path, act: Callable[[ListenerHarness], object], work: Work | None = None) -> None:
    """Run the blocking client in a thread, and the daemon on an event loop."""

    async def scenario() -> None:
        async with open_listener(folder, work=work) as harness:
            await asyncio.to_thread(act, harness)

    asyncio.run(scenario())


def only(harness: ListenerHarness, kind: str) -> Endpoint:
    endpoint = harness.endpoint
    return endpoint._replace(transports=tuple(each for each in endpoint.transports if each["kind"] == kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_read_over_each_transport(tmp_path: Path, kind: str) -> None:
    def act(harness: ListenerHarness) -> None:
        with Client.connect(only(harness, kind)) as client:
            assert client.daemon["version"] == "0.1.0"
            assert client.call("ping") == {}
            assert len(client.call("server.list")["servers"]) == len(TEN)

    with_listener(tmp_path, act)


@POSIX_ONLY
def test_tcp_is_tried_when_the_unix_socket_is_gone(tmp_path: Path) -> None:
    def act(harness: ListenerHarness) -> None:
        Path(harness.listener.transports[0]["path"]).unlink()
        with Client.connect(harness.endpoint) as client:
            assert client.call("ping") == {}

    with_listener(tmp_path, act)


def test_a_mutation_reports_its_two_phases(tmp_path: Path) -> None:
    reported: list[Mapping[str, Any]] = []

    def steps(requester: Requester) -> None:
        accept(requester)
        requester.progress("starting", "godot-ai 4.3.1")

    def act(harness: ListenerHarness) -> None:
        with Client.connect(harness.endpoint) as client:
            answer = client.call("server.ensure", ENSURE, on_accepted=reported.append, on_progress=reported.append)
            assert answer["id"] == TEN[0].id

    with_listener(tmp_path, act, Work(steps))
    assert [each.get("stage", "accepted") for each in reported] == ["accepted", "starting"]
    assert reported[0]["deadline_s"] == 60


def test_a_remote_error_keeps_every_field_of_the_daemon(tmp_path: Path) -> None:
    def act(harness: ListenerHarness) -> None:
        with Client.connect(harness.endpoint) as client:
            with pytest.raises(RemoteError, match="another operation is running") as caught:
                client.call("server.ensure", ENSURE)
            assert (caught.value.code, caught.value.retryable, caught.value.safe_to_retry) == ("BUSY", True, True)
            assert caught.value.to_wire() == Busy("another operation is running").to_wire()
            with pytest.raises(RemoteError) as caught:
                client.call("server.ensure", {})
            assert (caught.value.code, caught.value.data) == ("INVALID_PARAMS", {"field": "kind"})
            assert client.call("ping") == {}

    with_listener(tmp_path, act, Work(outcome=busy))


def test_remote_errors_do_not_share_their_codes() -> None:
    first, second = (RemoteError({"message": "x", "data": {"code": code}}) for code in ("BUSY", "NOT_FOUND"))
    assert (first.code, second.code, RemoteError.code, SupervisorError.code) == (
        "BUSY",
        "NOT_FOUND",
        "INTERNAL",
        "INTERNAL",
    )


@pytest.mark.parametrize(
    "error",
    [{}, {"data": None}, {"message": 5, "code": "x", "data": {"code": 5, "fault": [], "retryable": "yes", "hint": 1}}],
)
def test_a_malformed_error_gets_default_fields(error: dict[str, Any]) -> None:
    problem = RemoteError(error)
    assert (problem.code, problem.retryable, problem.hint) == ("INTERNAL", False, None)


def test_another_instance_at_the_endpoint_is_a_stale_endpoint(tmp_path: Path) -> None:
    def act(harness: ListenerHarness) -> None:
        for stale in (harness.endpoint._replace(instance_id="i-0"), only(harness, "tcp")._replace(token="old")):
            with pytest.raises(DaemonNotRunning, match="stale") as caught:
                Client.connect(stale)
            assert TOKEN not in str(caught.value.to_wire())

    with_listener(tmp_path, act)


def test_a_daemon_of_another_protocol_is_refused() -> None:
    with pytest.raises(ProtocolUnsupported):
        Client.connect(Endpoint(1, 1, "x", "i-1", "9.0", ProtocolRange(2, 3), "t", ()))


def test_a_dead_endpoint_is_daemon_not_running(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = endpoint_at(taken.getsockname()[1])._replace(
            transports=(
                {"kind": "unix", "path": str(tmp_path / "none")},
                {"kind": "tcp", "host": "127.0.0.1", "port": taken.getsockname()[1]},
            )
        )
        with pytest.raises(DaemonNotRunning) as caught:
            Client.connect(nowhere)
    assert caught.value.hint == "godot-supervisor start"
    assert [problem.split(":")[0] for problem in caught.value.data["problems"]] == [*KINDS]


def test_params_too_long_for_a_frame_are_refused(tmp_path: Path) -> None:
    def act(harness: ListenerHarness) -> None:
        with Client.connect(harness.endpoint) as client:
            with pytest.raises(InvalidParams, match="too long for a frame"):
                client.call("server.get", {"server": "x" * 2**20})
            assert client.call("ping") == {}

    with_listener(tmp_path, act)


def endpoint_at(port: int) -> Endpoint:
    tcp = {"kind": "tcp", "host": "127.0.0.1", "port": port}
    return Endpoint(1, 1, "x", "i-1", "0.1.0", ProtocolRange(1, 1), TOKEN, (tcp,))


def frame(message: object) -> bytes:
    return json.dumps(message).encode() + b"\n"


@contextlib.contextmanager
def daemon_that(says: Callable[[int], bytes | None]) -> Iterator[Endpoint]:
    """Serve one connection: answer each request with these bytes, and close at None."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("rb") as requests:
                for number, _ in enumerate(requests, start=1):
                    answer = says(number)
                    if answer is None:
                        return
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield endpoint_at(listener.getsockname()[1])
        finally:
            thread.join(10)
            assert not thread.is_alive()


def greeting() -> bytes:
    return frame({"jsonrpc": "2.0", "id": 1, **GREETING})


def after_hello(answer: bytes | None) -> Callable[[int], bytes | None]:
    return lambda number: greeting() if number == 1 else answer


NOTICE = frame({"jsonrpc": "2.0", **ACCEPTED})


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (None, DisconnectedBeforeAccept),
        (b"garbage\n", DisconnectedBeforeAccept),
        (b"x" * 2**20 + b"x\n", DisconnectedBeforeAccept),
        (NOTICE + b"garbage\n", DisconnectedAfterAccept),
        (NOTICE + b"[]\n", DisconnectedAfterAccept),
        (b"", AcceptTimeout),
        (frame({"jsonrpc": "2.0", "id": 99, "result": "of another request"}), AcceptTimeout),
        (NOTICE.replace(b'"id": 2', b'"id": 3'), AcceptTimeout),
        (frame({"jsonrpc": "2.0", "method": "event", "params": {"id": 2}}), AcceptTimeout),
    ],
)
def test_a_missing_answer_names_the_phase(answer: bytes | None, error: type[SupervisorError]) -> None:
    with daemon_that(after_hello(answer)) as where, Client.connect(where) as client, pytest.raises(error):
        client.call("server.ensure", ENSURE, accept_timeout_s=0.2)


def test_silence_after_accepted_is_a_response_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts, "SILENCE_S", 0.2)
    with (
        daemon_that(after_hello(NOTICE)) as where,
        Client.connect(where) as client,
        pytest.raises(ResponseTimeout, match="silent"),
    ):
        client.call("server.ensure", ENSURE)


def test_the_callers_limit_holds_after_accepted() -> None:
    with daemon_that(after_hello(NOTICE)) as where, Client.connect(where) as client, pytest.raises(ResponseTimeout):
        client.call("server.ensure", ENSURE, timeout_s=0.2)


def test_a_late_answer_does_not_answer_the_next_call() -> None:
    late = frame({"jsonrpc": "2.0", "id": 2, "result": "late"})
    answers = {1: greeting(), 2: b"", 3: late + frame({"jsonrpc": "2.0", "id": 3, "result": "right"})}
    with daemon_that(answers.get) as where, Client.connect(where) as client:
        with pytest.raises(AcceptTimeout):
            client.call("server.get", accept_timeout_s=0.1)
        assert client.call("server.get") == "right"


def test_an_error_without_an_id_answers_the_call() -> None:
    refusal = frame({"jsonrpc": "2.0", "id": None, "error": Busy("the harness is full").to_wire()})
    with daemon_that(lambda _number: refusal) as where, pytest.raises(RemoteError, match="the harness is full"):
        Client.connect(where)


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 400 Bad Request\r\n\r\n", frame([]), b""])
def test_a_foreign_program_at_the_port_is_daemon_not_running(answer: bytes | None) -> None:
    with daemon_that(lambda _number: answer) as where, pytest.raises(DaemonNotRunning):
        Client.connect(where, timeout_s=0.3)


def test_an_error_in_a_callback_reaches_the_caller(tmp_path: Path) -> None:
    def closed_pipe(_accepted: Mapping[str, Any]) -> None:
        raise BrokenPipeError("stdout")

    def act(harness: ListenerHarness) -> None:
        with Client.connect(harness.endpoint) as client, pytest.raises(BrokenPipeError, match="stdout"):
            client.call("server.ensure", ENSURE, on_accepted=closed_pipe)

    with_listener(tmp_path, act, Work(accept))
