"""The command `down`, which stops servers."""

import click

from .. import options, remote
from ..deadline import Deadline
from ..text import bridge_notes
from . import several_servers


@click.command
@options.several_servers
def down(*, servers: tuple[str, ...], every: bool, force: bool, as_json: bool, deadline: Deadline) -> int:
    """Stop servers.

    ID is a server's id, a kind or a project. With exactly one server it can be left out.
    """
    selection = several_servers.Selection(servers, every, force, as_json, deadline)
    with remote.connect(deadline=deadline) as client:
        return several_servers.run(
            client,
            "down",
            selection,
            line=lambda row: f"{row['id']}: {row['state']}",
            notes=lambda row: bridge_notes.after_a_stop(row.get("bridges", ())),
        )
