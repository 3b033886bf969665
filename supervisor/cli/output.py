"""Prints results, notes, errors and progress: as JSON documents, or as text for people."""

import json
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..errors import SupervisorError
from . import terminal
from .formatting import coloured, occupant, printable, shortened, without_controls

_CURSOR_HOME = "\x1b[H"
_CLEAR_REST_OF_LINE = "\x1b[K"
_CLEAR_REST_OF_SCREEN = "\x1b[J"
_COLUMNS_OFF_A_TERMINAL = 120
_SECONDS_BETWEEN_LINES = 2.0
"""Of progress that is not printed to a terminal."""


def document(value: Any) -> None:
    """Print one JSON document on stdout."""
    terminal.write(sys.stdout, json.dumps(value, indent=2))


def json_line(value: Any) -> None:
    """Print one JSON document on one line of stdout, as an element of a stream."""
    terminal.write(sys.stdout, json.dumps(value, separators=(",", ":")))


def line(text: str = "") -> None:
    """Print one line for people on stdout."""
    terminal.write(sys.stdout, without_controls(text))


def note(text: str) -> None:
    """Print one line for people on stderr."""
    terminal.write(sys.stderr, without_controls(text))


def screenful(lines: Sequence[str]) -> None:
    """Repaint the terminal with as many of these lines as fit."""
    columns, rows = terminal.size(sys.stdout) or (_COLUMNS_OFF_A_TERMINAL, len(lines) + 1)
    shown = list(lines) if len(lines) <= rows else [*lines[: rows - 1], f"{len(lines) - rows + 1} more lines"]
    # Without a line end after the last line, because that would scroll.
    text = "\n".join(f"{_cut(without_controls(each), columns)}{_CLEAR_REST_OF_LINE}" for each in shown)
    terminal.write(sys.stdout, f"{_CURSOR_HOME}{text}{_CLEAR_REST_OF_SCREEN}", end="")


def _cut(text: str, columns: int) -> str:
    """Return a line that does not wrap. Tables fit already; in other lines the cut part has no colour."""
    plain = terminal.without_colour(text)
    return text if len(plain) <= columns else shortened(plain, columns)


def error(problem: SupervisorError, *, as_json: bool) -> None:
    """Print an error on stderr: the protocol's error object, or message, details and hint."""
    if as_json:
        note(json.dumps(problem.to_wire(), indent=2))
        return
    note(f"{coloured('error:', 'red')} {problem.message}")
    for detail in _details(problem.data):
        note(f"  | {printable(detail)}")
    if problem.hint:
        note(f"hint: {problem.hint}")


def _details(data: Mapping[str, Any]) -> Iterable[str]:
    """Yield the parts of an error's data that help a person: the last lines of a log or an installer, and occupants."""
    for key in ("output", "log_tail"):
        tail = data.get(key)
        if isinstance(tail, str):
            yield from tail.splitlines()
        elif isinstance(tail, Sequence):
            yield from (str(text) for text in tail)
    for row in data.get("occupants") or ():
        if isinstance(row, Mapping):
            yield f"port {row.get('port')}: {_occupant_or_reason(row)}"


def _occupant_or_reason(row: Mapping[str, Any]) -> str:
    """Return the process that holds the port. Returns the daemon's reason if nothing is known of the process."""
    is_known = any(row.get(name) for name in ("occupant", "pid", "command", "user"))
    if not is_known and row.get("reason"):
        return printable(str(row["reason"]))
    return occupant(row.get("occupant", row))


class ProgressDisplay:
    """Progress on stderr: one rewritten line on a terminal, a line now and then elsewhere, nothing if `quiet`."""

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._clock = clock
        self._rewrites = sys.stderr.isatty()
        self._width = 0
        self.last = ""
        """The last progress of the daemon, as text."""
        self._stage: str | None = None
        self._printed: str | None = None
        self._next_at = 0.0

    def update(self, params: Mapping[str, Any]) -> None:
        """Show a `progress` notification."""
        done, total = params.get("done"), params.get("total")
        count = "" if done is None else f" {done}" if total is None else f" {done} of {total}"
        message = f": {params['message']}" if params.get("message") else ""
        self.last = text = printable(f"{params['stage']}{count}{message}")
        if self._quiet:
            return
        if self._rewrites:
            self._rewrite(text)
        else:
            self._print_now_and_then(params["stage"], text)

    def end(self) -> None:
        """End the rewritten line, so that the next output begins on a line of its own."""
        if self._width:
            note("")
        self._width = 0

    def _rewrite(self, text: str) -> None:
        size = terminal.size(sys.stderr)
        # A line that wraps could not be rewritten.
        text = shortened(text, (size[0] if size else _COLUMNS_OFF_A_TERMINAL) - 1)
        terminal.write(sys.stderr, f"\r{without_controls(text).ljust(self._width)}", end="")
        self._width = len(text)

    def _print_now_and_then(self, stage: str, text: str) -> None:
        now = self._clock()
        if text != self._printed and (stage != self._stage or now >= self._next_at):
            note(shortened(text, _COLUMNS_OFF_A_TERMINAL))
            self._stage, self._printed, self._next_at = stage, text, now + _SECONDS_BETWEEN_LINES
