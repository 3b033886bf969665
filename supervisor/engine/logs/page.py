"""Reads the last lines of a log, as many as fit into one answer."""

import os
from collections.abc import Sequence
from json import dumps
from pathlib import Path

from ...values import frozen

LINE_LENGTH = 4096
"""The length to which lines are shortened, in characters."""
PAGE_BYTES = 900_000
"""The limit of the lines in one answer, as JSON in bytes, so that the answer fits into a frame."""


@frozen
class Page:
    """The last lines of a log. `offset` is where they end, in bytes. `ended`: the server has ended."""

    path: Path
    lines: tuple[str, ...]
    offset: int
    ended: bool = False


@frozen
class LogUpdate:
    """Further lines of a log that is followed.

    `ended`: this is the last update. `reason` then says why the log cannot be followed; None if the server has gone.
    """

    path: Path
    lines: Sequence[str]
    ended: bool = False
    reason: str | None = None


def read_page(path: Path, count: int, *, whole_lines: bool) -> Page:
    """Return the last `count` lines of a file. `whole_lines` leaves out a last line without a line end.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - PAGE_BYTES)
        file.seek(start)
        data = file.read(size - start)
    if start:
        data = data[data.find(b"\n") + 1 :]
    end = size
    if whole_lines:
        whole = data.rfind(b"\n") + 1
        end -= len(data) - whole
        data = data[:whole]
    return Page(path, last_fitting(split_lines(data)[-count:] if count else []), end)


def split_lines(data: bytes) -> list[str]:
    """Return the lines of an output, each shortened to `LINE_LENGTH`."""
    return [line[:LINE_LENGTH] for line in data.decode(errors="replace").splitlines()]


def last_fitting(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the last of these lines, as many as fit into one answer."""
    room = PAGE_BYTES
    for number, line in enumerate(reversed(lines)):
        room -= len(dumps(line)) + 2
        if room < 0:
            return tuple(lines[len(lines) - number :])
    return tuple(lines)
