"""The commands `environments list` and `environments prune`."""

from collections.abc import Sequence
from typing import Any

import click

from .. import options, output, remote
from ..deadline import Deadline
from ..formatting import table

LIST_TIMEOUT_S = 60.0
PRUNE_TIMEOUT_S = 300.0

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP = 1024


@click.group
def environments() -> None:
    """List or remove the private Python environments of servers."""


@environments.command("list")
@options.as_json
@options.timeout
def show(*, as_json: bool, deadline: Deadline) -> None:
    """List every environment, its size, and what uses it."""
    answer = remote.query("environments.list", deadline=deadline, default_s=LIST_TIMEOUT_S)
    if as_json:
        output.document(answer)
        return
    _table(answer["environments"])
    _leftovers(answer.get("leftovers", ()))
    output.line(f"in {answer['folder']}")


@environments.command
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Also remove what kinds need, unless a process uses it.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@options.as_json
@options.timeout
def prune(*, ids: Sequence[str], everything: bool, dry_run: bool, as_json: bool, deadline: Deadline) -> None:
    """Remove environments that no kind needs and no process uses.

    With ID (see `list`), removes only these, even if a kind needs them. An environment that is needed again is
    installed again.
    """
    params: dict[str, Any] = {"dry_run": dry_run}
    if everything:
        params["all"] = True
    if ids:
        params["environments"] = list(ids)
    answer = remote.query("environments.prune", params, deadline=deadline, default_s=PRUNE_TIMEOUT_S)
    if as_json:
        output.document(answer)
        return
    removed, left = answer["removed"], answer.get("leftovers", ())
    if not removed and not left:
        output.line("nothing to remove")
        return
    if removed:
        _table(removed)
    _leftovers(left)
    output.line(f"{'would free' if dry_run else 'freed'} {size(sum(row['size'] for row in (*removed, *left)))}")


def size(count: int) -> str:
    """Return a number of bytes as text, as in `12.3 MiB`."""
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
    for text in table(("ID", "VERSION", "SIZE", "USED BY"), cells):
        output.line(text)


def _version(row: Any) -> str:
    """Return the installed version, whose spelling may differ from that of the requested one."""
    return str(row.get("installed") or row["version"])


def _users(row: Any) -> str:
    return ", ".join((*(["(broken: its interpreter is missing)"] if row.get("broken") else []), *row["used_by"]))


def _leftovers(rows: Sequence[Any]) -> None:
    for row in rows:
        output.line(f"{row['path']}: {row['what']}, {size(row['size'])}")
