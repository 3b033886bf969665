"""The command `url`."""

import click

from ...errors import NotFound
from .. import options, output
from ..deadline import Deadline
from . import address


@click.command
@options.server
@options.as_json
@options.timeout
def url(*, server: str | None, as_json: bool, deadline: Deadline) -> int:
    """Print the URL of a server.

    ID is a server's id, a kind, or a project (its folder, or the folder's name). With exactly one server it can be left
    out. Exit code 1: the server is not ready.
    """
    found = address.find_server(server, "url", deadline)
    if found["url"] is None:
        raise NotFound(f"{found['id']} has no URL: its kind has no `url` setting", hint="kinds.NAME.url in config.toml")
    if as_json:
        output.document({"server": found["id"], "url": found["url"], "state": found["state"]})
    else:
        output.line(found["url"])
    return address.exit_code_with_warning(found)
