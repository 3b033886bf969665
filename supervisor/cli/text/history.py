"""Servers that have ended, for people: what `status --all` lists, and the card of one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...native.facts import ending
from .. import output

HEADERS = ("SERVER", "RAN FOR", "ENDED", "HOW")

Json = Mapping[str, Any]

_HOW = {
    "stopped": "stopped",
    "restarted": "stopped for a restart",
    "replaced": "made room for another version",
    "reaped": "stopped because its owners had gone",
    "exited": "it ended by itself",
    "failed": "it failed",
}
"""A newer daemon may know more words: those are shown as they are."""

_BY_ITSELF = ("reaped", "exited", "failed")

_ASKED = (0, -15, None)
"""Exit statuses of one that was asked to end, and did."""


def table(rows: Sequence[Json], *, now: float) -> Iterator[str]:
    """What `status --all` adds. `now` is wall time, seconds."""
    if not rows:
        yield "no server has ended that is remembered"
        return
    yield ""
    cells = [(_what(row), _ran_for(row), _ago(row, now), story(row)) for row in rows]
    yield from output.table(HEADERS, cells)


def card(row: Json, *, now: float) -> Iterator[str]:
    """What `inspect` shows of one. `now` is wall time, seconds."""
    yield f"{_what(row)}  ended {_ago(row, now)}"
    facts = {
        "kind": row["kind"],
        "project": row["project"],
        "ended": story(row),
        "ran for": _ran_for(row),
        "ports": ", ".join(f"{name} {port}" for name, port in row["ports"].items()) or None,
        "url was": row["url"],
        "log": row["log"],
    }
    shown = {name: value for name, value in facts.items() if value is not None}
    width = max(len(name) for name in shown)
    for name, value in shown.items():
        yield f"  {name.ljust(width)}  {output.cell(value)}"
    yield f"its output: godot-supervisor logs {row['id']}"


def story(row: Json) -> str:
    """How it ended, and who asked for that."""
    how, status, detail = str(row["how"]), row["exit"], row["detail"]
    by = f" by {row['by']}" if row["by"] and how not in _BY_ITSELF else ""
    if detail:
        # It had failed before, and says why; what it was asked later changed nothing.
        return output.printable(detail if how in _BY_ITSELF else f"{detail}; taken down{by}")
    words = _HOW.get(how, how) + by
    tells = status is not None and (how in _BY_ITSELF or status not in _ASKED)
    return output.printable(f"{words}, {ending(status)}" if tells else words)


def _what(row: Json) -> str:
    return f"{row['id']} {row['version']}" if row["version"] else str(row["id"])


def _ran_for(row: Json) -> str | None:
    """Of one that had failed before, nobody has written down when its process ended."""
    return None if row["detail"] else output.duration(row["ended"] - row["since"])


def _ago(row: Json, now: float) -> str:
    return f"{output.duration(now - row['ended'])} ago"
