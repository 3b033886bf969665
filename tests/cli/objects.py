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


def client(identifier: str = "claude-code-1", **fields: Any) -> dict[str, Any]:
    """Return an AI client."""
    return {
        "id": identifier,
        "pid": 321,
        "name": "claude-code",
        "version": "2.1.0",
        "title": None,
        "project": "/home/me/game",
        "since": 1000.0,
        "liveness": "alive",
        "connected": True,
        "servers": [],
        "calls": 7,
        "running": [],
        **fields,
    }


def tool_call(tool: str = "scene_create", **fields: Any) -> dict[str, Any]:
    """Return a tool call that runs."""
    return {
        "client": "claude-code-1",
        "name": "claude-code 2.1.0",
        "pid": 321,
        "server": "godot-ai",
        "tool": tool,
        "state": "running",
        "since": 12500.0,
        "gated": True,
        "editor_pid": 123,
        "project": "/home/me/game",
        **fields,
    }


CLAUDE = {"name": "claude-code", "version": "2.1.0", "title": None}
"""The AI client in the row of an owner."""


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
