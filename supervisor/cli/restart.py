"""`restart`: one server, or the daemon beneath its servers."""

import click

from ..native.facts import folders
from . import daemon, knock, options, output, recipes, shell
from .deadline import Deadline


@click.command
@options.server
@click.option("--daemon", "the_daemon", is_flag=True, help="The daemon itself. Servers go on meanwhile.")
@options.force
@options.as_json
@options.timeout
def restart(*, server: str | None, the_daemon: bool, force: bool, as_json: bool, deadline: Deadline) -> None:
    """Stop a server and start it again. With exactly one, ID may be left out."""
    where = folders()
    if the_daemon:
        if server is not None or force:
            raise click.UsageError("--daemon stands alone: it touches no server")
        daemon.begin_anew(where, as_json=as_json, deadline=deadline)
        return
    with knock.connect(deadline=deadline) as client:
        server = knock.ours_named(client, server, "restart", deadline)
        with shell.explaining(client):
            again = knock.disturb(client, "restart", server, force=force, quiet=as_json, deadline=deadline)
        notes = () if as_json else shell.notes(client, recipes.find(again["kind"], where))
    if as_json:
        output.document(again)
    else:
        output.line(f"{server}: {again['state']}{' at ' + again['url'] if again['url'] else ''}")
    for text in notes:
        output.note(f"note: {text}")
