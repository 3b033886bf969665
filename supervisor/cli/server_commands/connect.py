"""The command `connect`."""

import click

from ...errors import NotFound
from .. import options, output
from ..deadline import Deadline
from ..text import ai_clients
from . import address

CLIENTS = ("claude", "cursor", "json")

FILES = {
    "cursor": "for ~/.cursor/mcp.json (every project) or .cursor/mcp.json (one project)",
    "json": "for .mcp.json in a project (Claude Code), and other clients that read an mcpServers object",
}

OTHER_CLIENTS = frozenset(
    {"claude-code", "cline", "codex", "copilot", "gemini", "opencode", "qwen", "vscode", "windsurf", "zed"}
)
"""AI clients that a user may name although this command has no form for them."""


def _client(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if value not in CLIENTS:
        known = ", ".join(CLIENTS)
        if value in OTHER_CLIENTS:
            advice = f"For other clients: {ctx.command_path} json prints the object that most clients read."
            raise click.BadParameter(f"{value!r} is not one of {known}. {advice}", ctx, param)
        suggestion = f"{ctx.command_path} {CLIENTS[0]} {value}"
        raise click.BadParameter(f"{value!r} is not one of {known}. If it is a server: {suggestion}", ctx, param)
    return value


@click.command
@click.argument("client", metavar=f"[{'|'.join(CLIENTS)}]", default=CLIENTS[0], callback=_client)
@options.server
@options.as_json
@options.timeout
def connect(*, client: str, server: str | None, as_json: bool, deadline: Deadline) -> int:
    """Print how to add a server to an AI client.

    claude: the command for Claude Code (default). cursor, json: the JSON for the client's file.

    ID is a server's id, a kind, or a project (its folder, or the folder's name). With exactly one server it can be left
    out. Exit code 1: the server is not ready.
    """
    found = address.find_server(server, f"connect {client}", deadline)
    entry = ai_clients.client_entry(found, with_type=client != "cursor")
    if entry is None:
        raise NotFound(
            f"{found['id']} has no address for AI clients: its kind has neither `url` nor `connect`",
            hint="kinds.NAME.url or kinds.NAME.connect in config.toml",
        )
    if as_json or client != "claude":
        output.document(entry)
        if not as_json:
            output.note(FILES[client])
    else:
        output.line(ai_clients.claude_command(found) or "")
    return address.exit_code_with_warning(found)
