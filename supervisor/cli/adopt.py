"""`adopt`: look after a server that somebody else started."""

from typing import Any

import click

from ..client.client import Client
from ..errors import NotFound, SupervisorError
from ..native.facts import folders
from . import knock, options, output, recipes, report

PORT_MAX = 65535


@click.command
@click.argument("target", metavar="PID|PORT", type=click.IntRange(min=1))
@click.option("--kind", help="Its kind. Default: the one that recognises it.")
@click.option(
    "--owner-pid", type=click.IntRange(min=1), metavar="PID", help="Keep the server while this process lives."
)
@options.as_json
@options.timeout
def adopt(*, target: int, kind: str | None, owner_pid: int | None, as_json: bool, timeout_s: float | None) -> None:
    """Look after the server on a port, or of a process, from now on. A number that can be both is taken for a port."""
    params: dict[str, Any] = {} if kind is None else {"kind": kind}
    if owner_pid is not None:
        params["owner"] = {"pid": owner_pid}
    progress = output.Progress(quiet=as_json)
    with knock.connect() as client:
        try:
            server = _adopt(client, target, params, progress, timeout_s)
        finally:
            progress.end()
        editors = [] if as_json else client.call("status")["editors"]
    if as_json:
        output.document(server)
        return
    for text in report.lines(server, editors, recipes.find(server["kind"], folders()), already=False):
        output.line(text)


def _adopt(
    client: Client, target: int, params: dict[str, Any], progress: output.Progress, timeout_s: float | None
) -> dict[str, Any]:
    def ask(**what: int) -> dict[str, Any]:
        answer: dict[str, Any] = client.call(
            "server.adopt", {**params, **what}, on_progress=progress.update, timeout_s=timeout_s
        )
        return answer

    if target <= PORT_MAX:
        try:
            return ask(port=target)
        except SupervisorError as error:
            # Nobody listens there: then it is a process.
            if error.code != NotFound.code:
                raise
    return ask(pid=target)
