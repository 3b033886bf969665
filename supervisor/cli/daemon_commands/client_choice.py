"""The AI clients and the scope that a command line of `clients` means: its arguments and options."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from ...errors import ClientScopeMissing, NotFound, allowed_names
from ...mcp.ai_clients.changes import FAILED, FileEdit
from ...mcp.ai_clients.entry import is_name
from ...mcp.ai_clients.places import Places
from ...mcp.ai_clients.presence import found_by
from ...mcp.ai_clients.table import ALIASES, CLIENTS
from ...mcp.ai_clients.target import LOCAL, PROJECT, USER, Target, targets
from .. import options
from ..context.projects import Folder, project_here, utf8_path


def _client_names(ctx: click.Context, param: click.Parameter, value: Sequence[str]) -> tuple[str, ...]:
    """Return the names in the table for what the user typed, each once."""
    names = [ALIASES.get(word.lower(), word.lower()) for word in value]
    for word, name in zip(value, names, strict=True):
        if name not in CLIENTS:
            raise click.BadParameter(f"{word!r} is no client; {allowed_names(name, CLIENTS)}", ctx, param)
    return tuple(dict.fromkeys(names))


def _entry_name(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Return the name for a new entry. Clients make a part of their tools' names from it."""
    if value is not None and not is_name(value):
        raise click.BadParameter(f"{value!r} has more than letters, digits, hyphens and underscores", ctx, param)
    return value


clients: options.Decorator = click.argument("names", metavar="[CLIENT]...", nargs=-1, callback=_client_names)
user: options.Decorator = click.option("--user", is_flag=True, help="The client's file for all projects (default).")
local: options.Decorator = click.option(
    "--local", is_flag=True, help="Your own entry for one project (Claude Code only)."
)
dry_run: options.Decorator = click.option(
    "--dry-run", is_flag=True, help="Show what would be changed, and write nothing."
)
kind: options.Decorator = click.option(
    "--kind", metavar="KIND", help="The kind of server. Default: that of the project, else godot-ai."
)
_NAME_HELP = "The name of the entry. Default: the kind, or else godot."
new_name: options.Decorator = click.option("--name", metavar="NAME", callback=_entry_name, help=_NAME_HELP)
name: options.Decorator = click.option("--name", metavar="NAME", help=_NAME_HELP)
project: options.Decorator = click.option(
    "--project",
    type=Folder(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="The client's file in this project, instead of the user's.",
)


def chosen_scope(project: Path | None, *, user: bool, local: bool) -> str:
    """Return the scope that these options mean.

    Raises:
        click.UsageError: they contradict each other.
    """
    if user and (project is not None or local):
        raise click.UsageError("--user cannot be used with --project or --local")
    return LOCAL if local else USER if project is None else PROJECT


def for_each_client(
    names: Sequence[str],
    scope: str,
    project: Path | None,
    action: Callable[[Target], FileEdit],
    *,
    every_file: bool = False,
    without_files: bool = False,
) -> list[FileEdit]:
    """Perform the action on the named clients, or on every client that is found and has a file for this scope.

    `every_file`: on each file that a client reads, not only on the one to install to. `without_files`: also for clients
    that are not found, but have a file.

    Raises:
        ClientScopeMissing: the scope is LOCAL, and there is no project.
        NotFound: no client is named, and none is found.
    """
    places = Places(os.environ)
    if scope == LOCAL:
        project = project or project_here()
        if project is None:
            raise ClientScopeMissing("there is no project here", hint="name it: --project DIR")
        # The path becomes a key in the file.
        utf8_path(str(project))
    done: list[FileEdit] = []
    for client in (CLIENTS[name] for name in names or CLIENTS):
        try:
            found = targets(client, scope, places, project)
        except ClientScopeMissing as problem:
            if names:
                nowhere = Target(client, scope, Path(), client.table, Path())
                done.append(FileEdit(nowhere, "", FAILED, problem=problem))
            continue
        exists = without_files and any(target.exists() for target in found)
        if names or exists or found_by(client, places, os.environ) is not None:
            done += [action(target) for target in (found if every_file else found[:1])]
    if not done:
        raise NotFound(
            "no AI client is found on this machine", hint=f"name one of {', '.join(CLIENTS)}, to make its file anyway"
        )
    return done
