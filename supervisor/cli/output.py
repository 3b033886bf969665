"""How results and errors look: one JSON document, or text for people."""

import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TextIO

from ..errors import OutputRefused, SupervisorError
from ..native.facts import BROKEN_PIPE_ERRNOS, TERMINALS_KNOW_ESCAPES

_GAP = "  "
_PLAIN_COLUMNS = 120
_PLAIN_EVERY_S = 2.0
_COLOURS = {"red": 31, "green": 32, "yellow": 33}
_STATE_COLOURS = {"ready": "green", "running": "green", "failed": "red", "unhealthy": "red"}
_PAINT = re.compile("\x1b\\[[0-9]+m")
_PAINT_OR_CONTROL = re.compile(
    "(\x1b\\[(?:0|31|32|33)m)|[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_COLOURING = re.compile("\x1b\\[[0-9;:]*m")
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"
_ALTERNATE, _MAIN = "\x1b[?1049h", "\x1b[?1049l"
_NARROWEST = 8
_DIGITS = 6
_ASK = -1
_lost: list[OSError] = []


def document(value: Any) -> None:
    """Print one JSON document on stdout."""
    _write(sys.stdout, json.dumps(value, indent=2))


def json_line(value: Any) -> None:
    """Print one JSON document on one line of stdout: an element of a stream."""
    _write(sys.stdout, json.dumps(value, separators=(",", ":")))


def line(text: str = "") -> None:
    """Print one line for people on stdout."""
    _write(sys.stdout, harmless(text))


def note(text: str) -> None:
    """Print one line for people on stderr."""
    _write(sys.stderr, harmless(text))


@contextlib.contextmanager
def alternate_screen() -> Iterator[None]:
    """While inside, a screen of our own: what the terminal showed before is there again afterwards."""
    _write(sys.stdout, _ALTERNATE, end="")
    try:
        yield
    finally:
        _write(sys.stdout, _MAIN, end="")


def screenful(lines: Sequence[str]) -> None:
    """Paint the terminal over with as many of these lines as it has room for."""
    columns, rows = terminal(sys.stdout) or (_PLAIN_COLUMNS, len(lines) + 1)
    shown = list(lines) if len(lines) <= rows else [*lines[: rows - 1], f"{len(lines) - rows + 1} more lines"]
    # No line end after the last one: it would scroll.
    text = "\n".join(f"{_cut(harmless(each), columns)}{_REST_OF_LINE}" for each in shown)
    _write(sys.stdout, f"{_HOME}{text}{_REST_OF_SCREEN}", end="")


def _cut(text: str, columns: int) -> str:
    """A line that does not wrap. Tables are cut where they are made; in other lines no colour stands that far right."""
    return text if len(_PAINT.sub("", text)) <= columns else shortened(_PAINT.sub("", text), columns)


def harmless(text: str) -> str:
    """The text without anything that a terminal would obey, but for our own colours; tabs and line ends stay.

    Whatever people are shown may have come from a server, a folder's name or a command line: an escape sequence in it
    could paint over what stands above, hide text, or have the terminal type it.
    """
    return text if text.isprintable() else _PAINT_OR_CONTROL.sub(lambda found: found[1] or "?", text)


def colourless(text: str) -> str:
    """The text of a program that thought it wrote to a terminal."""
    return _COLOURING.sub("", text)


def painted(text: str, colour: str) -> str:
    """The text in a colour. It is lost again where it does not belong: off a terminal, or with NO_COLOR set."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m"


def _write(stream: TextIO, text: str, end: str = "\n") -> None:
    """Written at once: what follows may be long in coming. click would do, and costs as much as all else together."""
    terminal = stream.isatty()
    # https://no-color.org
    if not terminal or os.environ.get("NO_COLOR"):
        text = _PAINT.sub("", text)
    if terminal and not TERMINALS_KNOW_ESCAPES:
        import click

        # Consoles there may have to be told what an escape sequence is.
        click.echo(text + end, file=stream, nl=False)
        return
    try:
        stream.write(text + end)
        stream.flush()
    except OSError as problem:
        _lose(stream, problem)


def is_read() -> bool:
    """Whether somebody still reads what we print. What goes on for ever need not, once nobody does."""
    return not _lost


def _lose(stream: TextIO, problem: OSError) -> None:
    """Print into nothing from now on: what was asked for is done all the same, and its exit code stands.

    Raises:
        OutputRefused: it is not that the reader has gone, as in `logs | head`.
    """
    # What is left in its buffer would be tried again, and complained about, when Python ends.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if stream is sys.stderr:
        # There is nowhere left to say so.
        return
    _lost.append(problem)
    if problem.errno not in BROKEN_PIPE_ERRNOS:
        raise OutputRefused(f"the output cannot be written: {problem.strerror or problem}")


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, columns: int | None = _ASK) -> list[str]:
    """Aligned lines. None and "" become "-"; a cell never breaks its line.

    The lines keep within so many columns, by default those of the terminal, if it is one. None: no limit.
    """
    cells = [list(headers), *([cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    if columns == _ASK:
        size = terminal(sys.stdout)
        columns = size[0] if size is not None else None
    if columns is not None:
        widths = _fitted(widths, columns)
        cells = [[shortened(text, width) for text, width in zip(row, widths, strict=True)] for row in cells]
    return [
        _GAP.join(
            state(text.ljust(width)) if header == "STATE" else text.ljust(width)
            for header, text, width in zip(headers, row, widths, strict=True)
        ).rstrip()
        for row in cells
    ]


def _fitted(widths: Sequence[int], columns: int) -> list[int]:
    """Widths that fit into a line: the last column gives way first, it is the one with the words; then the widest."""
    fitted = list(widths)
    excess = sum(widths) + len(_GAP) * (len(widths) - 1) - columns
    for column in (len(widths) - 1, *sorted(range(len(widths) - 1), key=lambda each: -widths[each])):
        if excess <= 0:
            break
        narrower = max(min(_NARROWEST, fitted[column]), fitted[column] - excess)
        excess -= fitted[column] - narrower
        fitted[column] = narrower
    return fitted


def terminal(stream: TextIO) -> tuple[int, int] | None:
    """Return columns and rows of the terminal that this goes to; None if it is none, or does not tell.

    COLUMNS and LINES win, as they do in `shutil.get_terminal_size`.
    """
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return None
    columns, lines = _positive("COLUMNS") or size.columns, _positive("LINES") or size.lines
    return (columns, lines) if columns and lines else None


def _positive(variable: str) -> int:
    """Return the number in an environment variable; 0 if there is none."""
    value = os.environ.get(variable, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < _DIGITS else 0


def tilde(path: str) -> str:
    """Return a path for people, the user's home folder as `~`. Nothing that is to be pasted into a program."""
    home = os.path.expanduser("~").rstrip(os.sep)  # noqa: PTH111 (pathlib costs 5 ms)
    return f"~{path[len(home) :]}" if home and path.startswith(home + os.sep) else path


def cell(value: object) -> str:
    """The text of one value, printable. Command lines and folder names are other people's bytes."""
    if value is None or value == "":
        return "-"
    return printable(str(value))


def printable(text: str) -> str:
    """The text without anything that could move a terminal's cursor or break a line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def state(text: str) -> str:
    """A state in its colour, if it has one."""
    colour = _STATE_COLOURS.get(text.strip())
    return painted(text, colour) if colour else text


def duration(seconds: float) -> str:
    """A length of time in its two largest units, as in `3h12m`."""
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
    """A number without a needless `.0`."""
    return f"{value:g}"


def occupant(facts: Mapping[str, Any] | None) -> str:
    """Who holds a port, in a few words."""
    if not facts:
        return "unknown process"
    pid, user = facts.get("pid"), facts.get("user")
    words = [f"pid {pid}" if pid else "unknown process"]
    command = command_line(facts.get("command"))
    if command:
        words.append(f"({command})")
    if user:
        words.append(f"of {user}")
    return printable(" ".join(words))


def relocation(row: Mapping[str, Any]) -> str:
    """Why a wanted port was passed over, with whoever holds it."""
    if row["occupant"]:
        return f"held by {occupant(row['occupant'])}"
    return printable(str(row["reason"]))


def command_line(argv: object, limit: int = 60) -> str:
    """A command line on one line, shortened to `limit` characters."""
    words = argv if isinstance(argv, Sequence) else ()
    return shortened(words if isinstance(words, str) else " ".join(str(word) for word in words), limit)


def shortened(text: str, limit: int) -> str:
    """The text, cut to `limit` characters."""
    return text if len(text) <= limit else text[: max(0, limit - 3)] + "..."[:limit]


def error(problem: SupervisorError, *, as_json: bool) -> None:
    """Print an error on stderr: the protocol's error object, or message, details and hint."""
    if as_json:
        note(json.dumps(problem.to_wire(), indent=2))
        return
    note(f"{painted('error:', 'red')} {problem.message}")
    for detail in _details(problem.data):
        note(f"  | {printable(detail)}")
    if problem.hint:
        note(f"hint: {problem.hint}")


def _details(data: Mapping[str, Any]) -> Iterable[str]:
    """The parts of an error's data that help a person: the last lines of a log or an installer, and occupants."""
    for key in ("output", "log_tail"):
        tail = data.get(key)
        if isinstance(tail, str):
            yield from tail.splitlines()
        elif isinstance(tail, Sequence):
            yield from (str(text) for text in tail)
    for row in data.get("occupants") or ():
        if isinstance(row, Mapping):
            yield f"port {row.get('port')}: {occupant(row.get('occupant', row))}"


class Progress:
    """Progress on stderr: one line that is rewritten on a terminal, a line now and then elsewhere, none beside JSON."""

    def __init__(self, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._quiet = quiet
        self._clock = clock
        self._rewrites = sys.stderr.isatty()
        self._width = 0
        self.last = ""
        """What was told last."""
        self._stage: str | None = None
        self._told: str | None = None
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
            self._write(params["stage"], text)

    def end(self) -> None:
        """Leave the line, so that what follows does not run into it."""
        if self._width:
            note("")
        self._width = 0

    def _rewrite(self, text: str) -> None:
        # A line that wraps could not be rewritten.
        text = shortened(text, _columns() - 1)
        _write(sys.stderr, f"\r{harmless(text).ljust(self._width)}", end="")
        self._width = len(text)

    def _write(self, stage: str, text: str) -> None:
        now = self._clock()
        if text != self._told and (stage != self._stage or now >= self._next_at):
            note(shortened(text, _PLAIN_COLUMNS))
            self._stage, self._told, self._next_at = stage, text, now + _PLAIN_EVERY_S


def _columns() -> int:
    size = terminal(sys.stderr)
    return _PLAIN_COLUMNS if size is None else size[0]
