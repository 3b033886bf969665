"""Arguments and options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .context.projects import PROJECT_FILE, Folder
from .deadline import Deadline

LONGEST_TIMEOUT_S = 1_000_000.0
"""Eleven days, which every system can wait: Windows limits a wait to 49 days, and poll() to 24."""

PARENT = "parent"

OwnerOption = dict[str, Any]
"""The process of `--owner-pid`, as `server.ensure` and `server.adopt` take an owner."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

server: Decorator = click.argument("server", metavar="[ID]", required=False)

_servers: Decorator = click.argument("servers", metavar="[ID]...", nargs=-1)

_all: Decorator = click.option(
    "--all", "every_server", is_flag=True, help="Act on every server that was started or adopted here."
)

_force: Decorator = click.option("--force", is_flag=True, help="Act even if an editor that uses the server is busy.")

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def _parsed_owner(ctx: click.Context, param: click.Parameter, value: str | None) -> OwnerOption | None:
    """Return the process that the user typed; `parent` is the process that started this command."""
    if value is None:
        return None
    if value != PARENT and (not value.isdecimal() or int(value) == 0):
        raise click.BadParameter(f"{value!r} is neither a process id nor {PARENT!r}", ctx, param)
    from .context.owner import identify_owner

    return identify_owner(None if value == PARENT else int(value))


owner_pid: Decorator = click.option(
    "--owner-pid",
    callback=_parsed_owner,
    metavar="PID|parent",
    help="Stop the server after this process has ended; parent: the shell or program that runs this command.",
)


project: Decorator = click.option(
    "--project",
    type=Folder(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help=f"The Godot project. Default: the current folder, if it has a {PROJECT_FILE}.",
)


def _parsed_deadline(ctx: click.Context, param: click.Parameter, value: float | None) -> Deadline:
    """Return the deadline, which begins now."""
    # Written so that NaN is refused as well: every comparison with NaN is false.
    if value is not None and not 0 < value <= LONGEST_TIMEOUT_S:
        raise click.BadParameter(
            f"{value} is not a number of seconds between 0 and {LONGEST_TIMEOUT_S:.0f}", ctx, param
        )
    return Deadline(value)


timeout: Decorator = click.option(
    "--timeout",
    "deadline",
    type=float,
    callback=_parsed_deadline,
    metavar="SECONDS",
    help="Give up if the whole command takes longer than this.",
)


def several_servers(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments and options of commands that act on several servers, `down` and `restart`."""
    # The last decorator of a command comes first in its help.
    for decorator in (timeout, as_json, _force, _all, _servers):
        command = decorator(command)
    return command
