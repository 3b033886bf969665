"""Reads a server's log: which lines to show to people, and which ports the log says were taken. Pure."""

import re
from collections.abc import Collection, Sequence

GAP = "..."
"""The line that stands for lines left out."""

KEPT_EARLIER = 2
"""How many earlier lines an excerpt keeps: the first that names an error, and the last that names an exception."""

_ERROR = re.compile(
    r"\b(error|exception|fatal|panic|critical|cannot|can't|could not|unable|failed|refused|denied|not found|in use)\b"
    r"|\b[A-Za-z_.]*[a-z](Error|Exception)\b|EADDRINUSE|\bE[A-Z]{4,}\b",
    re.IGNORECASE,
)
_NO_ERROR = re.compile(r"Traceback \(most recent call last\)|\b(0|no) (errors?|failed|failures?)\b", re.IGNORECASE)
_EXCEPTION = re.compile(r"[A-Za-z_][\w.]*(Error|Exception|Exit|Interrupt|Group)\b(:|$| )")

_TAKEN = re.compile(
    r"EADDRINUSE"
    r"|\baddress (is )?(already )?in use\b"
    r"|\b(errno|error|winerror|code)[ =:(]*(98|48|10048|10013)\b"
    r"|only one usage of each socket address"
    r"|forbidden by its access permissions"
    r"|\bport\b.{0,60}\b(in use|taken|occupied|allocated|unavailable|not available|being used)\b",
    re.IGNORECASE,
)
"""EADDRINUSE as programs print it on Linux (98), macOS (48) and Windows (10048; 10013 for a port held exclusively)."""

_NUMBER_OF_PORT = re.compile(r"(?:\bports?\b[ =:'\"#]*|[:\]]:?|', |\", )(\d{2,5})\b", re.IGNORECASE)


def excerpt(lines: Sequence[str], count: int) -> tuple[str, ...]:
    """Return the last lines, at most `count` in all, preceded by the earlier lines that explain most.

    These are the first line that names an error, and the last that begins with the name of an exception. Each takes the
    place of two lines: its own, and that of the gap behind it.
    """
    if len(lines) <= count:
        return tuple(lines)
    tail = len(lines) - count
    earlier = tail + 2 * KEPT_EARLIER
    first = [number for number, line in enumerate(lines[:earlier]) if _names_error(line)][:1]
    last = [number for number, line in enumerate(lines) if _EXCEPTION.match(line)][-1:]
    kept = sorted({number for number in (*first, *last) if number < earlier})
    tail += 2 * len(kept)
    shown = [text for number in kept if number < tail for text in (lines[number], GAP)]
    return (*shown, *lines[tail:])


def _names_error(line: str) -> bool:
    return bool(_ERROR.search(line)) and not _NO_ERROR.search(line)


def names_taken(lines: Sequence[str], port: int) -> bool:
    """Return whether a log says that this very port was taken."""
    return any(_TAKEN.search(line) and re.search(rf"(?<!\d){port}(?!\d)", line) for line in lines)


def taken_ports(lines: Sequence[str], ports: Collection[int]) -> frozenset[int]:
    """Return which of these ports a log says were taken. A line that names no port at all means all of them."""
    taken: set[int] = set()
    for line in lines:
        if not _TAKEN.search(line):
            continue
        mentioned = {int(number) for number in _NUMBER_OF_PORT.findall(line)}
        if mine := {port for port in ports if re.search(rf"(?<!\d){port}(?!\d)", line)}:
            taken |= mine
        elif not mentioned:
            taken |= set(ports)
    return frozenset(taken)
