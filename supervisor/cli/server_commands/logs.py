"""The command `logs`: the last lines of a server's output, or of the daemon's own log."""

import json
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ...client.client import Client
from ...client.json_object import JsonObject
from ...errors import DaemonNotRunning, NotFound, StateNotWritable, SupervisorError
from ...native.facts import Folders, folders
from .. import options, output, remote, server_choice, terminal
from ..deadline import Deadline
from ..follow import through_restarts
from ..formatting import printable, without_colour_sequences

DAEMON_LOG = "daemon.log"
LINES_MAX = 10_000
"""How many lines the daemon sends at most in one answer."""

REMEMBERED_LINES = 50
"""How many of the last lines a follower remembers, to find its place in the log again."""


@click.command
@options.server
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines, also after restarts.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, LINES_MAX),
    default=50,
    show_default=True,
    help=f"Number of lines, up to {LINES_MAX}.",
)
@click.option("--daemon", is_flag=True, help="Show the daemon's own log.")
@options.as_json
@options.timeout
def logs(*, server: str | None, follow: bool, lines: int, daemon: bool, as_json: bool, deadline: Deadline) -> None:
    """Show the last lines of a server's log, or of the daemon's.

    ID is a server's id, a kind, or a project (its folder, or the folder's name). Without ID: the log of the running
    server if there is exactly one, else the daemon's.
    """
    where = folders()
    if daemon and server is not None:
        raise click.UsageError("--daemon shows the daemon's own log: use it without an ID")
    if server is None and not daemon:
        server = _only_running_server(where, deadline)
    if follow:
        _follow(where, server, lines, deadline, as_json=as_json)
        return
    try:
        client = remote.connect(where, deadline)
    except DaemonNotRunning:
        if server is not None:
            raise
        path = where.logs / DAEMON_LOG
        _print_only_page({"lines": last_lines(path, lines), "log": str(path)}, as_json=as_json, of_daemon=True)
        return
    with client:
        timeout_s = deadline.left_or(remote.READ_TIMEOUT_S)

        def read(found: str | None) -> Any:
            params = {} if found is None else {"server": found}
            return client.call("logs.read", {**params, "lines": lines}, accept_timeout_s=timeout_s)

        if server is None:
            answer = read(None)
        else:
            answer = server_choice.with_chosen(
                client, server, "logs", deadline, read, ends_server=False, also_ended=True
            )
    if server is not None and not answer["lines"] and not Path(answer["log"]).exists():
        raise NotFound(f"the log of {server} was removed: {answer['log']}", hint="its next start begins a new one")
    _print_only_page(answer, as_json=as_json, of_daemon=server is None)
    if answer.get("ended") and not as_json:
        output.note(f"{server} has ended; these lines are from its last log: {answer['log']}")


def _only_running_server(where: Folders, deadline: Deadline) -> str | None:
    """Return the id of the only server that runs. Returns None if there are none or several, or no daemon runs."""
    try:
        with remote.connect(where, deadline) as client:
            rows = remote.server_rows(client, deadline)
    except DaemonNotRunning:
        return None
    running = [
        str(row["id"]) for row in rows if server_choice.is_own(row) and row["state"] not in server_choice.NOT_RUNNING
    ]
    return running[0] if len(running) == 1 else None


def _follow(where: Folders, server: str | None, lines: int, deadline: Deadline, *, as_json: bool) -> None:
    """Follow the daemon's log, or that of a server. The word is tried as an id first."""
    target: JsonObject = {} if server is None else {"server": server}
    try:
        through_restarts(where, deadline, _FollowedLog(target, lines, deadline, as_json=as_json).follow)
    except SupervisorError as problem:
        if server is None or problem.code != NotFound.code:
            raise
        with remote.connect(where, deadline) as client:
            found = server_choice.find_id(client, server, "logs", deadline, ends_server=False)
        if found is None:
            raise
        through_restarts(where, deadline, _FollowedLog({"server": found}, lines, deadline, as_json=as_json).follow)


class _FollowedLog:
    """A log that is followed from one daemon to the next. With a new daemon it continues after the last shown line."""

    def __init__(self, target: JsonObject, lines: int, deadline: Deadline, *, as_json: bool) -> None:
        self._target = target
        self._lines = lines
        self._deadline = deadline
        self._as_json = as_json
        self._file: str | None = None
        self._last: deque[str] = deque(maxlen=REMEMBERED_LINES)

    def follow(self, client: Client) -> None:
        """Print lines until the server has ended, or until the output is no longer read."""
        continues = self._file is not None
        params = {**self._target, "lines": LINES_MAX if continues else self._lines, "follow": True}
        stream = client.stream("logs.read", params, accept_timeout_s=self._deadline.left_or(remote.READ_TIMEOUT_S))
        page = stream.answer
        if continues and page["log"] == self._file:
            page = {**page, "lines": lines_after(self._last, page["lines"], self._lines)}
        if not continues or page["lines"] or page["log"] != self._file:
            self._show(page, announce=continues)
        for method, notice in stream.listen(self._deadline.left()):
            if method == "log":
                self._show({name: notice[name] for name in ("lines", "log", "ended")}, announce=True)
                if notice["ended"]:
                    if notice.get("reason"):
                        raise StateNotWritable(f"{self._target.get('server', 'the daemon')}: {notice['reason']}")
                    output.note("the server has ended")
                    return
            if not terminal.has_reader():
                return

    def _show(self, page: JsonObject, *, announce: bool) -> None:
        if announce and page["log"] != self._file:
            output.note(f"the server was started again: {page['log']}")
        self._file = page["log"]
        self._last.extend(page["lines"])
        _print_page(page, as_json=self._as_json, of_daemon="server" not in self._target)


def lines_after(seen: Sequence[str], page: Sequence[str], otherwise: int) -> list[str]:
    """Return the lines of a page after those in `seen`. If the page lacks those, return its last `otherwise` lines."""
    known = list(seen)
    for end in range(len(page), len(known) - 1, -1):
        if page[end - len(known) : end] == known:
            return list(page[end:])
    return list(page[-otherwise:]) if otherwise else []


def _print_only_page(answer: JsonObject, *, as_json: bool, of_daemon: bool) -> None:
    """Print the answer of a command that does not follow the log. Its JSON is indented, as of other commands."""
    if as_json:
        output.document(answer)
    else:
        _print_page(answer, as_json=False, of_daemon=of_daemon)


def _print_page(page: JsonObject, *, as_json: bool, of_daemon: bool) -> None:
    """Print a page of a followed log, as JSON on one line. `of_daemon`: of the daemon's log, whose lines are JSON."""
    if as_json:
        output.json_line(page)
        return
    for text in page["lines"]:
        output.line(daemon_entry(text) if of_daemon else without_colour_sequences(text))


def daemon_entry(text: str) -> str:
    """Return a line of the daemon's log for people: time (UTC), event, a level above info, and the details."""
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict) or "event" not in fields:
        # The line is incomplete, because the disk was full.
        return printable(text)
    level = fields.pop("level", "info")
    words = [str(fields.pop("timestamp", "-")), str(fields.pop("event"))]
    if level not in ("info", "debug"):
        words.append(f"({level})")
    details = (f"{name}={_value(value)}" for name, value in fields.items() if value not in (None, [], {}))
    return printable("  ".join([" ".join(words), *details]))


def _value(value: Any) -> str:
    return value if isinstance(value, str) and " " not in value else json.dumps(value, ensure_ascii=False)


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last `count` lines of a text file.

    Raises:
        NotFound: the file does not exist.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            return [text.rstrip("\n") for text in deque(stream, maxlen=count)]
    except FileNotFoundError as missing:
        raise NotFound(f"no log yet: {path}") from missing
