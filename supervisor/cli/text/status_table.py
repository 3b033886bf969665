"""The text of `status`: a table of editors and servers, and one of AI clients.

Loads no click, because `status` must be quick.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ...client.json_object import JsonObject
from ...errors import DaemonNotRunning
from ...native.facts import describe_exit, folders
from .. import output, remote
from ..deadline import Deadline
from ..formatting import coloured_state, duration, name_and_version, number, printable, table
from .client_table import clients, project_name
from .server_remarks import remarks

_HEADERS = ("OWNER", "PROJECT", "ENGINE", "SERVER", "STATE", "PORT", "SESSIONS", "NOTE")


class _Row(NamedTuple):
    """A row of the table, in the order of the headers. A NamedTuple, because dataclasses take longer to import."""

    owner: str | None
    project: str | None
    engine: str | None
    server: str | None = None
    state: str | None = None
    port: str | None = None
    sessions: int | None = None
    note: str | None = None


def print_status(*, as_json: bool, deadline: Deadline | None = None, with_ended: bool = False) -> None:
    """Ask the daemon for its status, and print it. `with_ended`: also the servers that have ended."""
    where, deadline = folders(), deadline or Deadline()
    try:
        with remote.connect(where, deadline) as client:
            answer = client.call("status", accept_timeout_s=deadline.left_or(remote.READ_TIMEOUT_S))
            if with_ended:
                answer = {**answer, "ended": remote.ended_servers(client, None, deadline)}
    except DaemonNotRunning as problem:
        remote.raise_if_a_daemon_runs(where, problem, ignore_starting=True)
        if where.moved and where.home_text not in problem.message:
            problem.message += f" (home: {where.home_text})"
        raise
    if as_json:
        output.document(answer)
        return
    first, *others = lines(answer, now=time.time())
    # With several homes, two terminals would look alike.
    home = [printable(f"home    {where.home_text}")] if where.moved else []
    for text in (first, *home, *others):
        output.line(text)


def lines(answer: JsonObject, *, now: float) -> Iterator[str]:
    """Yield the lines of `status`. `answer` is the daemon's; `now` is wall time, seconds."""
    daemon = answer["daemon"]
    uptime = duration(now - daemon["started_at"])
    yield f"daemon  {coloured_state('running')}  pid {daemon['pid']}  up {uptime}  version {daemon['version']}"
    rows = list(_rows(answer["editors"], answer["servers"]))
    if rows:
        yield from table(_HEADERS, rows)
    else:
        yield "no editors, no servers"
    yield from clients(answer.get("clients", ()), answer["servers"], now=now)
    for server in answer["servers"]:
        yield from _lines_below_the_table(server)
    if "ended" in answer:
        from . import history

        yield from history.table(answer["ended"], now=now)
    yield from _lines_about_orphans([server for server in answer["servers"] if server["id"] in answer["orphans"]])
    if answer.get("left_out"):
        yield f"{answer['left_out']} more servers do not fit into one answer: godot-supervisor inspect ID"
    for note in daemon.get("notes", ()):
        yield f"note: {printable(note)}"


def _rows(editors: Sequence[JsonObject], servers: Sequence[JsonObject]) -> Iterator[_Row]:
    """Yield one row for each editor on a server, one for a server without an editor, then editors without a server."""
    known = {editor["id"]: editor for editor in editors}
    for server in servers:
        # AI clients have a table of their own.
        for owner in [each for each in server["owners"] if not each.get("client")] or [None]:
            editor = known.get(owner["editor"], {}) if owner else {}
            yield _Row(
                owner=owner["editor"] if owner else None,
                # One shell may own the servers of several projects, so the server's own project comes first.
                project=project_name(server["project"] or editor.get("project")),
                engine=editor.get("engine_version"),
                server=name_and_version(server),
                state=server["state"],
                port=_port_numbers(server),
                sessions=server["sessions"],
                note=_note(server, owner, editor),
            )
    with_a_server = {owner["editor"] for server in servers for owner in server["owners"]}
    for editor in editors:
        if editor["id"] not in with_a_server:
            yield _Row(editor["id"], project_name(editor["project"]), editor["engine_version"])


def _port_numbers(server: JsonObject) -> str:
    return ",".join(str(port) for port in server["ports"].values())


def _note(server: JsonObject, owner: JsonObject | None, editor: JsonObject) -> str:
    """Return the words of the last column. `editor` is the owner's, or empty."""
    clients = sum(bool(each.get("client")) for each in server["owners"])
    notes = [
        ("external", server["origin"] == "external" and not server.get("by_client")),
        ("started by an AI client's bridge", bool(server.get("by_client"))),
        ("adopted", server["origin"] == "adopted"),
        ("discovered", server["origin"] == "discovered"),
        ("shared", len(server["owners"]) - clients > 1),
        (f"{clients} AI client{'s' if clients > 1 else ''}", clients > 0),
        ("leaving", bool(owner and owner["leaving"])),
        ("dead", bool(owner and owner["liveness"] == "dead")),
        ("busy", editor.get("state") == "busy"),
    ]
    return ", ".join(word for word, applies in notes if applies)


def _lines_below_the_table(server: JsonObject) -> Iterator[str]:
    """Yield what does not fit into the server's row: its version's reason, remarks, and its failure."""
    if server.get("version_source") not in (None, "recipe"):
        yield printable(f"{server['id']}: version {server['version']}: {server['version_why']}")
    yield from remarks(server, before_note=f"{server['id']}: ", before_port=f"{server['id']}: ")
    failure = server["failure"]
    if failure:
        yield printable(f"{server['id']}: {_failure(failure)}")
        if server["state"] == "failed":
            if failure["log_tail"]:
                yield printable(f"  last line: {failure['log_tail'][-1]}")
            yield printable(f"  try: godot-supervisor logs {server['id']}, then: {_start_again(server)}")


def _failure(failure: JsonObject) -> str:
    """Return the failure in words: code, message and exit status, as far as the message does not say them already."""
    if failure["message"].startswith("crashed "):
        return str(failure["message"])
    status = failure["exit"]
    is_complete = status is None or str(abs(status)) in failure["message"]
    return f"{failure['code']}: {failure['message']}{'' if is_complete else f', {describe_exit(status)}'}"


def _start_again(server: JsonObject) -> str:
    """Return the command that starts the server again."""
    if not server["project"]:
        return f"godot-supervisor up {server['kind']}"
    from shlex import quote

    return f"godot-supervisor up {server['kind']} --project {quote(server['project'])}"


def _lines_about_orphans(orphans: Sequence[JsonObject]) -> Iterator[str]:
    """Yield the number of orphans, and for each why it is one, and when the daemon checks that again."""
    if not orphans:
        return
    yield f"orphans: {len(orphans)}"
    for server in orphans:
        due = server["reap"]["due_in_s"]
        when = "" if due is None else f"; checked again in {number(round(due, 1))} s"
        yield printable(f"  {server['id']}: {', '.join(server['reap']['reasons'])}{when}")
