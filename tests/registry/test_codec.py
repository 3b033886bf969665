import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model import (
    ClientName,
    Editor,
    Lease,
    Occupant,
    Origin,
    Ownership,
    PassedOverPort,
    ProcessIdentity,
    RegistryContents,
    ServerFailure,
    ServerRecord,
    ServerState,
    StickyPorts,
)
from supervisor.registry.codec import UnreadableError, decode, encode

EDITOR = Editor("my-game-1", ProcessIdentity(10, "boot:1"), "/p/my-game", 1.5, "godot", "4.7", "my game")
RECORD = ServerRecord(
    id="godot-ai",
    kind="godot-ai",
    version="4.3.0",
    project=None,
    state=ServerState.READY,
    origin=Origin.SPAWNED,
    launch="abc",
    ports={"http": 8001, "ws": 9501},
    since=2.5,
    process=ProcessIdentity(20, "boot:2"),
    root=ProcessIdentity(19, "boot:2"),
    owners=(Ownership("my-game-1", EDITOR.process), Ownership("tools-1", ProcessIdentity(11, "boot:1"), 7.0)),
    leases=(Lease("l-1", "ci", 30.0, 0.0),),
    ever_owned=True,
    restarts=2,
    relocated=(PassedOverPort(8000, Occupant(ProcessIdentity(9, "boot:0"), ("nc", "-l"), "dev", 1.0), "held"),),
    failure=ServerFailure("START_FAILED", "no", -9, ("last line",)),
    log="/logs/x.log",
    url="http://127.0.0.1:8001/mcp",
    connect=("python", "-m", "x"),
)
CLIENT = Editor(
    "claude-code-1",
    ProcessIdentity(11, "boot:1"),
    None,
    name="Claude",
    client=ClientName("claude-code", "2.1", "Claude"),
)
STATE = RegistryContents(
    {EDITOR.id: EDITOR, CLIENT.id: CLIENT}, {RECORD.id: RECORD}, (StickyPorts("k", "/p", {"http": 8005}),)
)


def test_written_state_is_read_back() -> None:
    back = decode(encode(STATE))
    assert back.editors == STATE.editors
    assert back.sticky == STATE.sticky
    server = back.servers["godot-ai"]
    assert [owner.leaving for owner in server.owners] == [False, True]
    assert server.with_(owners=()) == RECORD.with_(owners=())


def test_an_earlier_release_reads_a_client_as_an_owner() -> None:
    document = json.loads(encode(STATE))
    editor, client = document["editors"]
    assert "client" not in editor
    # An earlier release skips the key that it does not know.
    assert client.pop("client") == {"name": "claude-code", "version": "2.1", "title": "Claude"}
    assert client.keys() == editor.keys()
    back = decode(json.dumps(document).encode())
    assert back.editors[CLIENT.id].process == CLIENT.process
    assert back.editors[CLIENT.id].client is None


def test_registry_contains_no_secret() -> None:
    assert "secret" not in encode(STATE).decode()


def test_keys_of_a_later_version_are_skipped() -> None:
    document = json.loads(encode(STATE))
    document["later"] = 1
    document["servers"][0]["later"] = {"a": 1}
    document["editors"][0]["later"] = []
    assert decode(json.dumps(document).encode()).editors == STATE.editors


def test_later_schema_is_refused() -> None:
    with pytest.raises(UnreadableError, match="schema 2"):
        decode(b'{"schema":2,"editors":[],"servers":[],"sticky":[]}')


def test_every_truncation_is_noticed() -> None:
    whole = encode(STATE)
    for length in range(len(whole)):
        with pytest.raises(UnreadableError):
            decode(whole[:length])


@given(st.binary(max_size=200))
def test_garbage_is_always_unreadable(data: bytes) -> None:
    with pytest.raises(UnreadableError):
        decode(data)


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of all values in a document."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield from places(item, (*path, key))


@pytest.mark.parametrize("strange", [None, 5, -1.5, float("inf"), True, "x", [], ["x"], [1], {}, {"x": 1}], ids=repr)
def test_any_other_value_is_unreadable_or_accepted(strange: object) -> None:
    whole = json.loads(encode(STATE))
    for path in places(whole):
        document = {"all": copy.deepcopy(whole)}
        *above, last = ("all", *path)
        holder: Any = document
        for key in above:
            holder = holder[key]
        holder[last] = strange
        try:
            state = decode(json.dumps(document["all"]).encode())
        except UnreadableError:
            continue
        again = decode(encode(state))
        assert again == state, path
        for record in state.servers.values():
            words = (record.version, record.project, record.log, record.url, record.other_home, *record.connect)
            assert all(word is None or isinstance(word, str) for word in words), path


def test_a_registry_of_the_first_release_is_read() -> None:
    state = decode((Path(__file__).parents[1] / "data" / "registry-1.json").read_bytes())
    assert state.editors == {EDITOR.id: EDITOR}
    assert state.sticky == STATE.sticky
    assert state.servers["godot-ai"].with_(owners=()) == RECORD.with_(owners=())
    assert [owner.editor for owner in state.servers["godot-ai"].owners] == ["my-game-1", "tools-1"]


@pytest.mark.parametrize("change", [{"state": "asleep"}, {"ports": {"http": "8000"}}, {"process": {"pid": True}}])
def test_entry_with_a_wrong_value_is_unreadable(change: dict[str, object]) -> None:
    document = json.loads(encode(STATE))
    document["servers"][0].update(change)
    with pytest.raises(UnreadableError):
        decode(json.dumps(document).encode())
