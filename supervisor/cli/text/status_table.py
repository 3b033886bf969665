"""The daemon, editors and servers on one screen: what `status` prints. It has to be quick, so it knows no click."""

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import DaemonNotRunning
from ...native.facts import ending, folders
from .. import output, remote
from ..deadline import Deadline

_HEADERS = ("OWNER", "PROJECT", "ENGINE", "SERVER", "STATE", "PORT", "SESSIONS", "NOTE")

Json = Mapping[str, Any]


def show(*, as_json: bool, deadline: Deadline | None = None, past: bool = False) -> None:
    """Ask the daemon, and print its answer. `past`: also what has ended."""
    where, deadline = folders(), deadline or Deadline()
    try:
        with remote.connect(where, deadline) as client:
            answer = client.call("status", accept_timeout_s=deadline.or_else(remote.READ_TIMEOUT_S))
            if past:
                answer = {**answer, "ended": remote.history(client, None, deadline)}
    except DaemonNotRunning as problem:
        remote.refuse_if_one_runs(where, problem, may_start=True)
        if where.moved and where.home_name not in problem.message:
            problem.message += f" (home: {where.home_name})"
        raise
    if as_json:
        output.document(answer)
        return
    shown = list(screen(answer, now=time.time()))
    if where.moved:
        # With another home two terminals look alike.
        shown.insert(1, output.printable(f"home    {where.home_name}"))
    for text in shown:
        output.line(text)


def screen(answer: Json, *, now: float) -> Iterator[str]:
    """The lines of the table. `now` is wall time, seconds."""
    daemon = answer["daemon"]
    up = output.duration(now - daemon["started_at"])
    yield f"daemon  {output.state('running')}  pid {daemon['pid']}  up {up}  version {daemon['version']}"
    rows = list(_rows(answer["editors"], answer["servers"]))
    if rows:
        yield from output.table(_HEADERS, rows)
    else:
        yield "no editors, no servers"
    for server in answer["servers"]:
        yield from _remarks(server)
    if "ended" in answer:
        from . import history

        yield from history.table(answer["ended"], now=now)
    yield from _orphans([server for server in answer["servers"] if server["id"] in answer["orphans"]])
    if answer.get("left_out"):
        yield f"{answer['left_out']} more fit no answer: godot-supervisor inspect ID"
    for remark in daemon.get("notes", ()):
        yield f"note: {output.printable(remark)}"


def _rows(editors: Sequence[Json], servers: Sequence[Json]) -> Iterator[tuple[object, ...]]:
    """One row for each editor on a server, one for a server without any, then the editors without a server."""
    known = {editor["id"]: editor for editor in editors}
    for server in servers:
        columns = (_what(server), server["state"], _ports(server), server["sessions"])
        for owner in server["owners"] or [None]:
            editor = known.get(owner["editor"], {}) if owner else {}
            # One shell may own the servers of several projects; the server's own is right for each.
            project = _project(server["project"] or editor.get("project"))
            name = owner["editor"] if owner else None
            yield name, project, editor.get("engine_version"), *columns, _note(server, owner, editor)
    attached = {owner["editor"] for server in servers for owner in server["owners"]}
    for editor in editors:
        if editor["id"] not in attached:
            yield editor["id"], _project(editor["project"]), editor["engine_version"], None, None, None, None, None


def _what(server: Json) -> str:
    return f"{server['id']} {server['version']}" if server["version"] else str(server["id"])


def _project(folder: str | None) -> str | None:
    return os.path.basename(folder.rstrip(os.sep)) if folder else None  # noqa: PTH119 (pathlib costs 5 ms)


def _ports(server: Json) -> str:
    return ",".join(str(port) for port in server["ports"].values())


def _note(server: Json, owner: Json | None, editor: Json) -> str:
    remarks = [
        ("external", server["origin"] == "external" and not server.get("by_client")),
        ("started by an AI client's bridge", bool(server.get("by_client"))),
        ("adopted", server["origin"] == "adopted"),
        ("discovered", server["origin"] == "discovered"),
        ("shared", len(server["owners"]) > 1),
        ("leaving", bool(owner and owner["leaving"])),
        ("dead", bool(owner and owner["liveness"] == "dead")),
        ("busy", editor.get("state") == "busy"),
    ]
    return ", ".join(word for word, holds in remarks if holds)


def _remarks(server: Json) -> Iterator[str]:
    if server.get("version_source") not in (None, "recipe"):
        yield output.printable(f"{server['id']}: version {server['version']}: {server['version_why']}")
    for note in server.get("notes", ()):
        yield output.printable(f"{server['id']}: {note}")
    for row in server["relocated"]:
        yield f"{server['id']}: port {row['port']} was passed over: {output.relocation(row)}"
    if server.get("relocated_more"):
        yield f"{server['id']}: {server['relocated_more']} more ports were passed over"
    if server.get("recipe_changes"):
        from .old_recipes import remark

        yield remark(server["id"], server["recipe_changes"])
    failure = server["failure"]
    if failure:
        yield output.printable(f"{server['id']}: {_trouble(failure)}")
        if server["state"] == "failed":
            if failure["log_tail"]:
                yield output.printable(f"  last line: {failure['log_tail'][-1]}")
            yield output.printable(f"  try: godot-supervisor logs {server['id']}, then: {_again(server)}")


def _trouble(failure: Json) -> str:
    """What went wrong. Of a crash the words say all that its code does."""
    if failure["message"].startswith("crashed "):
        return str(failure["message"])
    status = failure["exit"]
    told = status is None or str(abs(status)) in failure["message"]
    return f"{failure['code']}: {failure['message']}{'' if told else f', {ending(status)}'}"


def _again(server: Json) -> str:
    """The command that starts it anew."""
    if not server["project"]:
        return f"godot-supervisor up {server['kind']}"
    from shlex import quote

    return f"godot-supervisor up {server['kind']} --project {quote(server['project'])}"


def _orphans(suspects: Sequence[Json]) -> Iterator[str]:
    if not suspects:
        return
    yield f"orphans: {len(suspects)}"
    for server in suspects:
        due = server["reap"]["due_in_s"]
        when = "" if due is None else f"; second sample in {output.number(round(due, 1))} s"
        yield output.printable(f"  {server['id']}: {', '.join(server['reap']['reasons'])}{when}")
