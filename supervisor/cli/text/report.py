"""The report of `up` on a server: its address, how long it runs, and how an AI client connects to it."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from ...client.json_object import JsonObject
from ...kinds.kind import Kind
from ...native.facts import shell_line
from .. import formatting
from .server_remarks import remarks


def lines(
    server: JsonObject, editors: Sequence[JsonObject], kind: Kind | None, *, already_running: bool
) -> Iterator[str]:
    """Yield the report on a server that is ready. `kind` is None if its recipe is not known here."""
    yield f"{formatting.name_and_version(server)} {'already running' if already_running else server['state']}"
    process = server["process"]
    facts = {
        "url": server["url"],
        "pid": process["pid"] if process else None,
        "ports": formatting.ports(server),
        "log": server["log"] and formatting.tilde(server["log"]),
    }
    for name, value in facts.items():
        if value:
            yield f"  {name:<6} {formatting.cell(value)}"
    why = server.get("version_why")
    if why and server["version"]:
        yield formatting.printable(f"version {server['version']}: {why}")
    yield from remarks(server, before_note="note: ", before_port="")
    yield lifetime(server, editors, kind)
    command = claude_command(server)
    if command:
        yield ""
        yield "To add it to Claude Code:"
        yield f"  {command}"


def lifetime(server: JsonObject, editors: Sequence[JsonObject], kind: Kind | None) -> str:
    """Return what will end the server, by the same rules as the daemon: see `core.reaping`."""
    living = [owner for owner in server["owners"] if owner["liveness"] != "dead" and not owner["leaving"]]
    sessions = "; it is kept while an editor session is open" if kind is None or kind.sessions else ""
    soon = f"{formatting.number(kind.grace_s)} s later" if kind else "soon after"
    promised = server.get("until_stopped", not server["owners"]) and not (kind and kind.idle_s)
    if promised and server["reap"]["verdict"] == "keep":
        reason = "it was also started without an owner" if living else "no owner"
        return f"{reason}: it runs until `{_down(server)}`"
    if living:
        names = {editor["id"]: editor.get("name") or editor["id"] for editor in editors}
        owners = " and ".join(f"pid {owner['pid']} ({names.get(owner['editor'], owner['editor'])})" for owner in living)
        verb = "ends" if len(living) == 1 else "have ended"
        return f"when {formatting.printable(owners)} {verb}, the server is stopped {soon}{sessions}"
    if server["owners"] or server["reap"]["verdict"] != "keep":
        leaving = "have ended or are leaving" if server["owners"] else "have ended"
        return f"its owners {leaving}: it is stopped soon, unless it gets a new owner{sessions}"
    if kind and kind.idle_s:
        unused = formatting.number(max(kind.grace_s, kind.idle_s))
        return f"no owner: it is stopped after {unused} s without use, or by `{_down(server)}`"
    return f"no owner: it runs until `{_down(server)}`"


def _down(server: JsonObject) -> str:
    return f"godot-supervisor down {server['id']}"


def claude_command(server: JsonObject) -> str | None:
    """Return the command that adds this server to Claude Code. Returns None if the kind has no URL and no bridge."""
    if server["connect"]:
        return f"claude mcp add {_client_name(server)} -- {shell_line(server['connect'])}"
    if server["url"]:
        return f"claude mcp add --transport http {_client_name(server)} {shell_line([server['url']])}"
    return None


def client_entry(server: JsonObject, *, typed: bool) -> dict[str, Any] | None:
    """Return the object that AI clients read from a file. Returns None if the kind has no URL and no bridge.

    `typed`: with the name of the transport, which `.mcp.json` requires and Cursor omits.
    """
    if server["connect"]:
        program, *arguments = server["connect"]
        found = {"type": "stdio", "command": program, "args": arguments}
    elif server["url"]:
        found = {"type": "http", "url": server["url"]}
    else:
        return None
    if not typed:
        del found["type"]
    return {"mcpServers": {_client_name(server): found}}


def _client_name(server: JsonObject) -> str:
    """Return the server's id as a name for Claude Code, which allows letters, digits, hyphens and underscores."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", server["id"])
