"""`reap`: the verdict on every server, and the end of those that nobody needs."""

import click

from .. import options, output, remote
from ..deadline import Deadline

REAP_TIMEOUT_S = 60.0


@click.command
@click.option("--dry-run", is_flag=True, help="Only show the verdicts.")
@options.as_json
@options.timeout
def reap(*, dry_run: bool, as_json: bool, deadline: Deadline) -> None:
    """Judge every server, and stop the orphans."""
    answer = remote.ask("reap", {"dry_run": dry_run}, deadline=deadline, usual_s=REAP_TIMEOUT_S)
    if as_json:
        output.document(answer)
        return
    if not answer["servers"]:
        output.line("no servers")
        return
    rows = [
        (row["server"], row["verdict"], due(row.get("due_in_s")), "; ".join(row.get("reasons", ())))
        for row in answer["servers"]
    ]
    for text in output.table(("SERVER", "VERDICT", "DUE", "REASONS"), rows):
        output.line(text)


def due(seconds: float | None) -> str | None:
    """When the second sample is taken."""
    return None if seconds is None else f"in {output.number(round(seconds, 1))} s"
