"""Arguments and options that many verbs share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .context.projects import PROJECT_FILE, Folder
from .deadline import Deadline

LONGEST_S = 1_000_000.0
"""Eleven days. The system's own waits end at twenty-four."""

PARENT = "parent"

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

server: Decorator = click.argument("server", metavar="[ID]", required=False)

servers: Decorator = click.argument("servers", metavar="[ID]...", nargs=-1)

every: Decorator = click.option("--all", "every", is_flag=True, help="Every server that was started or adopted here.")

force: Decorator = click.option("--force", is_flag=True, help="Even if an editor on it is busy.")

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print the protocol's object as JSON.")


def _owner_pid(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Return a process id; `parent` is the process that started this command."""
    if value is None:
        return None
    if value == PARENT:
        from ..native.platforms import parent_pid

        return parent_pid()
    if not value.isdecimal() or int(value) == 0:
        raise click.BadParameter(f"{value!r} is neither a process id nor {PARENT!r}", ctx, param)
    return int(value)


owner_pid: Decorator = click.option(
    "--owner-pid", callback=_owner_pid, metavar="PID|parent", help="Keep the server while this process lives."
)


project: Decorator = click.option(
    "--project",
    type=Folder(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help=f"The Godot project. Default: the current folder, if it has a {PROJECT_FILE}.",
)


def _deadline(ctx: click.Context, param: click.Parameter, value: float | None) -> Deadline:
    # NaN is neither: every comparison with it is false.
    if value is not None and not 0 < value <= LONGEST_S:
        raise click.BadParameter(f"{value} is no number of seconds up to {LONGEST_S:.0f}", ctx, param)
    return Deadline(value)


timeout: Decorator = click.option(
    "--timeout",
    "deadline",
    type=float,
    callback=_deadline,
    metavar="SECONDS",
    help="Give up after so many seconds in all.",
)
