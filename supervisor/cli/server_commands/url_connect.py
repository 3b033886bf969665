"""`url` and `connect`: how to get to a server."""

from typing import Any

import click

from ...errors import NotFound
from .. import exit_codes, options, output, remote, server_choice
from ..deadline import Deadline
from ..text import report

CLIENTS = ("claude", "cursor", "json")

FILES = {
    "cursor": "for ~/.cursor/mcp.json (every project) or .cursor/mcp.json (one project)",
    "json": "for .mcp.json in a project (Claude Code), and other clients that read an mcpServers object",
}

OTHERS = frozenset(
    {"claude-code", "cline", "codex", "copilot", "gemini", "opencode", "qwen", "vscode", "windsurf", "zed"}
)
"""AI clients whose own form is not printed."""


@click.command
@options.server
@options.as_json
@options.timeout
def url(*, server: str | None, as_json: bool, deadline: Deadline) -> int:
    """Print a server's URL, and nothing else. With exactly one, ID may be left out."""
    found = _find(server, "url", deadline)
    if found["url"] is None:
        raise NotFound(f"{found['id']} has no URL: its kind does not name one", hint="kinds.NAME.url in config.toml")
    if as_json:
        output.document({"server": found["id"], "url": found["url"], "state": found["state"]})
    else:
        output.line(found["url"])
    return _warn(found)


def _client(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if value not in CLIENTS:
        known = ", ".join(CLIENTS)
        if value in OTHERS:
            advice = f"{ctx.command_path} json prints the object that most clients read"
            raise click.BadParameter(f"{value!r} is none of {known}; {advice}", ctx, param)
        meant = f"{ctx.command_path} {CLIENTS[0]} {value}"
        raise click.BadParameter(f"{value!r} is none of {known}. If it is a server: {meant}", ctx, param)
    return value


@click.command
@click.argument("client", metavar=f"[{'|'.join(CLIENTS)}]", default=CLIENTS[0], callback=_client)
@options.server
@options.as_json
@options.timeout
def connect(*, client: str, server: str | None, as_json: bool, deadline: Deadline) -> int:
    """Print what makes an AI client know a server.

    The command for Claude Code, or the JSON for a client's file. With exactly one server, ID may be left out.
    """
    found = _find(server, f"connect {client}", deadline)
    entry = report.entry(found, typed=client != "cursor")
    if entry is None:
        raise NotFound(
            f"{found['id']} does not say how AI clients get to it", hint="kinds.NAME.url or .connect in config.toml"
        )
    if as_json or client != "claude":
        output.document(entry)
        if not as_json:
            output.note(FILES[client])
    else:
        output.line(report.paste(found) or "")
    return _warn(found)


def _find(server: str | None, verb: str, deadline: Deadline) -> Any:
    with remote.connect(deadline=deadline) as client:
        patience_s = deadline.or_else(remote.READ_TIMEOUT_S)
        return server_choice.about(
            client,
            server_choice.named(client, server, verb, deadline),
            verb,
            deadline,
            lambda meant: client.call("server.get", {"server": meant}, accept_timeout_s=patience_s),
            ends=False,
        )


def _warn(found: Any) -> int:
    """The exit code: what does not run is printed all the same, and nobody is to take it for something that answers."""
    if found["state"] == "ready":
        return exit_codes.DONE
    hint = f"godot-supervisor inspect {found['id']}"
    output.note(f"warning: {found['id']} is {found['state']}, so nobody may answer there: {hint}")
    return exit_codes.FAILED
