"""The command `restart`, for servers and for the daemon."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from ...native.facts import folders
from .. import options, remote
from ..context import recipes, shell
from ..daemon_commands import daemon
from ..deadline import Deadline
from ..text import bridge_notes
from . import several_servers


@click.command
@click.option("--daemon", "the_daemon", is_flag=True, help="Restart the daemon itself. Servers keep running.")
@options.several_servers
def restart(
    *, servers: tuple[str, ...], every_server: bool, the_daemon: bool, force: bool, as_json: bool, deadline: Deadline
) -> int:
    """Stop servers and start them again.

    ID is a server's id, a kind, or a project (its folder, or the folder's name). With exactly one server it can be left
    out.
    """
    where = folders()
    if the_daemon:
        if servers or every_server or force:
            raise click.UsageError("--daemon restarts only the daemon: use it without ID, --all and --force")
        daemon.restart_daemon(where, as_json=as_json, deadline=deadline)
        return 0
    selection = several_servers.Selection(
        servers, every_server=every_server, force=force, as_json=as_json, deadline=deadline
    )
    with remote.connect(deadline=deadline) as client:

        def notes(row: Mapping[str, Any]) -> Iterator[str]:
            yield from bridge_notes.after_a_restart(row.get("bridges", ()))
            yield from (f"note: {text}" for text in shell.notes(client, recipes.find_kind(row["kind"], where)))

        return several_servers.stop_or_restart_each(
            client,
            "restart",
            selection,
            line=lambda row: f"{row['id']}: {row['state']}{' at ' + row['url'] if row['url'] else ''}",
            notes=notes,
        )
