"""Servers that have ended, as text: the table of `status --all`, and the page of `inspect`."""

from collections.abc import Iterator, Sequence

from ...client.json_object import JsonObject
from ...native.facts import describe_exit
from .. import formatting
from ..formatting import duration, name_and_version, printable

HEADERS = ("SERVER", "RAN FOR", "ENDED", "HOW")

_HOW_ENDED = {
    "stopped": "stopped",
    "restarted": "stopped for a restart",
    "replaced": "replaced by another version",
    "reaped": "stopped because its owners have ended",
    "exited": "it ended by itself",
    "failed": "it failed",
}
"""Texts for the values of `how`. Values of a newer daemon are shown unchanged."""

_WITHOUT_A_REQUEST = ("reaped", "exited", "failed")
"""Values of `how` for servers that no client asked to end."""

_EXPECTED_EXITS = (0, -15, None)
"""Exit statuses of a server that was asked to end, and did. -15: by SIGTERM."""


def table(rows: Sequence[JsonObject], *, now: float) -> Iterator[str]:
    """Yield the lines that `status --all` adds: a table of `rows`. `now` is wall time, seconds."""
    if not rows:
        yield "no ended servers on record"
        return
    yield ""
    cells = [(name_and_version(row), _ran_for(row), _ago(row, now), how_it_ended(row)) for row in rows]
    yield from formatting.table(HEADERS, cells)


def page(row: JsonObject, *, now: float) -> Iterator[str]:
    """Yield the lines that `inspect` shows of an ended server. `now` is wall time, seconds."""
    yield f"{name_and_version(row)}  ended {_ago(row, now)}"
    values = {
        "kind": row["kind"],
        "project": row["project"],
        "ended": how_it_ended(row),
        "ran for": _ran_for(row),
        "ports": formatting.ports(row) or None,
        "url was": row["url"],
        "log": row["log"] and formatting.tilde(row["log"]),
    }
    yield from formatting.named_values({name: value for name, value in values.items() if value is not None})
    yield f"its output: godot-supervisor logs {row['id']}"


def how_it_ended(row: JsonObject) -> str:
    """Return how the server ended, and which program asked for that."""
    how, status, detail = str(row["how"]), row["exit"], row["detail"]
    by = f" by {row['by']}" if row["by"] and how not in _WITHOUT_A_REQUEST else ""
    if detail:
        # The server had failed before it was stopped, and `detail` is the reason of that failure.
        return printable(detail if how in _WITHOUT_A_REQUEST else f"{detail}; taken down{by}")
    words = _HOW_ENDED.get(how, how) + by
    status_matters = status is not None and (how in _WITHOUT_A_REQUEST or status not in _EXPECTED_EXITS)
    return printable(f"{words}, {describe_exit(status)}" if status_matters else words)


def _ran_for(row: JsonObject) -> str | None:
    """Return the running time. Returns None for a server that had failed: the end of its process is not on record."""
    return None if row["detail"] else duration(row["ended"] - row["since"])


def _ago(row: JsonObject, now: float) -> str:
    return f"{duration(now - row['ended'])} ago"
