"""`down`: end servers."""

import click

from .. import options, remote, server_choice
from ..deadline import Deadline
from ..text import bridge_notes


@click.command
@options.servers
@options.every
@options.force
@options.as_json
@options.timeout
def down(*, servers: tuple[str, ...], every: bool, force: bool, as_json: bool, deadline: Deadline) -> int:
    """Stop servers. ID may also be a kind or a project; with exactly one server, it may be left out."""
    with remote.connect(deadline=deadline) as client:
        return server_choice.each(
            client,
            servers,
            "down",
            deadline,
            lambda server: remote.disturb(client, "down", server, force=force, quiet=as_json, deadline=deadline),
            every=every,
            as_json=as_json,
            say=lambda row: f"{row['id']}: {row['state']}",
            notes=lambda row: bridge_notes.after_a_stop(row.get("bridges", ())),
        )
