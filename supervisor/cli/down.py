"""`down`: end one server."""

import click

from . import knock, options, output


@click.command
@options.server
@options.force
@options.as_json
@options.timeout
def down(*, server: str | None, force: bool, as_json: bool, timeout_s: float | None) -> None:
    """Stop a server. With exactly one, ID may be left out."""
    with knock.connect() as client:
        server = knock.named(client, server, "down")
        stopped = knock.disturb(client, "down", server, force=force, quiet=as_json, timeout_s=timeout_s)
    if as_json:
        output.document(stopped)
    else:
        output.line(f"{server}: {stopped['state']}")
