"""The command `inspect`: everything that is known about one server."""

import time
from collections.abc import Iterator, Sequence
from functools import partial

import click

from ...client.client import Client
from ...client.json_object import JsonObject
from ...errors import NotFound, SupervisorError
from ...native.facts import describe_exit
from .. import formatting, options, output, remote, server_choice
from ..deadline import Deadline
from ..text import ai_clients, client_table, history
from ..text.recipe_changes import recipe_changes_text

CHECK_TIMEOUT_S = 30.0

_ALWAYS_SHOWN = frozenset({"project", "url", "process", "log"})
"""Facts that have a line even if there is no value. Other facts without a value are left out."""

_STATES_WITH_SESSIONS = frozenset({"ready", "unhealthy"})
"""States in which the daemon counts sessions."""


@click.command
@options.server
@options.as_json
@options.timeout
def inspect(*, server: str | None, as_json: bool, deadline: Deadline) -> None:
    """Show everything about a server, after a check of its health.

    ID is a server's id, a kind, or a project (its folder, or the folder's name). With exactly one server it can be left
    out. For a server that has ended, shows how it ended.
    """
    with remote.connect(deadline=deadline) as client:
        found = server_choice.with_chosen(
            client,
            server_choice.word_or_only_server(client, server, "inspect", deadline),
            "inspect",
            deadline,
            partial(_read, client, deadline=deadline),
            ends_server=False,
            also_ended=True,
        )
        # Only the record of an end has `how`.
        if "how" in found:
            _show_ended(found, as_json=as_json)
            return
        shows_owners = found["owners"] and not as_json
        known = client.call("status", timeout_s=deadline.left()) if shows_owners else {"editors": (), "clients": ()}
    if as_json:
        output.document(found)
        return
    for text in lines(found, known["editors"], known.get("clients", ()), now=time.time()):
        output.line(text)


def _read(client: Client, server: str, *, deadline: Deadline) -> JsonObject:
    """Return the server after a check of its health, or the record of its end.

    Raises:
        SupervisorError: the daemon knows neither, or did not answer.
    """
    params = {"server": server, "check": True}
    try:
        found: JsonObject = client.call("server.get", params, accept_timeout_s=deadline.left_or(CHECK_TIMEOUT_S))
    except SupervisorError as problem:
        ended = remote.ended_servers(client, server, deadline) if problem.code == NotFound.code else ()
        if not ended:
            raise
        return ended[0]
    return found


def _show_ended(row: JsonObject, *, as_json: bool) -> None:
    if as_json:
        output.document(row)
        return
    for text in history.page(row, now=time.time()):
        output.line(text)


def lines(
    server: JsonObject, editors: Sequence[JsonObject], clients: Sequence[JsonObject] = (), *, now: float
) -> Iterator[str]:
    """Yield the lines about a server that has not ended. `now` is wall time, seconds."""
    state = formatting.coloured_state(server["state"])
    yield f"{formatting.name_and_version(server)}  {state}  for {formatting.duration(now - server['since'])}"
    facts = _facts(server, now).items()
    yield from formatting.named_values(
        {name: value for name, value in facts if value is not None or name in _ALWAYS_SHOWN}
    )
    yield from _section("notes", [formatting.printable(note) for note in server.get("notes", ())])
    yield from _section("owners", _owners(server, editors))
    owning = [client for client in clients if server["id"] in client["servers"]]
    yield from _section("AI clients", [*client_table.clients(owning, [server], now=now)])
    yield from _section("tool calls", client_table.calls(server, now=now))
    yield from _section("leases", _leases(server))
    yield from _section("ports passed over", _passed_over(server))
    if server.get("recipe_changes"):
        yield recipe_changes_text(server["id"], server["recipe_changes"])
    failure = server["failure"]
    if failure:
        crashed = failure["message"].startswith("crashed ")
        status = "" if crashed or failure["exit"] is None else f", {describe_exit(failure['exit'])}"
        yield formatting.printable(f"failure: {failure['code']}: {failure['message']}{status}")
        for text in failure["log_tail"]:
            yield f"  | {formatting.printable(text)}"


def _facts(server: JsonObject, now: float) -> dict[str, object]:
    process, root = server["process"], server["root_pid"]
    reap = server["reap"]
    verdict = [reap["verdict"], formatting.due(reap["due_in_s"]), "; ".join(reap["reasons"])]
    return {
        "kind": server["kind"],
        "version": _version(server),
        "project": server["project"],
        "origin": server["origin"],
        "url": server["url"],
        "ports": formatting.ports(server) or None,
        "process": _process(process, now) if process else None,
        "started as": f"pid {root}" if root and process and root != process["pid"] else None,
        "sessions": _sessions(server),
        "restarts": server["restarts"],
        "gate": None if server.get("gate", "off") == "off" else server["gate"],
        "reap": ", ".join(word for word in verdict if word),
        "log": server["log"] and formatting.tilde(server["log"]),
        "for Claude Code": ai_clients.claude_command(server),
    }


def _version(server: JsonObject) -> str | None:
    """Return the version with its reason. Returns None without a version, as for a kind that has no package."""
    why = server.get("version_why")
    return f"{server['version']}: {why}" if server["version"] and why else None


def _sessions(server: JsonObject) -> object:
    """Return the number of sessions. Returns a word if there is none, because a health check counts them."""
    if server["sessions"] is not None:
        return server["sessions"]
    return "unknown" if server["state"] in _STATES_WITH_SESSIONS else "not counted"


def _process(process: JsonObject, now: float) -> str:
    started = process["started_at"]
    return f"pid {process['pid']}" + ("" if started is None else f", up {formatting.duration(now - started)}")


def _section(title: str, rows: list[str]) -> Iterator[str]:
    if rows:
        yield f"{title}:"
        yield from (f"  {row}" for row in rows)


def _owners(server: JsonObject, editors: Sequence[JsonObject]) -> list[str]:
    known = {editor["id"]: editor for editor in editors}
    rows = []
    for owner in server["owners"]:
        if owner.get("client"):
            continue
        editor = known.get(owner["editor"], {})
        busy = editor.get("busy")
        note = ", ".join(filter(None, ["leaving" if owner["leaving"] else "", f"busy: {busy}" if busy else ""]))
        rows.append((owner["editor"], owner["pid"], owner["liveness"], editor.get("name"), editor.get("project"), note))
    return formatting.table(("EDITOR", "PID", "LIVENESS", "NAME", "PROJECT", "NOTE"), rows) if rows else []


def _leases(server: JsonObject) -> list[str]:
    rows = [
        (lease["id"], lease["holder"], f"{formatting.number(round(lease['expires_in_s'], 1))} s")
        for lease in server["leases"]
    ]
    return formatting.table(("LEASE", "HOLDER", "EXPIRES IN"), rows) if rows else []


def _passed_over(server: JsonObject) -> list[str]:
    shown = [f"{row['port']}: {formatting.why_passed_over(row)}" for row in server["relocated"]]
    more = server.get("relocated_more")
    return [*shown, f"and {more} more"] if more else shown
