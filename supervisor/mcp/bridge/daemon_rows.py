"""What the daemon's answers say, as the conversation knows it."""

from collections.abc import Iterable, Mapping
from typing import Any

from ..core.events_and_actions import EnsureFailed, Problem
from ..core.servers import Pin, Server

Json = Mapping[str, Any]

LASTING_CODES = frozenset({"STATE_NOT_WRITABLE"})
"""Errors whose cause the user has to remove: a home that cannot be written stays so while a request waits."""


def server_of(row: Json, number: int) -> Server:
    """Return a server as the conversation knows it."""
    return Server(number, row["version"], row["id"], row.get("gate", "off"), _pin_of(row))


def pids_of(editors: Iterable[Json], project: str | None) -> frozenset[int]:
    """Return the processes of those of the daemon's editors that have the project open.

    `editors` are the rows of `status`. Owners that are no editors, such as bridges, have no engine.
    """
    found = [row for row in editors if project is not None and row["project"] == project and row["engine"] is not None]
    return frozenset(row["pid"] for row in found)


def stopped_by_user(row: Json) -> Problem:
    """Return the problem of a server that the user has stopped. `row` is from the history."""
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
    return Problem(error.code, error.message, hint, retryable, error.fault.value, error.retry_after_ms)
