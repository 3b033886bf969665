"""`environments`: the private environments on the disk, and the end of those that nothing uses."""

from collections.abc import Sequence
from typing import Any

import click

from . import knock, options, output
from .deadline import Deadline

WEIGH_TIMEOUT_S = 60.0
PRUNE_TIMEOUT_S = 300.0

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


@click.group
def environments() -> None:
    """Show or remove the private environments of servers."""


@environments.command("list")
@options.as_json
@options.timeout
def show(*, as_json: bool, deadline: Deadline) -> None:
    """Show every environment, its size, and what uses it."""
    answer = knock.ask("environments.list", deadline=deadline, usual_s=WEIGH_TIMEOUT_S)
    if as_json:
        output.document(answer)
        return
    _table(answer["environments"])
    output.line(f"in {answer['folder']}")


@environments.command
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@options.as_json
@options.timeout
def prune(*, dry_run: bool, as_json: bool, deadline: Deadline) -> None:
    """Remove the environments that no kind names and nothing runs from."""
    answer = knock.ask("environments.prune", {"dry_run": dry_run}, deadline=deadline, usual_s=PRUNE_TIMEOUT_S)
    if as_json:
        output.document(answer)
        return
    gone = answer["removed"]
    if not gone:
        output.line("nothing to remove")
        return
    _table(gone)
    output.line(f"{'would free' if dry_run else 'freed'} {size(sum(row['size'] for row in gone))}")


def size(count: int) -> str:
    """A number of bytes, as in `12.3 MiB`."""
    value, unit = float(count), 0
    while value >= _STEP and unit < len(_UNITS) - 1:
        value, unit = value / _STEP, unit + 1
    return f"{value:.1f} {_UNITS[unit]}" if unit else f"{count} B"


def _table(rows: Sequence[Any]) -> None:
    if not rows:
        output.line("no environments")
        return
    cells = [(row["package"], row["version"], size(row["size"]), ", ".join(row["used_by"])) for row in rows]
    for text in output.table(("PACKAGE", "VERSION", "SIZE", "USED BY"), cells):
        output.line(text)
