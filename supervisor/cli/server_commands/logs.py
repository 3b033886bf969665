"""`logs`: the end of a server's output, or of the daemon's own log."""

import json
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ...client.client import Client
from ...errors import DaemonNotRunning, NotFound, StateNotWritable, SupervisorError
from ...native.facts import Folders, folders
from .. import options, output, remote, server_choice
from ..deadline import Deadline
from ..follow import through_restarts

DAEMON_LOG = "daemon.log"
LINES_MAX = 10_000
"""What the daemon gives at once."""

HOW_MANY = f"How many lines, at most {LINES_MAX}."

PLACE = 50
"""By so many of the last lines a place in a log is known again."""

Json = Mapping[str, Any]


@click.command
@options.server
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on, launch after launch.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, LINES_MAX),
    default=50,
    show_default=True,
    help=f"How many lines, up to {LINES_MAX}.",
)
@click.option("--daemon", is_flag=True, help="The daemon's own log, also where one server runs.")
@options.as_json
@options.timeout
def logs(*, server: str | None, follow: bool, lines: int, daemon: bool, as_json: bool, deadline: Deadline) -> None:
    """Show the end of a server's log, or of the daemon's.

    Without ID the log of the one server that runs, or the daemon's own if there is none or there are several.
    """
    where = folders()
    if daemon and server is not None:
        raise click.UsageError("--daemon is the daemon's own log: name no server beside it")
    if server is None and not daemon:
        server = _the_one(where, deadline)
    if follow:
        _follow(where, server, lines, deadline, as_json=as_json)
        return
    try:
        client = remote.connect(where, deadline)
    except DaemonNotRunning:
        if server is not None:
            raise
        path = where.logs / DAEMON_LOG
        _print({"lines": last_lines(path, lines), "log": str(path)}, as_json=as_json, own=True)
        return
    with client:
        patience_s = deadline.or_else(remote.READ_TIMEOUT_S)

        def read(meant: str | None) -> Any:
            named = {} if meant is None else {"server": meant}
            return client.call("logs.read", {**named, "lines": lines}, accept_timeout_s=patience_s)

        if server is None:
            answer = read(None)
        else:
            answer = server_choice.about(client, server, "logs", deadline, read, ends=False, past=True)
    _print(answer, as_json=as_json, own=server is None)
    if answer.get("ended") and not as_json:
        output.note(f"{server} has ended; that was its last log: {answer['log']}")


def _the_one(where: Folders, deadline: Deadline) -> str | None:
    """Return the id of the only server that runs. None if there is none, there are several, or no daemon runs."""
    try:
        with remote.connect(where, deadline) as client:
            rows = client.call("server.list", accept_timeout_s=deadline.or_else(remote.READ_TIMEOUT_S))["servers"]
    except DaemonNotRunning:
        return None
    running = [str(row["id"]) for row in rows if server_choice.is_ours(row) and row["state"] not in server_choice.OVER]
    return running[0] if len(running) == 1 else None


def _follow(where: Folders, server: str | None, lines: int, deadline: Deadline, *, as_json: bool) -> None:
    """Follow the daemon's log, or that of the server that is meant. An id is tried as it is."""
    about: Json = {} if server is None else {"server": server}
    try:
        through_restarts(where, deadline, _Followed(about, lines, deadline, as_json=as_json).follow)
    except SupervisorError as problem:
        if server is None or problem.code != NotFound.code:
            raise
        with remote.connect(where, deadline) as client:
            other = server_choice.meant(client, server, "logs", deadline, ends=False)
        if other is None:
            raise
        through_restarts(where, deadline, _Followed({"server": other}, lines, deadline, as_json=as_json).follow)


class _Followed:
    """A log that is followed from daemon to daemon. It goes on where it was, as far as that is found again."""

    def __init__(self, about: Json, lines: int, deadline: Deadline, *, as_json: bool) -> None:
        self._about = about
        self._lines = lines
        self._deadline = deadline
        self._as_json = as_json
        self._file: str | None = None
        self._last: deque[str] = deque(maxlen=PLACE)

    def follow(self, client: Client) -> bool:
        """Whether that was all: the server has gone, or nobody reads any more."""
        begun = self._file is not None
        params = {**self._about, "lines": LINES_MAX if begun else self._lines, "follow": True}
        stream = client.stream("logs.read", params, accept_timeout_s=self._deadline.or_else(remote.READ_TIMEOUT_S))
        page = stream.answer
        if begun and page["log"] == self._file:
            page = {**page, "lines": after(self._last, page["lines"], self._lines)}
        if not begun or page["lines"] or page["log"] != self._file:
            self._show(page, announce=begun)
        for method, told in stream.listen(self._deadline.left()):
            if method == "log":
                self._show({name: told[name] for name in ("lines", "log", "ended")}, announce=True)
                if told["ended"]:
                    if told.get("reason"):
                        raise StateNotWritable(f"{self._about.get('server', 'the daemon')}: {told['reason']}")
                    output.note("the server has gone")
                    return True
            if not output.is_read():
                return True
        return True

    def _show(self, page: Json, *, announce: bool) -> None:
        if announce and page["log"] != self._file:
            output.note(f"started again: {page['log']}")
        self._file = page["log"]
        self._last.extend(page["lines"])
        _print_more(page, as_json=self._as_json, own="server" not in self._about)


def after(seen: Sequence[str], page: Sequence[str], otherwise: int) -> list[str]:
    """The lines of a page that come after those that were seen last; where those are not in it, its last ones."""
    known = list(seen)
    for end in range(len(page), len(known) - 1, -1):
        if page[end - len(known) : end] == known:
            return list(page[end:])
    return list(page[-otherwise:]) if otherwise else []


def _print(answer: Json, *, as_json: bool, own: bool) -> None:
    if as_json:
        output.document(answer)
    else:
        _print_more(answer, as_json=False, own=own)


def _print_more(page: Json, *, as_json: bool, own: bool) -> None:
    """Print a page. `own`: it is the daemon's log, whose lines are JSON."""
    if as_json:
        output.json_line(page)
        return
    for text in page["lines"]:
        output.line(entry(text) if own else output.colourless(text))


def entry(text: str) -> str:
    """Return a line of the daemon's log for people: when (UTC), what, the level where it matters, and the details."""
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict) or "event" not in told:
        # Half a line, where the disk was full.
        return output.printable(text)
    level = told.pop("level", "info")
    words = [str(told.pop("timestamp", "-")), str(told.pop("event"))]
    if level not in ("info", "debug"):
        words.append(f"({level})")
    details = (f"{name}={_value(value)}" for name, value in told.items() if value not in (None, [], {}))
    return output.printable("  ".join([" ".join(words), *details]))


def _value(value: Any) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value, ensure_ascii=False)


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
