"""The command `connect`."""

import os
from typing import Any

import click

from ...errors import NotFound, SupervisorError
from ...mcp.ai_clients.entry import entry_name
from ...mcp.ai_clients.places import Places
from ...mcp.ai_clients.table import ALIASES, CLIENTS
from ...native.facts import folders
from .. import exit_codes, options, output
from ..context import bridge, known_kinds
from ..deadline import Deadline
from ..formatting import tilde
from ..text import ai_clients
from . import address

JSON = "json"
DEFAULT = "claude"
DIRECT_CLIENTS = ("claude", "cursor", JSON)
"""Clients for which `--direct` has a form."""

DIRECT_FILES = {
    "cursor": "for ~/.cursor/mcp.json (every project) or .cursor/mcp.json (one project)",
    JSON: "for .mcp.json in a project (Claude Code), and other clients that read an mcpServers object",
}
ASK_TIMEOUT_S = 1.0


def _client(ctx: click.Context, param: click.Parameter, value: str) -> str:
    name = ALIASES.get(value, value)
    if name != JSON and name not in CLIENTS:
        known = ", ".join((*CLIENTS, JSON))
        suggestion = f"{ctx.command_path} {DEFAULT} {value}"
        raise click.BadParameter(f"{value!r} is not one of {known}. If it is a server: {suggestion}", ctx, param)
    return name


@click.command
@click.argument("client", metavar="[CLIENT]", default=DEFAULT, callback=_client)
@options.server
@click.option("--direct", is_flag=True, help="How to reach the server as it is now, past the MCP bridge.")
@options.as_json
@options.timeout
def connect(*, client: str, server: str | None, direct: bool, as_json: bool, deadline: Deadline) -> int:
    """Print how to add the MCP bridge to an AI client by hand.

    CLIENT is claude (a command, the default), codex, gemini, cursor, vscode, windsurf, opencode, copilot, qwen or json
    (an mcpServers object). `clients install` does it for you.

    ID is a kind, or a server. With --direct it may also be a project, exactly one server can be left out, and exit code
    1 means that the server is not ready.
    """
    if direct:
        return _print_direct(client, server, deadline, as_json=as_json)
    where = folders()
    kind = _kind(server, client, deadline)
    if kind is None and server is not None:
        return _print_direct(client, server, deadline, as_json=as_json)
    kind = bridge.without_default(kind)
    name, entry = entry_name(kind, None), bridge.entry_to_show(kind, where)
    row = CLIENTS[DEFAULT if client == JSON else client]
    if as_json or client == JSON:
        output.document(ai_clients.bridge_document(name, entry, row))
        return exit_codes.DONE
    if client == DEFAULT:
        output.line(ai_clients.bridge_command(name, entry))
        return exit_codes.DONE
    output.line(ai_clients.bridge_text(name, entry, row))
    user_file = tilde(str(row.user_files(Places(os.environ))[-1]))
    one_project = f", or {row.project_files[-1]} in one project" if row.project_files else ""
    output.note(f"for {user_file}{one_project}; to have it entered: godot-supervisor clients install {client}")
    return exit_codes.DONE


def _kind(server: str | None, client: str, deadline: Deadline) -> str | None:
    """Return the kind that the word means, or that of the only server. Returns None if there is none with a URL."""
    kinds = {kind.name for kind in known_kinds.read(folders())}
    if server in kinds:
        return server
    if server is not None:
        found: Any = address.find_server(server, f"connect {client}", deadline)
        return found["kind"] if found["url"] else None
    try:
        found = address.find_server(None, f"connect {client}", Deadline(ASK_TIMEOUT_S))
    except SupervisorError:
        return None
    return found["kind"] if found["kind"] in kinds else None


def _print_direct(client: str, server: str | None, deadline: Deadline, *, as_json: bool) -> int:
    if client not in DIRECT_CLIENTS:
        advice = f"connect {JSON} --direct prints the object that most clients read"
        raise click.UsageError(f"--direct knows {', '.join(DIRECT_CLIENTS)}; {advice}")
    found = address.find_server(server, f"connect {client}", deadline)
    entry = ai_clients.direct_document(found, with_type=client != "cursor")
    if entry is None:
        raise NotFound(
            f"{found['id']} has no address for AI clients: its kind has neither `url` nor `connect`",
            hint="kinds.NAME.url or kinds.NAME.connect in config.toml",
        )
    if as_json or client != DEFAULT:
        output.document(entry)
        if not as_json:
            output.note(DIRECT_FILES[client])
    else:
        output.line(ai_clients.direct_command(found) or "")
    return address.exit_code_with_warning(found)
