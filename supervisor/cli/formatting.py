"""Turns values into text for people: tables, durations, command lines. Command lines and names are untrusted bytes."""

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import terminal

_GAP = "  "
_COLOURS = {"red": 31, "green": 32, "yellow": 33}
_STATE_COLOURS = {"ready": "green", "running": "green", "failed": "red", "unhealthy": "red"}
_OWN_COLOUR_OR_CONTROL = re.compile(
    "(\x1b\\[(?:0|31|32|33)m)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_COLOUR_SEQUENCE = re.compile("\x1b\\[[0-9;:]*m")
_NARROWEST_COLUMN = 8
_AS_THE_TERMINAL = -1


def without_controls(text: str) -> str:
    """Return the text with `?` for each character that a terminal obeys, except our own colours, tabs and line ends.

    A text may come from a server, a folder's name or a command line. An escape sequence in it could overwrite earlier
    lines, hide text, or make the terminal type the text as input.
    """
    return text if text.isprintable() else _OWN_COLOUR_OR_CONTROL.sub(lambda found: found[1] or "?", text)


def without_colour_sequences(text: str) -> str:
    """Return a line of a program's log without its colours, which are meant for a terminal of its own."""
    return _COLOUR_SEQUENCE.sub("", text)


def coloured(text: str, colour: str) -> str:
    """Return the text in a colour. `terminal.write` removes the colour off a terminal, or with NO_COLOR set."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def coloured_state(text: str) -> str:
    """Return the state of a server in its colour, if it has one."""
    colour = _STATE_COLOURS.get(text.strip())
    return coloured(text, colour) if colour else text


def table(
    headers: Sequence[str], rows: Iterable[Sequence[object]], *, columns: int | None = _AS_THE_TERMINAL
) -> list[str]:
    """Return aligned lines. None and "" become "-"; a cell never breaks its line.

    The lines fit into `columns`, by default those of the terminal if stdout is one. None sets no limit.
    """
    cells = [list(headers), *([cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    if columns == _AS_THE_TERMINAL:
        size = terminal.size(sys.stdout)
        columns = size[0] if size is not None else None
    if columns is not None:
        widths = _fitted(widths, columns)
        cells = [[shortened(text, width) for text, width in zip(row, widths, strict=True)] for row in cells]
    return [
        _GAP.join(
            coloured_state(text.ljust(width)) if header == "STATE" else text.ljust(width)
            for header, text, width in zip(headers, row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]


def _fitted(widths: Sequence[int], columns: int) -> list[int]:
    """Return widths that fit into a line. The last column has the longest texts and shrinks first, then the widest."""
    fitted = list(widths)
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - columns
    for column in (len(widths) - 1, *sorted(range(len(widths) - 1), key=lambda number: -widths[number])):
        if excess <= 0:
            break
        narrower = max(min(_NARROWEST_COLUMN, fitted[column]), fitted[column] - excess)
        excess -= fitted[column] - narrower
        fitted[column] = narrower
    return fitted


def named_values(values: Mapping[str, object]) -> Iterator[str]:
    """Yield an indented line for each name and its value, the values aligned."""
    width = max(len(name) for name in values)
    for name, value in values.items():
        yield f"  {name.ljust(width)}  {cell(value)}"


def cell(value: object) -> str:
    """Return the printable text of one value; None and "" become "-"."""
    if value is None or value == "":
        return "-"
    return printable(str(value))


def printable(text: str) -> str:
    """Return the text with `?` for each character that could move a cursor or break a line, tabs and line ends too."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def tilde(path: str) -> str:
    """Return a path for people, the user's home folder as `~`. Not for paths that a user pastes into a program."""
    home = os.path.expanduser("~").rstrip(os.sep)  # noqa: PTH111 (pathlib costs 5 ms)
    return f"~{path[len(home) :]}" if home and path.startswith(home + os.sep) else path


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units, as in `3h12m`."""
    whole = max(0, int(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    if minutes:
        return f"{minutes}m{rest:02}s"
    return f"{rest}s"


def number(value: float) -> str:
    """Return a number without a needless `.0`."""
    return f"{value:g}"


def due(seconds: float | None) -> str | None:
    """Return when the daemon checks again whether a server is an orphan. Returns None if no check is due."""
    return None if seconds is None else f"in {number(round(seconds, 1))} s"


def name_and_version(server: Mapping[str, Any]) -> str:
    """Return a server's id, with its version if it has one."""
    return f"{server['id']} {server['version']}" if server["version"] else str(server["id"])


def ports(server: Mapping[str, Any]) -> str:
    """Return a server's ports, as in `http 8000, ws 9500`."""
    return ", ".join(f"{name} {port}" for name, port in server["ports"].items())


def occupant(process: Mapping[str, Any] | None) -> str:
    """Return the process that holds a port: pid, command line and user, as far as they are known."""
    if not process:
        return "unknown process"
    pid, user = process.get("pid"), process.get("user")
    words = [f"pid {pid}" if pid else "unknown process"]
    command = shortened_command_line(process.get("command"))
    if command:
        words.append(f"({command})")
    if user:
        words.append(f"of {user}")
    return printable(" ".join(words))


def why_passed_over(row: Mapping[str, Any]) -> str:
    """Return why a preferred port was passed over: the process that holds it, else the daemon's reason."""
    if row["occupant"]:
        return f"held by {occupant(row['occupant'])}"
    return printable(str(row["reason"]))


def shortened_command_line(argv: object, limit: int = 60) -> str:
    """Return a command line on one line, shortened to `limit` characters."""
    words = argv if isinstance(argv, Sequence) else ()
    return shortened(words if isinstance(words, str) else " ".join(str(word) for word in words), limit)


def shortened(text: str, limit: int) -> str:
    """Return the text, cut to `limit` characters."""
    return text if len(text) <= limit else text[: max(0, limit - 3)] + "..."[:limit]
