"""`down`: end one server."""

import click

from . import knock, options, output
from .deadline import Deadline


@click.command
@options.server
@options.force
@options.as_json
@options.timeout
def down(*, server: str | None, force: bool, as_json: bool, deadline: Deadline) -> None:
    """Stop a server. With exactly one, ID may be left out."""
    with knock.connect(deadline=deadline) as client:
        server = knock.ours_named(client, server, "down", deadline)
        stopped = knock.disturb(client, "down", server, force=force, quiet=as_json, deadline=deadline)
    if as_json:
        output.document(stopped)
    else:
        output.line(f"{server}: {stopped['state']}")
