"""The command `mcp`: the MCP bridge, which AI clients start."""

from pathlib import Path

import click

from .. import options
from . import bridge_start


@click.command
@click.argument("kind", required=False)
@options.project
def mcp(*, kind: str | None, project: Path | None) -> int:
    """Serve an AI client on standard input and output.

    AI clients start this command. It never loses its server: it waits while the server is replaced, and has the daemon
    start the server when it is needed. KIND is the kind of server; without it, that of the editor that is open in the
    project, else godot-ai. Without --project, the project is the current folder or the nearest one above it that has a
    project.godot, else one that the client names.
    """
    return bridge_start.serve(kind, None if project is None else str(project))
