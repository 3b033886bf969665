"""`up`: a server that is ready, whatever it takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..client.client import Client
from ..native.facts import folders
from ..native.wing import parent_pid
from . import knock, options, output, recipes, report
from .daemon import START_TIMEOUT_S

PROJECT_FILE = "project.godot"
PARENT = "parent"


def _owner_pid(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A process id, or the word for whoever started this command."""
    if value is None:
        return None
    if value == PARENT:
        return parent_pid()
    if not value.isdecimal() or int(value) == 0:
        raise click.BadParameter(f"{value!r} is neither a process id nor {PARENT!r}", ctx, param)
    return int(value)


@click.command
@click.argument("kind")
@click.option(
    "--owner-pid", callback=_owner_pid, metavar="PID|parent", help="Keep the server while this process lives."
)
@click.option(
    "--project",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help=f"The Godot project. Default: the current folder, if it has a {PROJECT_FILE}.",
)
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
    timeout_s: float | None,
) -> None:
    """Make sure that a server of KIND is ready, and say how to reach it."""
    where = folders()
    params = request(kind, owner_pid, project or project_here(), version)
    with knock.awaken(where, timeout_s=START_TIMEOUT_S) as client:
        before = _running(client)
        server = knock.perform(client, "server.ensure", params, quiet=as_json, timeout_s=timeout_s)
        editors = [] if as_json else client.call("status")["editors"]
    if as_json:
        output.document(server)
        return
    already = _pid(server) is not None and before.get(server["id"]) == _pid(server)
    for text in report.lines(server, editors, recipes.find(server["kind"], where), already=already):
        output.line(text)


def request(kind: str, owner_pid: int | None, project: Path | None, version: str | None) -> dict[str, Any]:
    """The parameters of `server.ensure`. The daemon has another current folder, so paths are absolute."""
    params: dict[str, Any] = {"kind": kind}
    folder = {} if project is None else {"project": str(project.resolve())}
    if owner_pid is None:
        params |= folder
    else:
        params["owner"] = {"pid": owner_pid, **folder}
    if version is not None:
        params["version"] = version
    return params


def project_here() -> Path | None:
    """The current folder, if it is a Godot project."""
    here = Path.cwd()
    return here if (here / PROJECT_FILE).is_file() else None


def _running(client: Client) -> dict[str, int | None]:
    """The pid of every server that is ready."""
    servers = client.call("server.list")["servers"]
    return {row["id"]: _pid(row) for row in servers if row["state"] == "ready"}


def _pid(server: Mapping[str, Any]) -> int | None:
    return server["process"]["pid"] if server["process"] else None
