"""`inspect`: everything there is on one server."""

import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import click

from ...client.client import Client
from ...errors import NotFound, SupervisorError
from ...native.facts import ending
from .. import options, output, remote, server_choice
from ..deadline import Deadline
from ..text import history, old_recipes, report
from .reap import due

CHECK_TIMEOUT_S = 30.0

# That a server has none of these is worth a line.
_ALWAYS = frozenset({"project", "url", "process", "log"})

_ASKED = frozenset({"ready", "unhealthy"})

Json = Mapping[str, Any]


@click.command
@options.server
@options.as_json
@options.timeout
def inspect(*, server: str | None, as_json: bool, deadline: Deadline) -> None:
    """Show everything about a server.

    It is asked first whether it is well. Of one that has ended, how. With exactly one server, ID may be left out.
    """
    with remote.connect(deadline=deadline) as client:
        meant = server_choice.named(client, server, "inspect", deadline)
        found = server_choice.about(
            client, meant, "inspect", deadline, partial(_look, client, deadline=deadline), ends=False, past=True
        )
        if "how" in found:
            _show_past(found, as_json=as_json)
            return
        wanted = found["owners"] and not as_json
        editors = client.call("status", timeout_s=deadline.left())["editors"] if wanted else []
    if as_json:
        output.document(found)
        return
    for text in lines(found, editors, now=time.time()):
        output.line(text)


def _look(client: Client, server: str, *, deadline: Deadline) -> Json:
    """The server, or how it has ended."""
    params = {"server": server, "check": True}
    try:
        found: Json = client.call("server.get", params, accept_timeout_s=deadline.or_else(CHECK_TIMEOUT_S))
    except SupervisorError as problem:
        past = remote.history(client, server, deadline) if problem.code == NotFound.code else ()
        if not past:
            raise
        return past[0]
    return found


def _show_past(row: Json, *, as_json: bool) -> None:
    if as_json:
        output.document(row)
        return
    for text in history.card(row, now=time.time()):
        output.line(text)


def lines(server: Json, editors: Sequence[Json], *, now: float) -> Iterator[str]:
    """The server's card. `now` is wall time, seconds."""
    version = f" {server['version']}" if server["version"] else ""
    yield f"{server['id']}{version}  {output.state(server['state'])}  for {output.duration(now - server['since'])}"
    facts = {name: value for name, value in _facts(server, now).items() if value is not None or name in _ALWAYS}
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        yield f"  {name.ljust(width)}  {output.cell(value)}"
    yield from _section("notes", [output.printable(note) for note in server.get("notes", ())])
    yield from _section("owners", _owners(server, editors))
    yield from _section("leases", _leases(server))
    yield from _section("ports passed over", _relocated(server))
    if server.get("recipe_changes"):
        yield old_recipes.remark(server["id"], server["recipe_changes"])
    failure = server["failure"]
    if failure:
        crashed = failure["message"].startswith("crashed ")
        status = "" if crashed or failure["exit"] is None else f", {ending(failure['exit'])}"
        yield output.printable(f"failure: {failure['code']}: {failure['message']}{status}")
        for text in failure["log_tail"]:
            yield f"  | {output.printable(text)}"


def _facts(server: Json, now: float) -> dict[str, object]:
    process, root = server["process"], server["root_pid"]
    verdict = server["reap"]
    judged = [verdict["verdict"], due(verdict["due_in_s"]), "; ".join(verdict["reasons"])]
    return {
        "kind": server["kind"],
        "version": _version(server),
        "project": server["project"],
        "origin": server["origin"],
        "url": server["url"],
        "ports": ", ".join(f"{name} {port}" for name, port in server["ports"].items()) or None,
        "process": _process(process, now) if process else None,
        "started as": f"pid {root}" if root and process and root != process["pid"] else None,
        "sessions": _sessions(server),
        "restarts": server["restarts"],
        "reap": ", ".join(word for word in judged if word),
        "log": server["log"] and output.tilde(server["log"]),
        "for an AI client": report.paste(server),
    }


def _version(server: Json) -> str | None:
    """Return the version with the reason for it. None if there is none, as with a kind that has no package."""
    why = server.get("version_why")
    return f"{server['version']}: {why}" if server["version"] and why else None


def _sessions(server: Json) -> object:
    """They are counted when a server is asked whether it is well, and only one that serves is asked."""
    if server["sessions"] is not None:
        return server["sessions"]
    return "cannot tell" if server["state"] in _ASKED else "not counted"


def _process(process: Json, now: float) -> str:
    started = process["started_at"]
    return f"pid {process['pid']}" + ("" if started is None else f", up {output.duration(now - started)}")


def _section(title: str, rows: list[str]) -> Iterator[str]:
    if rows:
        yield f"{title}:"
        yield from (f"  {row}" for row in rows)


def _owners(server: Json, editors: Sequence[Json]) -> list[str]:
    known = {editor["id"]: editor for editor in editors}
    rows = []
    for owner in server["owners"]:
        editor = known.get(owner["editor"], {})
        busy = editor.get("busy")
        note = ", ".join(filter(None, ["leaving" if owner["leaving"] else "", f"busy: {busy}" if busy else ""]))
        rows.append((owner["editor"], owner["pid"], owner["liveness"], editor.get("name"), editor.get("project"), note))
    return output.table(("EDITOR", "PID", "LIVENESS", "NAME", "PROJECT", "NOTE"), rows) if rows else []


def _leases(server: Json) -> list[str]:
    rows = [
        (lease["id"], lease["holder"], f"{output.number(round(lease['expires_in_s'], 1))} s")
        for lease in server["leases"]
    ]
    return output.table(("LEASE", "HOLDER", "EXPIRES IN"), rows) if rows else []


def _relocated(server: Json) -> list[str]:
    shown = [f"{row['port']}: {output.relocation(row)}" for row in server["relocated"]]
    more = server.get("relocated_more")
    return [*shown, f"and {more} more"] if more else shown
