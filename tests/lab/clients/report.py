"""The results of the matrix as tables for docs/clients.md."""

import datetime as dt
import re
from collections.abc import Mapping, Sequence

from tests.lab.clients.matrix import ENDS, FIRST, FIRST_EVER, KILLED, LISTED, Cell
from tests.lab.clients.subjects import Subject

Results = Mapping[str, Sequence[Cell]]

SHOWN_MAX = 160

TITLES = {
    FIRST_EVER: "the client starts first: no daemon, no server, no catalogue",
    FIRST: "the same, with a catalogue",
    KILLED: "the client is killed (-9): its bridge ends within 2 s",
    ENDS: "the client ends: its bridge ends within 2 s",
    "server killed": "the server is killed (-9)",
    "killed in a call": "the server is killed in a call: `OUTCOME_UNKNOWN`, executed once, and the next call",
    "restart": "`restart`",
    "call during a restart": "a call during a `restart`",
    "down, later up": "`down`: the call is `STOPPED_BY_USER`; later `up`",
    "moved to another port": "the server moves to another port",
    "daemon killed": "the daemon is killed (-9)",
    "daemon and server killed": "the daemon and the server are killed (-9)",
    "stop --servers": "`stop --servers`",
    "other version": "the server is upgraded to another version",
    LISTED: "the client's list of servers says connected",
}
"""The rows of the table, in order."""

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def table(subjects: Sequence[Subject], results: Results) -> str:
    """Return a table: a row for each event, a column for each client."""
    lines = [f"| event | {' | '.join(f'{each.title} {each.version}' for each in subjects)} |"]
    lines.append("|---|" + "---|" * len(subjects))
    for name, title in TITLES.items():
        found = [next((cell for cell in results[each.name] if cell.event == name), None) for each in subjects]
        lines.append(f"| {title} | {' | '.join('-' if cell is None else _short(cell.outcome) for cell in found)} |")
    return "\n".join(lines)


def errors_shown(subjects: Sequence[Subject], results: Results) -> str:
    """Return a table of what the models and programs were shown of the bridge's own errors."""
    lines = ["| client | shown |", "|---|---|"]
    for subject in subjects:
        shown = [cell for cell in results[subject.name] if cell.shown]
        lines += [f"| {subject.title}, {cell.event} | `{_short(cell.shown, SHOWN_MAX)}` |" for cell in shown]
    return "\n".join(lines)


def heading(kind: str) -> str:
    """Return a line about the run."""
    return f"Server: {kind}. {dt.datetime.now(dt.UTC):%d %B %Y}."


def plain(text: str) -> str:
    """Return a text without colours, on one line."""
    return " ".join(_ESCAPES.sub("", text).split())


def _short(text: str, length: int = 60) -> str:
    line = plain(text).replace("|", "/").replace("`", "'")
    return line if len(line) <= length else f"{line[:length]}…"
