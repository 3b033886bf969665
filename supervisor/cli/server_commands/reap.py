"""The command `reap`: the verdict on every server, and the stop of orphans."""

import click

from .. import formatting, options, output, remote
from ..deadline import Deadline

REAP_TIMEOUT_S = 60.0


@click.command
@click.option("--dry-run", is_flag=True, help="Show the verdicts, and stop nothing.")
@options.as_json
@options.timeout
def reap(*, dry_run: bool, as_json: bool, deadline: Deadline) -> None:
    """Check every server, and stop the orphans.

    An orphan is a server whose owners have ended and which no lease and no session keeps.
    """
    answer = remote.query("reap", {"dry_run": dry_run}, deadline=deadline, default_s=REAP_TIMEOUT_S)
    if as_json:
        output.document(answer)
        return
    if not answer["servers"]:
        output.line("no servers")
        return
    rows = [
        (row["server"], row["verdict"], formatting.due(row.get("due_in_s")), "; ".join(row.get("reasons", ())))
        for row in answer["servers"]
    ]
    for text in formatting.table(("SERVER", "VERDICT", "DUE", "REASONS"), rows):
        output.line(text)
