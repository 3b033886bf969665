"""Selects the lines of a log that people are shown."""

import json
from collections.abc import Sequence
from pathlib import Path

from ...core.log_text import GAP, excerpt

LOG_TAIL_LINES = 20
LOG_TAIL_BYTES = 16 * 1024
EARLY_LINES = 4
"""How many lines of a tail may come from an earlier part of the log, including the marks of gaps."""

LOG_TAIL_LINE = 400
"""The length to which a shown line is shortened, in characters. The command `logs` shows the whole line."""

LOG_TAIL_JSON = 4096
"""The limit of a tail as JSON, in bytes, because the registry and every answer about a failed server contain it."""


def read_both_ends(path: str | None) -> tuple[str, ...]:
    """Return the lines of the first and the last `LOG_TAIL_BYTES` of a log; none if it cannot be read."""
    if path is None:
        return ()
    try:
        with Path(path).open("rb") as file:
            begin = file.read(LOG_TAIL_BYTES)
            size = file.seek(0, 2)
            file.seek(max(len(begin), size - LOG_TAIL_BYTES))
            gap = b"\n" if file.tell() > len(begin) else b""
            text = (begin + gap + file.read()).decode(errors="replace")
    except OSError:
        return ()
    return tuple(text.splitlines())


def read_log_tail(path: str | None) -> tuple[str, ...]:
    """Return the lines of a log to show to people: its last lines, and before them those that name an error."""
    return limit_tail(excerpt(read_both_ends(path), LOG_TAIL_LINES))


def limit_tail(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the last lines: printable, each shortened, and as many as fit into `LOG_TAIL_JSON`.

    Lines that end with a gap mark come from an earlier part of the log; they are kept in preference to the others.
    """
    lines = lines[-LOG_TAIL_LINES:]
    late_from = max((number + 1 for number, line in enumerate(lines[:EARLY_LINES]) if line == GAP), default=0)
    early, room_bytes = _take_fitting(lines[:late_from], LOG_TAIL_JSON)
    late, _ = _take_fitting(lines[late_from:][::-1], room_bytes)
    return (*early, *reversed(late))


def _take_fitting(lines: Sequence[str], room_bytes: int) -> tuple[list[str], int]:
    """Return as many of these lines as fit into the room, as they are shown, and the room that is left."""
    kept: list[str] = []
    for line in lines:
        shown = "".join(
            letter if letter.isprintable() else " " if letter == "\t" else "?" for letter in line[:LOG_TAIL_LINE]
        )
        room_bytes -= len(json.dumps(shown, ensure_ascii=False).encode()) + 1
        if room_bytes < 0:
            break
        kept.append(shown)
    return kept, room_bytes


def written_at(log: Path) -> float:
    """Return when a log was last written, wall time in seconds. A log that cannot be read counts as the oldest."""
    try:
        return log.stat().st_mtime
    except OSError:
        return 0.0
