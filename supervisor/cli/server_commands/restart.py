"""`restart`: servers, or the daemon beneath them."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from ...native.facts import folders
from .. import options, remote, server_choice
from ..context import recipes, shell
from ..daemon_commands import daemon
from ..deadline import Deadline
from ..text import bridge_notes


@click.command
@options.servers
@options.every
@click.option("--daemon", "the_daemon", is_flag=True, help="The daemon itself. Servers go on meanwhile.")
@options.force
@options.as_json
@options.timeout
def restart(
    *, servers: tuple[str, ...], every: bool, the_daemon: bool, force: bool, as_json: bool, deadline: Deadline
) -> int:
    """Stop servers and start them again. ID may also be a kind or a project; with exactly one, it may be left out."""
    where = folders()
    if the_daemon:
        if servers or every or force:
            raise click.UsageError("--daemon stands alone: it touches no server")
        daemon.begin_anew(where, as_json=as_json, deadline=deadline)
        return 0
    with remote.connect(deadline=deadline) as client:

        def again(server: str) -> Mapping[str, Any]:
            with shell.explaining(client):
                return remote.disturb(client, "restart", server, force=force, quiet=as_json, deadline=deadline)

        def notes(row: Mapping[str, Any]) -> Iterator[str]:
            yield from bridge_notes.after_a_restart(row.get("bridges", ()))
            yield from (f"note: {text}" for text in shell.notes(client, recipes.find(row["kind"], where)))

        return server_choice.each(
            client,
            servers,
            "restart",
            deadline,
            again,
            every=every,
            as_json=as_json,
            say=lambda row: f"{row['id']}: {row['state']}{' at ' + row['url'] if row['url'] else ''}",
            notes=notes,
        )
