"""What a user enters to add a server to an AI client: a command for Claude Code, JSON for the other clients."""

import re
from typing import Any

from ...client.json_object import JsonObject
from ...native.facts import shell_line


def claude_command(server: JsonObject) -> str | None:
    """Return the command that adds this server to Claude Code. Returns None if the kind has no URL and no bridge."""
    if server["connect"]:
        return f"claude mcp add {_client_name(server)} -- {shell_line(server['connect'])}"
    if server["url"]:
        return f"claude mcp add --transport http {_client_name(server)} {shell_line([server['url']])}"
    return None


def client_entry(server: JsonObject, *, with_type: bool) -> dict[str, Any] | None:
    """Return the object that AI clients read from a file. Returns None if the kind has no URL and no bridge.

    `with_type`: with the type of the transport, which `.mcp.json` requires and Cursor omits.
    """
    if server["connect"]:
        program, *arguments = server["connect"]
        entry = {"type": "stdio", "command": program, "args": arguments}
    elif server["url"]:
        entry = {"type": "http", "url": server["url"]}
    else:
        return None
    if not with_type:
        del entry["type"]
    return {"mcpServers": {_client_name(server): entry}}


def _client_name(server: JsonObject) -> str:
    """Return the server's id as a name for Claude Code, which allows letters, digits, hyphens and underscores."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", server["id"])
