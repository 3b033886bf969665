"""The command `adopt`, which takes over a server that another program started."""

from typing import Any

import click

from ...client.client import Client
from ...errors import NotFound, SupervisorError
from ...native.facts import folders
from .. import options, output, remote
from ..context import recipes
from ..deadline import Deadline
from ..text import server_report

PORT_MAX = 65535


def _checked_target(ctx: click.Context, param: click.Parameter, value: str) -> int:
    if not value.isdecimal() or int(value) == 0:
        raise click.BadParameter(f"{value!r} is neither a process id nor a port", ctx, param)
    return int(value)


@click.command
@click.argument("target", metavar="PID|PORT", callback=_checked_target)
@click.option("--kind", metavar="KIND", help="The kind of the server. Default: the kind that recognises it.")
@options.owner_pid
@options.as_json
@options.timeout
def adopt(
    *, target: int, kind: str | None, owner_pid: options.OwnerOption | None, as_json: bool, deadline: Deadline
) -> None:
    """Take over a server that another program started.

    The server is then treated as if it had been started here. A number that can be a port is tried as a port first,
    then as a process id.
    """
    params: dict[str, Any] = {} if kind is None else {"kind": kind}
    if owner_pid is not None:
        params["owner"] = owner_pid
    with remote.connect(deadline=deadline) as client:
        server = _adopt(client, target, params, as_json=as_json, deadline=deadline)
        editors = client.call("status")["editors"] if server["owners"] and not as_json else []
    if as_json:
        output.document(server)
        return
    for text in server_report.lines(
        server, editors, recipes.find_kind(server["kind"], folders()), already_running=False
    ):
        output.line(text)


def _adopt(client: Client, target: int, params: dict[str, Any], *, as_json: bool, deadline: Deadline) -> dict[str, Any]:
    """Adopt the server that listens on port `target`, else the process with that id, and return it."""

    def adopt_by(name: str) -> dict[str, Any]:
        adopted: dict[str, Any] = remote.run_operation(
            client, "server.adopt", {**params, name: target}, as_json=as_json, deadline=deadline
        )
        return adopted

    if target > PORT_MAX:
        return adopt_by("pid")
    try:
        return adopt_by("port")
    except SupervisorError as error:
        if error.code != NotFound.code:
            raise
    try:
        return adopt_by("pid")
    except SupervisorError as error:
        if error.code != NotFound.code:
            raise
        raise NotFound(
            f"no server listens on port {target}, and there is no process {target}", hint="godot-supervisor ports"
        ) from error
