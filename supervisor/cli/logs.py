"""`logs`: the end of a server's output, or of the daemon's own log."""

from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..client.client import Client
from ..errors import DaemonNotRunning, NotFound
from ..native.facts import folders
from . import knock, options, output

DAEMON_LOG = "daemon.log"


@click.command
@options.server
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on, launch after launch.")
@click.option("-n", "--lines", type=click.IntRange(min=0), default=50, show_default=True, help="How many lines.")
@options.as_json
@options.timeout
def logs(*, server: str | None, follow: bool, lines: int, as_json: bool, timeout_s: float | None) -> None:
    """Show the end of a server's output; without ID, of the daemon's own log."""
    params = {"lines": lines} if server is None else {"server": server, "lines": lines}
    try:
        client = knock.connect(timeout_s=timeout_s)
    except DaemonNotRunning:
        if server is not None or follow:
            raise
        path = folders().logs / DAEMON_LOG
        _print({"lines": last_lines(path, lines), "log": str(path)}, as_json=as_json)
        return
    with client:
        if follow:
            _follow(client, params, timeout_s, as_json=as_json)
        else:
            answer = client.call("logs.read", params, accept_timeout_s=timeout_s or knock.READ_TIMEOUT_S)
            _print(answer, as_json=as_json)


def _follow(client: Client, params: Mapping[str, Any], timeout_s: float | None, *, as_json: bool) -> None:
    stream = client.stream("logs.read", {**params, "follow": True}, accept_timeout_s=timeout_s or knock.READ_TIMEOUT_S)
    _print_more(stream.answer, as_json=as_json)
    file = stream.answer["log"]
    for method, told in stream.listen(timeout_s):
        if method != "log":
            continue
        if told["log"] != file:
            file = told["log"]
            output.note(f"started again: {file}")
        _print_more({name: told[name] for name in ("lines", "log", "ended")}, as_json=as_json)
        if told["ended"]:
            output.note("the server has gone")
            return


def _print(answer: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.document(answer)
    else:
        _print_more(answer, as_json=False)


def _print_more(page: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.json_line(page)
        return
    for text in page["lines"]:
        output.line(output.colourless(text))


def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines of a text file.

    Raises:
        NotFound: there is no such file.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return [text.rstrip("\n") for text in deque(stream, maxlen=count)]
    except FileNotFoundError as missing:
        raise NotFound(f"no log yet: {path}") from missing
