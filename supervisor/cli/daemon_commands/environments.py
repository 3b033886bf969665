"""`environments`: the private environments on the disk, and the end of those that nothing uses."""

from collections.abc import Sequence
from typing import Any

import click

from .. import options, output, remote
from ..deadline import Deadline

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
    answer = remote.ask("environments.list", deadline=deadline, usual_s=WEIGH_TIMEOUT_S)
    if as_json:
        output.document(answer)
        return
    _table(answer["environments"])
    _leftovers(answer.get("leftovers", ()))
    output.line(f"in {answer['folder']}")


@environments.command
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Also those that a kind names and nothing runs from.")
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@options.as_json
@options.timeout
def prune(*, ids: Sequence[str], everything: bool, dry_run: bool, as_json: bool, deadline: Deadline) -> None:
    """Remove the environments that no kind names and nothing runs from.

    With ID, as in `list`, only these, also where a kind names them. What is needed again is installed again.
    """
    params: dict[str, Any] = {"dry_run": dry_run}
    if everything:
        params["all"] = True
    if ids:
        params["environments"] = list(ids)
    answer = remote.ask("environments.prune", params, deadline=deadline, usual_s=PRUNE_TIMEOUT_S)
    if as_json:
        output.document(answer)
        return
    gone, left = answer["removed"], answer.get("leftovers", ())
    if not gone and not left:
        output.line("nothing to remove")
        return
    if gone:
        _table(gone)
    _leftovers(left)
    output.line(f"{'would free' if dry_run else 'freed'} {size(sum(row['size'] for row in (*gone, *left)))}")


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
    cells = [
        (row.get("id") or f"{row['package']}-{row['version']}", _version(row), size(row["size"]), _users(row))
        for row in rows
    ]
    for text in output.table(("ID", "VERSION", "SIZE", "USED BY"), cells):
        output.line(text)


def _version(row: Any) -> str:
    """The version that is in it, which may be another spelling of the one that was asked for."""
    return str(row.get("installed") or row["version"])


def _users(row: Any) -> str:
    return ", ".join((*(["(broken: its interpreter has gone)"] if row.get("broken") else []), *row["used_by"]))


def _leftovers(rows: Sequence[Any]) -> None:
    for row in rows:
        output.line(f"{row['path']}: {row['what']}, {size(row['size'])}")
