"""What the daemon's answers say, as the conversation knows it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...native.startup.own_identity import own_process
from ..core.calls.preparation import EDITOR_BUSY
from ..core.events_and_actions import EnsureFailed, IntroduceClient, Problem
from ..core.servers import Pin, Server

SHUTDOWN_REQUESTER = "the daemon's shutdown"
"""The requester that the history names for servers that ended with their daemon. No user has stopped these."""

END_EVENTS = frozenset({"server.exited", "server.stopped", "server.gone"})

Json = Mapping[str, Any]

LASTING_CODES = frozenset({"STATE_NOT_WRITABLE"})
"""Errors whose cause the user has to remove: a home that cannot be written stays so while a request waits."""


class NotNowError(Exception):
    """A server must not be asked for at present."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def server_of(row: Json, number: int) -> Server:
    """Return a server as the conversation knows it."""
    return Server(number, row["version"], row["id"], row.get("gate", "off"), _pin_of(row))


def owner_claim(project: str | None, client: IntroduceClient | None) -> dict[str, Any]:
    """Return this process as the owner of a server, and the AI client that it works for."""
    said = None if client is None else {name: value for name, value in client._asdict().items() if value is not None}
    known = {"project": project, "client": said}
    return own_process() | {name: value for name, value in known.items() if value is not None}


def pids_of(editors: Iterable[Json], project: str | None) -> frozenset[int]:
    """Return the processes of those of the daemon's editors that have the project open.

    `editors` are the rows of `status`. Owners that are no editors, such as bridges, have no engine.
    """
    found = [row for row in editors if project is not None and row["project"] == project and row["engine"] is not None]
    return frozenset(row["pid"] for row in found)


def is_end_of(notice: Json, server: object) -> bool:
    """Return whether an event is the end of the server with this id."""
    return notice["event"] in END_EVENTS and notice["server"] == server


def kind_of_editor(status: Json, project: str | None, own_id: str | None) -> str | None:
    """Return the kind of a server that an editor of the project has. Returns None if there is none.

    `own_id` is the record of this process, which an earlier daemon lists as an editor.
    """
    if project is None:
        return None
    editors = [row for row in status["editors"] if row["project"] == project and row["id"] != own_id]
    ids = {name for editor in editors for name in editor["servers"]}
    return next((row["kind"] for row in status["servers"] if row["id"] in ids), None)


def reason_not_to_start(rows: Sequence[Json], ended: Sequence[Json]) -> Problem | None:
    """Return why asking for a server would undo a stop. Returns None if it would not.

    `rows` are the servers that could be used. `ended` are those of the history, the latest first.
    """
    if rows and all(row["state"] == "stopping" for row in rows):
        # A request that waits for the end of a stop would undo the stop.
        return Problem("SERVER_NOT_READY", f"{rows[0]['id']} is being stopped", retryable=True)
    if rows or not ended or ended[0]["how"] != "stopped" or ended[0]["by"] == SHUTDOWN_REQUESTER:
        return None
    return _stopped_by_user(ended[0])


def _stopped_by_user(row: Json) -> Problem:
    return Problem(
        "STOPPED_BY_USER",
        f"the user has stopped the server {row['id']}",
        f"To start it again: godot-supervisor up {row['kind']}. This client need not be restarted.",
        fault="caller",
    )


def _pin_of(row: Json) -> Pin | None:
    """Return how calls to a server name an editor. Returns None if they do not, or if the daemon is an older one."""
    pin = row.get("pin")
    if pin is None:
        return None
    known = {name: pin[name] for name in Pin._fields if name in pin}
    return Pin(**known | {"exempt": tuple(pin["exempt"])})


def server_key(row: Json) -> tuple[object, ...]:
    """Return what tells one process and address of a server from another: id, pid, start time and URL."""
    process = row["process"] or {}
    return (row["id"], process.get("pid"), process.get("started_at"), row["url"])


def failure_from(error: Any) -> EnsureFailed:
    """Return an error of the daemon, or of its client, as the failure to get a server."""
    return EnsureFailed(problem_from(error), is_lasting=error.code in LASTING_CODES)


def problem_from(error: Any) -> Problem:
    """Return an error of the daemon, or of its client, as a problem."""
    retryable = error.retryable or error.code in {"DISCONNECTED_AFTER_ACCEPT", "DISCONNECTED_BEFORE_ACCEPT"}
    hint = None if error.hint is None else f"Hint: {error.hint}."
    # Other errors have ends of logs in their data, which are not for a model.
    data = error.data if error.code == EDITOR_BUSY else None
    return Problem(error.code, error.message, hint, retryable, error.fault.value, error.retry_after_ms, data)
