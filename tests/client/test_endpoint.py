import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import supervisor
from supervisor.client import endpoint
from supervisor.client.endpoint import Endpoint, ProtocolRange
from supervisor.errors import DaemonNotRunning, ProtocolUnsupported
from tests.systems import POSIX_ONLY
from tests.wine import IS_WINDOWS

MINE = Endpoint(
    schema=1,
    pid=4211,
    start_token="boot:99",
    instance_id="i-1",
    version="0.1.0",
    protocol=ProtocolRange(1, 1),
    token="s3cret",
    transports=({"kind": "unix", "path": "/run/x"}, {"kind": "tcp", "host": "127.0.0.1", "port": 47801}),
)
FIELDS: dict[str, Any] = json.loads(endpoint.encode(MINE))


def test_the_file_has_the_fields_of_the_contract() -> None:
    assert list(FIELDS) == ["schema", "pid", "start_token", "instance_id", "version", "protocol", "token", "transports"]
    assert FIELDS["protocol"] == {"min": 1, "max": 1}


def test_a_published_endpoint_is_read(tmp_path: Path) -> None:
    endpoint.publish(tmp_path / "endpoint.json", MINE)
    assert endpoint.read(tmp_path / "endpoint.json") == MINE
    assert [entry.name for entry in tmp_path.iterdir()] == ["endpoint.json"]


@POSIX_ONLY
def test_publishing_makes_a_readable_file_private_again(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    path.write_text("{}")
    path.chmod(0o644)
    old = os.umask(0)
    try:
        endpoint.publish(path, MINE)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    endpoint.publish(path, MINE)
    done = threading.Event()
    written: list[Path] = []

    def write() -> None:
        try:
            for number in range(300):
                endpoint.publish(path, MINE._replace(instance_id="i" * (number % 50 * 100 + 1)))
            written.append(path)
        finally:
            done.set()

    writer = threading.Thread(target=write)
    writer.start()
    # Windows does not replace a file while a process reads it, so a reader without pauses would block the writer.
    while not done.wait(0.02 if IS_WINDOWS else 0):
        assert endpoint.read(path) is not None
    writer.join()
    assert written


def test_a_missing_file_is_no_endpoint(tmp_path: Path) -> None:
    assert endpoint.read(tmp_path / "endpoint.json") is None
    assert endpoint.read(tmp_path / "no folder" / "endpoint.json") is None


@given(st.binary(max_size=100))
def test_garbage_is_a_typed_error(text: bytes) -> None:
    with pytest.raises(DaemonNotRunning):
        endpoint.decode(text)


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("value", [None, 1.5, True, [1], {"min": "x"}], ids=repr)
def test_a_wrong_field_is_a_typed_error(field: str, value: object) -> None:
    with pytest.raises(DaemonNotRunning) as caught:
        endpoint.decode(json.dumps({**FIELDS, field: value}).encode())
    assert caught.value.hint


@pytest.mark.parametrize("field", FIELDS)
def test_a_missing_field_is_a_typed_error(field: str) -> None:
    with pytest.raises(DaemonNotRunning):
        endpoint.decode(json.dumps({key: value for key, value in FIELDS.items() if key != field}).encode())


def test_a_later_schema_asks_for_an_upgrade() -> None:
    with pytest.raises(ProtocolUnsupported) as caught:
        endpoint.decode(b'{"schema": 2, "all": "different"}')
    assert caught.value.hint == "upgrade godot-supervisor"


def test_a_later_release_may_add_fields_and_kinds_of_transport() -> None:
    later = {**FIELDS, "colour": "red", "transports": [{"kind": "pipe", "name": "x"}, *FIELDS["transports"]]}
    assert endpoint.decode(json.dumps(later).encode()) == MINE


@pytest.mark.parametrize("host", ["example.org", "0.0.0.0", "localhost", "10.0.0.1"])
def test_the_token_is_not_sent_to_another_machine(host: str) -> None:
    elsewhere = {**FIELDS, "transports": [{"kind": "tcp", "host": host, "port": 80}]}
    assert endpoint.decode(json.dumps(elsewhere).encode()).transports == ()


def test_only_the_publishing_instance_withdraws_the_file(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    endpoint.publish(path, MINE)
    endpoint.withdraw(path, "i-2")
    assert path.exists()
    endpoint.withdraw(path, "i-1")
    assert not path.exists()
    endpoint.withdraw(path, "i-1")


def test_withdrawing_leaves_a_damaged_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "endpoint.json"
    path.write_bytes(b"garbage")
    endpoint.withdraw(path, "i-1")
    assert path.exists()


def test_the_token_stays_out_of_reprs() -> None:
    assert "s3cret" not in f"{MINE} {MINE!r}"


def test_importing_the_client_loads_no_heavy_modules() -> None:
    root = str(Path(supervisor.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {root!r}); import supervisor.client.client; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True, timeout=60
    ).stdout.split()
    heavy = "asyncio psutil structlog click platformdirs dataclasses inspect pathlib subprocess hashlib ssl tempfile"
    assert "supervisor.wire.jsonrpc" in loaded
    assert not set(loaded) & set(heavy.split())
