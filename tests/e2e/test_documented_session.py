"""The session that docs/protocol.md shows, with a real daemon."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.client import endpoint
from tests import documented
from tests.e2e.conftest import MakeHome
from tests.e2e.home import PATIENCE_S, Home

pytestmark = [pytest.mark.full, pytest.mark.linux_only]

DIFFERENT = {"pid", "root_pid", "started_at", "since", "project", "instance_id", "version", "log", "http", "url"}
"""What is another in each session."""


def compare(shown: Any, seen: Any, where: str) -> None:
    """Compare what the page shows with what the daemon says: the same fields, types and values."""
    name = where.rpartition(".")[2]
    if isinstance(shown, dict):
        assert isinstance(seen, dict), where
        assert list(shown) == list(seen), where
        for key, value in shown.items():
            compare(value, seen[key], f"{where}.{key}")
    elif name == "capabilities":
        assert set(shown) <= set(seen)
    elif isinstance(shown, list):
        assert len(shown) == len(seen), where
        for one, other in zip(shown, seen, strict=True):
            compare(one, other, where)
    elif name in DIFFERENT:
        assert type(shown) is type(seen), where
    elif name == "message":
        assert shown.rstrip("0123456789") == seen.rstrip("0123456789"), where
    else:
        assert shown == seen, where


def connect(make_home: MakeHome, folder: Path) -> tuple[socket.socket, dict[str, Any]]:
    """Start a daemon with the kind of the page. Returns a connection, and what is another in each session."""
    config, path = documented.author_kind(folder / "bin")
    home: Home = make_home(config)
    home.environment["PATH"] = f"{path}:{home.environment['PATH']}"
    home.start()
    found = endpoint.read(home.folders.endpoint)
    assert found is not None
    (port,) = (each["port"] for each in found.transports if each["kind"] == "tcp")
    connected = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
    return connected, {"token": found.token, "pid": os.getpid(), "project": home.project()}


def with_real(params: dict[str, Any], real: dict[str, Any]) -> dict[str, Any]:
    """Return params of the page for this process."""
    return {
        name: with_real(value, real) if isinstance(value, dict) else real.get(name, value)
        for name, value in params.items()
    }


def replay(
    session: str, connected: socket.socket, real: dict[str, Any], check: Callable[[Any, Any, str], None]
) -> None:
    """Send what the client says in this session, and check what the daemon says."""
    with connected, connected.makefile("rb") as lines:
        for speaker, frame in documented.frames(session):
            if speaker == "→":
                sent = {**frame, "params": with_real(frame["params"], real)}
                connected.sendall(json.dumps(sent).encode() + b"\n")
            else:
                check(frame, next_of(lines, frame), frame.get("method", "answer"))


def test_session_of_the_protocol_is_what_a_daemon_says(make_home: MakeHome, tmp_path: Path) -> None:
    (session, *_) = documented.blocks("protocol.md", "", "A session from start to end")
    methods = [frame["method"] for speaker, frame in documented.frames(session) if speaker == "→"]
    assert methods == ["hello", "editor.attach", "server.ensure", "editor.state", "editor.detach"]
    replay(session, *connect(make_home, tmp_path), compare)


def test_session_of_a_plugin_is_what_a_daemon_says(make_home: MakeHome, tmp_path: Path) -> None:
    """The page leaves out what a plugin need not read."""

    def contains(shown: Any, seen: Any, where: str) -> None:
        if isinstance(shown, dict):
            for key, value in shown.items():
                contains(value, seen[key], f"{where}.{key}")
        elif shown != "…":
            compare(shown, seen, where)

    (session,) = documented.blocks("plugin-authors.md", "", "On the wire")
    replay(session.replace(",…", ""), *connect(make_home, tmp_path), contains)


def next_of(lines: Any, shown: dict[str, Any]) -> Any:
    """Return the next frame of the daemon. A `progress` that the page does not show is skipped."""
    for line in lines:
        frame = json.loads(line)
        is_extra = frame.get("method") == "progress" and frame["params"]["stage"] != shown.get("params", {}).get(
            "stage"
        )
        if not is_extra:
            return frame
    raise AssertionError("the daemon has ended the connection")
