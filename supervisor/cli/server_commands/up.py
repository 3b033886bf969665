"""The command `up`, which starts or reuses a server."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ...errors import KindUnknown, SupervisorError
from ...native.facts import Folders, folders
from .. import options, output, remote
from ..context import other_files, recipes, shell
from ..context.projects import project_here, utf8_path
from ..daemon_commands.daemon import START_TIMEOUT_S
from ..deadline import Deadline
from ..text import server_report


@click.command
@click.argument("kind")
@options.owner_pid
@options.project
@click.option("--version", metavar="V", help="The exact version of the server.")
@options.as_json
@options.timeout
def up(
    *,
    kind: str,
    owner_pid: options.OwnerOption | None,
    project: Path | None,
    version: str | None,
    as_json: bool,
    deadline: Deadline,
) -> None:
    """Start a server, or reuse a running one, and print its URL.

    Starts the daemon first if none runs. `godot-supervisor kinds` lists the values of KIND: godot-ai, unity-mcp, and
    those of config.toml.
    """
    where = folders()
    params = ensure_params(kind, owner_pid, project or project_here(), version)
    with remote.connect_or_start(where, deadline, default_s=START_TIMEOUT_S) as client:
        asked_at = time.time()
        stages: set[str] = set()
        with shell.explaining(client), _explaining_unknown_kind(kind, where):
            server = remote.run_operation(
                client,
                "server.ensure",
                params,
                as_json=as_json,
                deadline=deadline,
                on_progress=lambda progress: stages.add(progress["stage"]),
            )
        editors = client.call("status")["editors"] if server["owners"] and not as_json else []
        known_kind = recipes.find_kind(server["kind"], where)
        notes = () if as_json else shell.notes(client, known_kind)
    if as_json:
        output.document(server)
        return
    # Both are wall times of this machine. A server that was just adopted is older than this command, and new here.
    already_running = server["since"] < asked_at and "adopting" not in stages
    for text in server_report.lines(server, editors, known_kind, already_running=already_running):
        output.line(text)
    for text in notes:
        output.note(f"note: {text}")


@contextmanager
def _explaining_unknown_kind(kind: str, where: Folders) -> Iterator[None]:
    """While inside, give an unknown kind that config.toml has a hint that says how the daemon gets to know it.

    Raises:
        SupervisorError: the error that was raised inside.
    """
    try:
        yield
    except SupervisorError as problem:
        if problem.code == KindUnknown.code and recipes.find_kind(kind, where) is not None:
            problem.hint = _how_to_reload(where)
        raise


def _how_to_reload(where: Folders) -> str:
    other = other_files.other_config_file(where, other_files.ask_running_daemon(where))
    if other is not None:
        return f"the kind is in {where.config}, but the daemon reads {other}: godot-supervisor restart --daemon"
    return f"the kind is in {where.config}, which the daemon has not read since: godot-supervisor config reload"


def ensure_params(
    kind: str, owner_pid: options.OwnerOption | None, project: Path | None, version: str | None
) -> dict[str, Any]:
    """Return the params of `server.ensure`. Paths are absolute, because the daemon has another current folder."""
    params: dict[str, Any] = {"kind": kind}
    folder = {} if project is None else {"project": utf8_path(str(project.resolve()))}
    if owner_pid is None:
        params |= folder
    else:
        params["owner"] = {**owner_pid, **folder}
    if version is not None:
        params["version"] = version
    return params
