"""The command `down`, which stops servers."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from .. import options, remote
from ..deadline import Deadline
from ..text import bridge_notes
from . import several_servers

LEFT_RUNNING = "left running: "
"""How the daemon begins a note on a process that a stop has left alone."""


@click.command
@options.several_servers
def down(*, servers: tuple[str, ...], every_server: bool, force: bool, as_json: bool, deadline: Deadline) -> int:
    """Stop servers.

    ID is a server's id, a kind, or a project (its folder, or the folder's name). With exactly one server it can be left
    out.
    """
    selection = several_servers.Selection(
        servers, every_server=every_server, force=force, as_json=as_json, deadline=deadline
    )
    with remote.connect(deadline=deadline) as client:
        return several_servers.stop_or_restart_each(
            client,
            "down",
            selection,
            line=lambda row: f"{row['id']}: {row['state']}",
            notes=lambda row: (*_notes_on_left_processes(row), *bridge_notes.after_a_stop(row.get("bridges", ()))),
        )


def _notes_on_left_processes(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the notes on what the stop has left running."""
    yield from (str(note) for note in row.get("notes", ()) if str(note).startswith(LEFT_RUNNING))
