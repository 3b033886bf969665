"""`up`: a server that is ready, whatever it takes."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ...errors import KindUnknown, SupervisorError
from ...native.facts import Folders, folders
from .. import options, output, remote
from ..context import other_files, recipes, shell
from ..context.projects import project_here, readable
from ..daemon_commands.daemon import START_TIMEOUT_S
from ..deadline import Deadline
from ..text import report


@click.command
@click.argument("kind")
@options.owner_pid
@options.project
@click.option("--version", metavar="V", help="The server's exact version.")
@options.as_json
@options.timeout
def up(
    *,
    kind: str,
    owner_pid: int | None,
    project: Path | None,
    version: str | None,
    as_json: bool,
    deadline: Deadline,
) -> None:
    """Have a server of KIND ready, and say how to reach it.

    Starts the daemon if none runs. `godot-supervisor kinds` shows what KIND can be: godot-ai, unity-mcp, and those of
    config.toml.
    """
    where = folders()
    params = request(kind, owner_pid, project or project_here(), version)
    with remote.awaken(where, deadline, usual_s=START_TIMEOUT_S) as client:
        asked_at = time.time()
        adopted: list[object] = []

        def told(progress: Mapping[str, Any]) -> None:
            if progress["stage"] == "adopting":
                adopted.append(progress)

        with shell.explaining(client), _looking_into_the_file(kind, where):
            server = remote.perform(client, "server.ensure", params, quiet=as_json, deadline=deadline, on_progress=told)
        editors = client.call("status")["editors"] if server["owners"] and not as_json else []
        recipe = recipes.find(server["kind"], where)
        notes = () if as_json else shell.notes(client, recipe)
    if as_json:
        output.document(server)
        return
    # Both are wall time of this machine. What somebody else started is older, and new here all the same.
    already = server["since"] < asked_at and not adopted
    for text in report.lines(server, editors, recipe, already=already):
        output.line(text)
    for text in notes:
        output.note(f"note: {text}")


@contextmanager
def _looking_into_the_file(kind: str, where: Folders) -> Iterator[None]:
    """While inside, a kind that the daemon does not know and config.toml does is known to be a new one.

    Raises:
        SupervisorError: what was raised inside, with what to do about it.
    """
    try:
        yield
    except SupervisorError as problem:
        if problem.code == KindUnknown.code and recipes.find(kind, where) is not None:
            problem.hint = _how_to_have_it_read(where)
        raise


def _how_to_have_it_read(where: Folders) -> str:
    other = other_files.other_file(where, other_files.daemon_of(where))
    if other is not None:
        return f"{where.config} has it, and the daemon reads {other}: godot-supervisor restart --daemon"
    return f"{where.config} has it, the daemon has not read it yet: godot-supervisor config reload"


def request(kind: str, owner_pid: int | None, project: Path | None, version: str | None) -> dict[str, Any]:
    """The parameters of `server.ensure`. The daemon has another current folder, so paths are absolute."""
    params: dict[str, Any] = {"kind": kind}
    folder = {} if project is None else {"project": readable(str(project.resolve()))}
    if owner_pid is None:
        params |= folder
    else:
        params["owner"] = {"pid": owner_pid, **folder}
    if version is not None:
        params["version"] = version
    return params
