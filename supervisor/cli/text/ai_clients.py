"""What a user enters by hand in an AI client: a command for Claude Code, the text of an entry for the others.

An entry starts the MCP bridge, or, with `connect --direct`, reaches a server as it is at present.
"""

import re
from typing import Any

from ...client.json_object import JsonObject
from ...mcp.ai_clients.documents import json_edit, toml_edit
from ...mcp.ai_clients.documents.json_tree import Dialect
from ...mcp.ai_clients.entry import Entry, entry_name
from ...mcp.ai_clients.table import AiClient
from ...native.facts import folders, shell_line
from ..context.bridge import entry_to_show, without_default


def claude_command(server: JsonObject) -> str | None:
    """Return the command that adds the MCP bridge for a server to Claude Code.

    Returns the one for the server itself if it has no URL, and so no MCP bridge; None if there is none either.
    """
    if not server["url"]:
        return direct_command(server)
    kind = without_default(server["kind"])
    return bridge_command(entry_name(kind, None), entry_to_show(kind, folders()))


def bridge_command(name: str, entry: Entry) -> str:
    """Return the command that enters the MCP bridge in Claude Code, for all projects."""
    # Options with several values come after the name, because they would take it for a value.
    variables = [word for key, value in entry.variables.items() for word in ("-e", f"{key}={value}")]
    return shell_line(["claude", "mcp", "add", "--scope", "user", name, *variables, "--", *entry.command])


def bridge_document(name: str, entry: Entry, client: AiClient) -> dict[str, Any]:
    """Return the entry of the MCP bridge as JSON, in the tables of a client's file."""
    document = client.shape.write(entry)
    for key in reversed((*client.table, name)):
        document = {key: document}
    return document


def bridge_text(name: str, entry: Entry, client: AiClient) -> str:
    """Return the entry of the MCP bridge as a client's file has it."""
    value, path = client.shape.write(entry), (*client.table, name)
    if client.dialect is None:
        return toml_edit.set_table("", path, value).text.rstrip("\n")
    return json_edit.set_value("", path, value, Dialect()).text.rstrip("\n")


def direct_command(server: JsonObject) -> str | None:
    """Return the command that adds a server itself to Claude Code. Returns None if it has no URL and no bridge."""
    if server["connect"]:
        return f"claude mcp add {_client_name(server)} -- {shell_line(server['connect'])}"
    if server["url"]:
        return f"claude mcp add --transport http {_client_name(server)} {shell_line([server['url']])}"
    return None


def direct_document(server: JsonObject, *, with_type: bool) -> dict[str, Any] | None:
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
