import json
import os
from pathlib import Path

import pytest

from supervisor.kinds.catalog import Catalog
from supervisor.kinds.server_secrets import make_secrets, read_secrets, record_path
from supervisor.native import facts
from supervisor.native.shared.settings_folders import config_folder
from tests.privilege import IS_ROOT, ONLY_ROOT
from tests.systems import POSIX_ONLY

GODOT_AI = Catalog.build({}).get("godot-ai")
PORTS = {"http": 8007, "ws": 9507}


def record(tmp_path: Path, content: bytes) -> Path:
    path = record_path(GODOT_AI, PORTS, {"XDG_CONFIG_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)})
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def read(tmp_path: Path) -> dict[str, str]:
    return read_secrets(GODOT_AI, PORTS, {"XDG_CONFIG_HOME": str(tmp_path), "LOCALAPPDATA": str(tmp_path)})


GOOD = json.dumps({"version": 1, "http": "t" * 43, "websocket": "a" * 64, "instance_nonce": "b" * 32}).encode()


def test_minted_secrets_have_their_format_and_are_new_each_time() -> None:
    first, second = make_secrets(GODOT_AI, "4.3.1"), make_secrets(GODOT_AI, "4.3.1")
    lengths = {name: len(value) for name, value in first.items()}
    assert lengths == {"GODOT_AI_HTTP_CAPABILITY": 43, "GODOT_AI_WS_TOKEN": 64}
    is_hex = set(first["GODOT_AI_WS_TOKEN"]) <= set("0123456789abcdef")
    differ = set(first.values()).isdisjoint(second.values())
    assert is_hex
    assert differ


def test_versions_that_would_misunderstand_a_secret_do_not_get_it() -> None:
    assert make_secrets(GODOT_AI, "3.2.5") == {}
    assert len(make_secrets(GODOT_AI, "4.0.0")) == len(make_secrets(GODOT_AI, None)) == 2


def test_the_record_lies_where_the_servers_own_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "SYSTEM", "linux")
    monkeypatch.setattr(facts, "RECORDS_CAN_BE_MOVED", True)
    name = "godot-ai/capabilities/http-8007.json"
    assert record_path(GODOT_AI, PORTS, {"HOME": "/h"}) == Path("/h/.config") / name
    assert record_path(GODOT_AI, PORTS, {"HOME": "/h", "XDG_CONFIG_HOME": "/x"}) == Path("/x") / name
    moved = {"HOME": "/h", "XDG_CONFIG_HOME": "/x", "GODOT_AI_CAPABILITY_DIR": "/private"}
    assert record_path(GODOT_AI, PORTS, moved) == Path("/private/http-8007.json")


@pytest.mark.parametrize(
    ("system", "folder"),
    [("linux", "/h/.config"), ("macos", "/h/Library/Application Support"), ("windows", "/h/AppData/Local")],
)
def test_every_system_has_its_folder_for_settings(monkeypatch: pytest.MonkeyPatch, system: str, folder: str) -> None:
    monkeypatch.setattr(facts, "SYSTEM", system)
    assert config_folder({"HOME": "/h", "USERPROFILE": "/h"}) == Path(folder)


def test_the_record_gives_the_secrets_back(tmp_path: Path) -> None:
    record(tmp_path, GOOD)
    assert read(tmp_path) == {"GODOT_AI_HTTP_CAPABILITY": "t" * 43, "GODOT_AI_WS_TOKEN": "a" * 64}


def test_a_kind_without_a_record_has_nothing_to_read() -> None:
    kind = Catalog.build({"mine": {"command": ["x"]}}).get("mine")
    assert read_secrets(kind, {}, {}) == {}


def test_without_a_record_there_are_no_secrets(tmp_path: Path) -> None:
    assert read(tmp_path) == {}


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 50_000, b"[]", GOOD + b" " * 70_000])
def test_a_record_of_nonsense_has_none(tmp_path: Path, content: bytes) -> None:
    record(tmp_path, content)
    assert read(tmp_path) == {}


def test_values_that_could_end_a_header_are_not_taken(tmp_path: Path) -> None:
    record(tmp_path, json.dumps({"http": "a\r\nX: y", "websocket": 5}).encode())
    assert read(tmp_path) == {}


@POSIX_ONLY
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_record_that_others_may_touch_is_not_trusted(tmp_path: Path, mode: int) -> None:
    record(tmp_path, GOOD).chmod(mode)
    assert read(tmp_path) == {}


@POSIX_ONLY
def test_a_link_a_folder_and_a_fifo_are_not_trusted(tmp_path: Path) -> None:
    path = record(tmp_path, GOOD)
    real = path.rename(path.with_name("real.json"))
    path.symlink_to(real)
    assert read(tmp_path) == {}
    path.unlink()
    path.mkdir()
    assert read(tmp_path) == {}
    path.rmdir()
    os.mkfifo(path, 0o600)
    assert read(tmp_path) == {}


@pytest.mark.needs_root
@pytest.mark.skipif(not IS_ROOT, reason=ONLY_ROOT)
def test_another_users_record_is_not_trusted(tmp_path: Path) -> None:
    os.chown(record(tmp_path, GOOD), 12345, -1)
    assert read(tmp_path) == {}
