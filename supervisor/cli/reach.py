"""`url` and `connect`: how to get to a server."""

from typing import Any

import click

from ..errors import NotFound
from . import knock, options, output, report

CLIENTS = ("claude", "cursor", "json")


@click.command
@options.server
@options.as_json
@options.timeout
def url(*, server: str | None, as_json: bool, timeout_s: float | None) -> None:
    """Print a server's URL, and nothing else. With exactly one, ID may be left out."""
    found = _find(server, "url", timeout_s)
    if found["url"] is None:
        raise NotFound(f"{found['id']} has no URL: its kind does not name one", hint="kinds.NAME.url in config.toml")
    if as_json:
        output.document({"server": found["id"], "url": found["url"]})
    else:
        output.line(found["url"])


@click.command
@click.argument("client", type=click.Choice(CLIENTS), default="claude")
@options.server
@options.as_json
@options.timeout
def connect(*, client: str, server: str | None, as_json: bool, timeout_s: float | None) -> None:
    """Print what makes an AI client know a server: the command for Claude Code, or the JSON for a client's file."""
    found = _find(server, f"connect {client}", timeout_s)
    entry = report.entry(found, typed=client != "cursor")
    if entry is None:
        raise NotFound(
            f"{found['id']} does not say how AI clients get to it", hint="kinds.NAME.url or .connect in config.toml"
        )
    if as_json or client != "claude":
        output.document(entry)
    else:
        output.line(report.paste(found) or "")


def _find(server: str | None, verb: str, timeout_s: float | None) -> Any:
    with knock.connect(timeout_s=timeout_s) as client:
        return client.call("server.get", {"server": knock.named(client, server, verb)})
