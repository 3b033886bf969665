"""The GDScript client with daemons that end, are replaced, are silent, or are none."""

import contextlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from supervisor.client import endpoint
from tests.godot_addon import addon_projects
from tests.godot_addon.scripted_peer import PeerConnection, ScriptedPeer
from tests.transcript.stage import ENDPOINT

pytestmark = [
    pytest.mark.needs_godot,
    pytest.mark.linux_only,
    pytest.mark.timeout(180),
]

Log = list[Any]
SECOND = "instance-2"
CONTROL_CHARACTERS = "a\x01b\x1bc\t\u2028\U0001f600"
OPEN, CLOSE, ANSWER = ["open"], ["close"], ["answer"]
CONNECTED, DISCONNECTED = ["wait", "connected", 1], ["wait", "disconnected", 1]
PING = ["send", "ping", {}]
ENSURE = ["send", "server.ensure", {"kind": "toy"}]


def status_of(size: int) -> dict[str, Any]:
    rows = [{"id": f"server-{number}", "notes": ["x" * 100], "ports": {"http": number}} for number in range(size)]
    return {"daemon": {}, "editors": [], "servers": rows, "orphans": [], "left_out": 0}


def event(subscription: int, number: int) -> dict[str, Any]:
    details = {"id": subscription, "seq": number, "event": "server.state", "level": "info", "details": {"a": "b" * 100}}
    return {"method": "event", "params": details}


# --- what the daemon of each case does ---


def answers_ping(connection: PeerConnection) -> None:
    connection.welcome()
    connection.send({"id": connection.receive()["id"], "result": {}})
    connection.wait_for_end()


def ends_after_accepting(connection: PeerConnection) -> None:
    connection.welcome()
    request = connection.receive()
    accepted = {"id": request["id"], "request": request["params"]["request"], "joined": False, "deadline_s": 60}
    connection.send({"method": "accepted", "params": accepted})
    connection.peer.publish(SECOND)


def answers_as_the_next_daemon(connection: PeerConnection) -> None:
    connection.welcome(SECOND)
    connection.send({"id": connection.receive()["id"], "result": {"state": "ready"}})
    connection.wait_for_end()


def welcomes_as_the_next_daemon(connection: PeerConnection) -> None:
    connection.welcome(SECOND)
    connection.wait_for_end()


def is_another_program(connection: PeerConnection) -> None:
    connection.welcome("another")
    connection.wait_for_end()


def refuses_the_token(connection: PeerConnection) -> None:
    hello = connection.receive()
    data = {"code": "UNAUTHORIZED", "hint": "read endpoint.json again", "retryable": True}
    connection.send({"id": hello["id"], "error": {"code": -32000, "message": "wrong token", "data": data}})


def has_no_room(connection: PeerConnection) -> None:
    data = {"code": "BUSY", "retryable": True, "retry_after_ms": 500}
    connection.send({"id": None, "error": {"code": -32000, "message": "256 clients are connected", "data": data}})
    connection.wait_for_end()


def talks_nonsense(connection: PeerConnection) -> None:
    connection.welcome()
    connection.receive()
    connection.socket.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.wait_for_end()


def never_ends_a_line(connection: PeerConnection) -> None:
    connection.welcome()
    connection.receive()
    connection.socket.sendall(b"x" * (1024 * 1024 + 10))
    connection.wait_for_end()


def never_answers(connection: PeerConnection) -> None:
    connection.welcome()
    connection.wait_for_end()


def answers_in_pieces(connection: PeerConnection) -> None:
    connection.welcome()
    answer = json.dumps(
        {"jsonrpc": "2.0", "id": connection.receive()["id"], "result": {"name": "ä€😀"}}, ensure_ascii=False
    )
    for byte in answer.encode():
        connection.socket.sendall(bytes([byte]))
    connection.socket.sendall(b"\n")
    connection.wait_for_end()


def sends_200_events_and_a_status(connection: PeerConnection) -> None:
    connection.welcome()
    subscription = connection.receive()["id"]
    connection.send({"id": subscription, "result": {"instance_id": ENDPOINT.instance_id, "seq": 0, "snapshot": {}}})
    request = connection.receive()["id"]
    connection.send(*(event(subscription, number) for number in range(1, 201)))
    connection.send({"id": request, "result": status_of(350)})
    connection.wait_for_end()


def tells_two_events(connection: PeerConnection) -> None:
    connection.welcome()
    subscription = connection.receive()["id"]
    begin = {"instance_id": ENDPOINT.instance_id, "seq": 7, "snapshot": {"servers": []}}
    connection.send({"id": subscription, "result": begin}, event(subscription, 8), event(subscription, 9))


def goes_on_with_events(connection: PeerConnection) -> None:
    connection.welcome()
    subscription = connection.receive()["id"]
    going_on = {"instance_id": ENDPOINT.instance_id, "seq": 9, "snapshot": None}
    connection.send({"id": subscription, "result": going_on}, event(subscription, 10))
    connection.wait_for_end()


CASES: dict[str, tuple[list[Callable[[PeerConnection], None]], Sequence[Any]]] = {
    "odd characters": (
        [answers_ping], [OPEN, ["send", "ping", {"text": CONTROL_CHARACTERS, "number": 3}], ANSWER, CLOSE],
    ),
    "replaced": ([ends_after_accepting, answers_as_the_next_daemon], [OPEN, CONNECTED, ENSURE, ANSWER, CLOSE]),
    "replaced during a stop": (
        [ends_after_accepting, welcomes_as_the_next_daemon],
        [OPEN, ["send", "server.stop", {"server": "toy"}], ANSWER, ["wait", "connected", 2], CLOSE],
    ),
    "another program": ([is_another_program, answers_ping], [OPEN, PING, ANSWER, CLOSE]),
    "wrong token": ([refuses_the_token, answers_ping], [OPEN, DISCONNECTED, PING, ANSWER, CLOSE]),
    "no room": ([has_no_room, answers_ping], [OPEN, DISCONNECTED, PING, ANSWER, CLOSE]),
    "nonsense": ([talks_nonsense, answers_ping], [OPEN, PING, ANSWER, CLOSE]),
    "endless line": ([never_ends_a_line, answers_ping], [OPEN, PING, ANSWER, CLOSE]),
    "silent": ([never_answers], [OPEN, PING, ["send", "lease.renew", {"lease": "x"}], ANSWER, CLOSE]),
    "in pieces": ([answers_in_pieces], [OPEN, ["send", "status", {}], ANSWER, CLOSE]),
    "stalled": ([answers_ping], [OPEN, CONNECTED, PING, ["stall", 3000], ANSWER, CLOSE]),
    "stalled at once": ([answers_ping], [OPEN, PING, ["stall", 3000], ANSWER, CLOSE]),
    "events": (
        [sends_200_events_and_a_status],
        [OPEN, CONNECTED, ["subscribe"], ["wait", "resync of ours", 1], ["measure", 500],
         ["send", "status", {}], ["measure", 1000], ANSWER, CLOSE],
    ),
    "events go on": (
        [tells_two_events, goes_on_with_events], [["subscribe"], OPEN, ["wait", "event", 3], CLOSE],
    ),
    "closed": ([never_answers], [OPEN, CONNECTED, PING, CLOSE, PING, ANSWER]),
}  # fmt: skip


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[ScriptedPeer, Log]]:
    """Return for each case the daemon's side, and what the client has reported."""
    folder = tmp_path_factory.mktemp("client")
    project = addon_projects.make(folder / "project")
    with contextlib.ExitStack() as stack:
        peers = {
            name: stack.enter_context(ScriptedPeer(folder / name.replace(" ", "-"), *scripts))
            for name, (scripts, _) in CASES.items()
        }
        cases = [{"home": str(peers[name].home), "steps": steps} for name, (_, steps) in CASES.items()]
        results = addon_projects.run_cases(project, cases)
    return {name: (peers[name], result) for name, result in zip(CASES, results, strict=True)}


def entries(log: Log, *whats: str) -> list[Any]:
    return [entry for entry in log if entry[0] in whats]


def codes(log: Log) -> list[str]:
    return [entry[2]["code"] for entry in entries(log, "failed")]


def test_control_characters_and_whole_numbers_arrive(played: dict[str, tuple[ScriptedPeer, Log]]) -> None:
    peer, log = played["odd characters"]
    assert peer.received[1]["params"] == {"text": CONTROL_CHARACTERS, "number": 3}
    assert len(entries(log, "completed")) == 1


def test_request_is_sent_again_to_the_next_daemon(played: dict[str, tuple[ScriptedPeer, Log]]) -> None:
    peer, log = played["replaced"]
    first, second = (frame for frame in peer.received if frame["method"] == "server.ensure")
    assert first == second
    assert [entry[0] for entry in log] == [
        "connected", "sent", "accepted", "disconnected", "connected", "completed",
    ]  # fmt: skip
    instances = {frame["params"]["client"]["instance"] for frame in peer.received if frame["method"] == "hello"}
    assert len(instances) == 1


def test_stop_is_not_sent_to_another_daemon(played: dict[str, tuple[ScriptedPeer, Log]]) -> None:
    peer, log = played["replaced during a stop"]
    assert [frame["method"] for frame in peer.received].count("server.stop") == 1
    assert codes(log) == ["DISCONNECTED_AFTER_ACCEPT"]


@pytest.mark.parametrize("case", ["another program", "wrong token", "no room", "nonsense", "endless line", "in pieces"])
def test_client_gets_its_answer_in_the_end(played: dict[str, tuple[ScriptedPeer, Log]], case: str) -> None:
    _, log = played[case]
    assert codes(log) == []
    assert len(entries(log, "completed")) == 1
    assert len(entries(log, "disconnected")) == (0 if case == "in pieces" else 1)


@pytest.mark.parametrize(
    ("case", "code"),
    [("another program", "DAEMON_NOT_RUNNING"), ("wrong token", "UNAUTHORIZED"), ("no room", "BUSY")],
)
def test_reason_without_a_daemon_is_told(played: dict[str, tuple[ScriptedPeer, Log]], case: str, code: str) -> None:
    _, log = played[case]
    assert [entry[1]["code"] for entry in entries(log, "disconnected")] == [code]


def test_text_of_several_bytes_survives_in_pieces(played: dict[str, tuple[ScriptedPeer, Log]]) -> None:
    _, log = played["in pieces"]
    assert entries(log, "completed")[0][2] == {"name": "ä€😀"}


def test_silence_of_the_daemon_ends_requests(played: dict[str, tuple[ScriptedPeer, Log]]) -> None:
    _, log = played["silent"]
    assert codes(log) == ["ACCEPT_TIMEOUT", "ACCEPT_TIMEOUT"]


@pytest.mark.parametrize(
    ("case", "order"),
    [("stalled", ["connected", "sent", "completed"]), ("stalled at once", ["sent", "connected", "completed"])],
)
def test_stall_of_the_editor_fails_nothing(
    played: dict[str, tuple[ScriptedPeer, Log]], case: str, order: list[str]
) -> None:
    """The editor stalls for longer than the answer may take: once after the request was sent, once before."""
    _, log = played[case]
    assert [entry[0] for entry in log] == order


def test_closed_client_ends_its_requests(played: dict[str, tuple[ScriptedPeer, Log]]) -> None:
    _, log = played["closed"]
    assert codes(log) == ["CANCELLED", "DAEMON_NOT_RUNNING"]


def test_events_go_on_after_a_lost_connection(played: dict[str, tuple[ScriptedPeer, Log]]) -> None:
    peer, log = played["events go on"]
    assert [entry[1]["seq"] for entry in entries(log, "event")] == [8, 9, 10]
    assert entries(log, "resync of ours") == [["resync of ours", {"servers": []}]]
    since = [frame["params"] for frame in peer.received if frame["method"] == "events.subscribe"]
    assert since == [{}, {"since": {"instance_id": ENDPOINT.instance_id, "seq": 9}}]


def test_no_frame_is_long_because_of_us(
    played: dict[str, tuple[ScriptedPeer, Log]], record_property: Callable[[str, object], None]
) -> None:
    """The budget of one frame is 8 ms, also for 200 events and a `status` of 64 KiB at once."""
    _, log = played["events"]
    assert len(entries(log, "event")) == 200
    assert len(entries(log, "completed")[0][2]["servers"]) == 350
    (_, idle_us, _), (_, _, worst_us) = entries(log, "measured")
    record_property("covered", f"the addon: {idle_us:g} us for an idle frame, {worst_us / 1000:.1f} ms at worst")
    # On a busy machine a frame may be interrupted.
    assert idle_us < 50
    assert worst_us < 40_000


TRANSPORT = {"kind": "tcp", "host": "127.0.0.1", "port": 9}


def encoded(**changes: Any) -> bytes:
    fields = json.loads(endpoint.encode(ENDPOINT._replace(transports=(TRANSPORT,))))
    return json.dumps({**fields, **changes}).encode()


def test_endpoint_that_cannot_be_trusted_is_refused(tmp_path: Path) -> None:
    files: dict[str, tuple[bytes, int, str, str]] = {
        "none": (b"", 0, "DAEMON_NOT_RUNNING", "no daemon of godot-supervisor is running"),
        "empty": (b"", 0o600, "DAEMON_NOT_RUNNING", "damaged"),
        "bytes": (b"\xff\xfe\0{", 0o600, "DAEMON_NOT_RUNNING", "damaged"),
        "list": (b"[1]", 0o600, "DAEMON_NOT_RUNNING", "damaged"),
        "long": (b" " * 70_000, 0o600, "DAEMON_NOT_RUNNING", "damaged"),
        "writable": (encoded(), 0o620, "DAEMON_NOT_RUNNING", "other users"),
        "later": (encoded(schema=2), 0o600, "PROTOCOL_UNSUPPORTED", "later release"),
        "protocol": (encoded(protocol={"min": 2, "max": 3}), 0o600, "PROTOCOL_UNSUPPORTED", "another protocol"),
        "token": (encoded(token=7), 0o600, "DAEMON_NOT_RUNNING", "damaged"),
        "host": (encoded(transports=[{**TRANSPORT, "host": "10.0.0.1"}]), 0o600, "DAEMON_NOT_RUNNING", "damaged"),
        "moved": (encoded(home="/elsewhere"), 0o600, "DAEMON_NOT_RUNNING", "belongs to /elsewhere"),
        "nobody": (encoded(), 0o600, "DAEMON_NOT_RUNNING", "no daemon answers"),
    }  # fmt: skip
    cases = []
    for name, (content, mode, _, _) in files.items():
        home = tmp_path / name
        home.mkdir(mode=0o700)
        if mode:
            (home / "endpoint.json").write_bytes(content)
            (home / "endpoint.json").chmod(mode)
        cases.append({"home": str(home), "steps": [OPEN, DISCONNECTED, CLOSE]})
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path / "nobody")
    (tmp_path / "nobody" / "endpoint.json").write_bytes(encoded(home=str(tmp_path / "nobody")))
    cases.append({"home": str(linked), "steps": [OPEN, DISCONNECTED, CLOSE]})
    results = addon_projects.run_cases(addon_projects.make(tmp_path / "project"), cases)
    files["linked"] = files["nobody"]
    for (name, (_, _, code, message)), log in zip(files.items(), results, strict=True):
        assert [entry[0] for entry in log] == ["disconnected"], name
        assert log[0][1]["code"] == code, name
        assert message in log[0][1]["message"], name
        assert log[0][1]["hint"], name
