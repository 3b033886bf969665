"""Objects of the protocol, as a daemon sends them."""

from typing import Any

from tests.wine import IS_WINDOWS

QUOTED = '"/opt/my env/python"' if IS_WINDOWS else "'/opt/my env/python'"
"""A path with a blank, quoted for the shell of this system."""


def server(**fields: Any) -> dict[str, Any]:
    return {
        "id": "godot-ai",
        "kind": "godot-ai",
        "version": "4.3.1",
        "project": None,
        "state": "ready",
        "origin": "spawned",
        "process": {"pid": 4300, "started_at": 1000.0},
        "root_pid": 4300,
        "ports": {"http": 8000, "ws": 9500},
        "url": "http://127.0.0.1:8000/mcp",
        "connect": [],
        "owners": [],
        "sessions": 0,
        "leases": [],
        "restarts": 0,
        "since": 1000.0,
        "relocated": [],
        "failure": None,
        "reap": {"verdict": "keep", "reasons": [], "due_in_s": None},
        "log": "/logs/godot-ai.log",
        **fields,
    }


def owner(editor: str = "game-1", pid: int = 123, **fields: Any) -> dict[str, Any]:
    return {"editor": editor, "pid": pid, "liveness": "alive", "leaving": False, **fields}


def editor(name: str = "game-1", **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "pid": 123,
        "started_at": 900.0,
        "project": "/home/me/game",
        "engine": "godot",
        "engine_version": "4.6.2",
        "name": None,
        "liveness": "alive",
        "state": "ready",
        "servers": [],
        **fields,
    }


def status(**fields: Any) -> dict[str, Any]:
    daemon = {
        "pid": 4211,
        "instance_id": "i-1",
        "version": "0.1.0",
        "started_at": 1000.0,
        "home": "/home/me/.godot-supervisor",
        "event_loop": "selector",
        "notes": [],
    }
    return {"daemon": daemon, "editors": [], "servers": [], "orphans": [], **fields}


def event(seq: int, name: str = "server.state", server: str | None = "godot-ai", **details: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "at": 1000.25 + seq,
        "mono": 5.0,
        "level": details.pop("level", "info"),
        "event": name,
        "server": server,
        "editor": details.pop("editor", None),
        "details": details,
    }


def past(name: str = "godot-ai", **fields: Any) -> dict[str, Any]:
    """Return the record of a server that has ended."""
    return {
        "id": name,
        "kind": "godot-ai",
        "version": "4.3.1",
        "project": None,
        "launch": "a1b2",
        "ports": {"http": 8000},
        "url": "http://127.0.0.1:8000/mcp",
        "log": "/logs/godot-ai.log",
        "since": 890.0,
        "ended": 990.0,
        "how": "stopped",
        "exit": None,
        "by": None,
        "detail": None,
        **fields,
    }
