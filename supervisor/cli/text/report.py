"""What `up` says of a server: where it is, what will become of it, and how an AI client gets to it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...kinds.kind import Kind
from ...native.facts import shell_line
from .. import output
from . import old_recipes

Json = Mapping[str, Any]


def lines(server: Json, editors: Sequence[Json], kind: Kind | None, *, already: bool) -> Iterator[str]:
    """Everything a person wants to know of a server that is ready. `kind` is None where no recipe is known."""
    version = f" {server['version']}" if server["version"] else ""
    yield f"{server['id']}{version} {'already running' if already else server['state']}"
    process = server["process"]
    facts = {
        "url": server["url"],
        "pid": process["pid"] if process else None,
        "ports": ", ".join(f"{name} {port}" for name, port in server["ports"].items()),
        "log": server["log"] and output.tilde(server["log"]),
    }
    for name, value in facts.items():
        if value:
            yield f"  {name:<6} {output.cell(value)}"
    why = server.get("version_why")
    if why and server["version"]:
        yield output.printable(f"version {server['version']}: {why}")
    for row in server["relocated"]:
        yield f"port {row['port']} was passed over: {output.relocation(row)}"
    if server.get("relocated_more"):
        yield f"{server['relocated_more']} more ports were passed over"
    for note in server.get("notes", ()):
        yield output.printable(f"note: {note}")
    if server.get("recipe_changes"):
        yield old_recipes.remark(server["id"], server["recipe_changes"])
    yield fate(server, editors, kind)
    command = paste(server)
    if command:
        yield ""
        yield "For an AI client:"
        yield f"  {command}"


def fate(server: Json, editors: Sequence[Json], kind: Kind | None) -> str:
    """What will end the server. It judges as the daemon does: see `core.reaping`."""
    living = [owner for owner in server["owners"] if owner["liveness"] != "dead" and not owner["leaving"]]
    kept = "; it is kept while an editor session is open" if kind is None or kind.sessions else ""
    soon = f"{output.number(kind.grace_s)} s later" if kind else "soon after"
    promised = server.get("until_stopped", not server["owners"]) and not (kind and kind.idle_s)
    if promised and server["reap"]["verdict"] == "keep":
        beside = "it was asked for without an owner" if living else "no owner"
        return f"{beside}: it runs until `{_down(server)}`"
    if living:
        names = {editor["id"]: editor.get("name") or editor["id"] for editor in editors}
        who = " and ".join(f"pid {owner['pid']} ({names.get(owner['editor'], owner['editor'])})" for owner in living)
        verb = "ends" if len(living) == 1 else "have ended"
        return f"when {output.printable(who)} {verb}, the server is stopped {soon}{kept}"
    if server["owners"] or server["reap"]["verdict"] != "keep":
        leaving = "have ended or are leaving" if server["owners"] else "have gone"
        return f"its owners {leaving}: it is stopped soon, unless somebody owns it by then{kept}"
    if kind and kind.idle_s:
        unused = output.number(max(kind.grace_s, kind.idle_s))
        return f"no owner: it is stopped when nobody has used it for {unused} s, or by `{_down(server)}`"
    return f"no owner: it runs until `{_down(server)}`"


def _down(server: Json) -> str:
    return f"godot-supervisor down {server['id']}"


def paste(server: Json) -> str | None:
    """The command that makes Claude Code know this server; None: the kind does not say how to connect."""
    if server["connect"]:
        return f"claude mcp add {_name(server)} -- {shell_line(server['connect'])}"
    if server["url"]:
        return f"claude mcp add --transport http {_name(server)} {shell_line([server['url']])}"
    return None


def entry(server: Json, *, typed: bool) -> dict[str, Any] | None:
    """The object that AI clients read from a file; None: the kind does not say how to connect.

    `typed`: with the transport's name, which `.mcp.json` wants and Cursor does without.
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
    return {"mcpServers": {_name(server): found}}


def _name(server: Json) -> str:
    """Claude Code takes letters, digits, hyphens and underscores for a name."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", server["id"])
