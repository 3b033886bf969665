"""Writes to stdout and stderr, and asks a terminal for its size."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import TextIO

from ..errors import OutputRefused
from ..native.facts import BROKEN_PIPE_ERRNOS, TERMINALS_KNOW_ESCAPES

_COLOUR = re.compile("\x1b\\[[0-9]+m")
_ALTERNATE_SCREEN, _MAIN_SCREEN = "\x1b[?1049h", "\x1b[?1049l"
_DIGITS = 6
_failed_writes: list[OSError] = []


def write(stream: TextIO, text: str, end: str = "\n") -> None:
    """Write and flush, because the next line may come much later.

    `click.echo` would do the same, but importing click takes longer than everything else that a query does.

    Raises:
        OutputRefused: the output cannot be written for another reason than a reader that has closed its pipe.
    """
    is_terminal = stream.isatty()
    # https://no-color.org
    if not is_terminal or os.environ.get("NO_COLOR"):
        text = without_colour(text)
    if is_terminal and not TERMINALS_KNOW_ESCAPES:
        import click

        # This console may have to be told to interpret escape sequences, which click does.
        click.echo(text + end, file=stream, nl=False)
        return
    try:
        stream.write(text + end)
        stream.flush()
    except OSError as problem:
        _discard_from_now_on(stream, problem)


def has_reader() -> bool:
    """Return whether the output is still read. A command that follows a stream ends when it is not."""
    return not _failed_writes


def size(stream: TextIO) -> tuple[int, int] | None:
    """Return columns and rows of the terminal that a stream writes to. Returns None if it is none, or has no size.

    COLUMNS and LINES win, as in `shutil.get_terminal_size`.
    """
    try:
        found = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return None
    columns, lines = _positive("COLUMNS") or found.columns, _positive("LINES") or found.lines
    return (columns, lines) if columns and lines else None


def without_colour(text: str) -> str:
    """Return the text without the colours that `formatting.coloured` adds."""
    return _COLOUR.sub("", text)


@contextlib.contextmanager
def alternate_screen() -> Iterator[None]:
    """Switch the terminal to its second screen while inside, so that its former content comes back afterwards."""
    write(sys.stdout, _ALTERNATE_SCREEN, end="")
    try:
        yield
    finally:
        write(sys.stdout, _MAIN_SCREEN, end="")


def _discard_from_now_on(stream: TextIO, problem: OSError) -> None:
    """Send further output to the null device, so that the command completes and its exit code stands.

    Raises:
        OutputRefused: the reason is another one than a reader that has closed its pipe, as in `logs | head`.
    """
    # Python would write the rest of its buffer at exit again, and complain about that.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    if stream is sys.stderr:
        # No stream is left to report the failure on.
        return
    _failed_writes.append(problem)
    if problem.errno not in BROKEN_PIPE_ERRNOS:
        raise OutputRefused(f"the output cannot be written: {problem.strerror or problem}")


def _positive(variable: str) -> int:
    """Return the number in an environment variable. Returns 0 if it is not set to a positive number."""
    value = os.environ.get(variable, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) < _DIGITS else 0
