"""Every process of the machine in one call, whoever may open it."""

import ctypes
import sys
from collections.abc import Iterator, Mapping
from ctypes.wintypes import ULONG
from dataclasses import dataclass

from ..core.model import ProcessIdentity
from . import win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

FIRST_GUESS_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Listed:
    """`created`: 100 ns since 1601. `parent` is only the number that its maker had: it may be another's by now."""

    pid: int
    parent: int
    created: int

    @property
    def identity(self) -> ProcessIdentity:
        """The identity that these facts make."""
        return ProcessIdentity(self.pid, str(self.created))


def processes() -> dict[int, Listed]:
    """Every living process, by pid. Those that have ended are not listed, though a handle keeps their pid.

    Raises:
        OSError: the system would not tell.
    """
    return {row.pid: row for row in _rows(_table())}


def parent_of(row: Listed, listed: Mapping[int, Listed]) -> int:
    """The pid of the process that made it; 0 where that has gone, and its number may be another's."""
    parent = listed.get(row.parent)
    return parent.pid if parent is not None and parent.created <= row.created else 0


def lost_ancestor(row: Listed, listed: Mapping[int, Listed]) -> int:
    """The number of the nearest ancestor that has gone; 0 where another process has it, or had none of them gone."""
    while pid := parent_of(row, listed):
        row = listed[pid]
    return row.parent if row.parent not in listed else 0


def _table() -> "ctypes.Array[ctypes.c_char]":
    size = FIRST_GUESS_BYTES
    while True:
        table = ctypes.create_string_buffer(size)
        needed = ULONG()
        status = win32.NtQuerySystemInformation(win32.SYSTEM_PROCESS_INFORMATION, table, size, ctypes.byref(needed))
        if status == 0:
            return table
        if status & 0xFFFFFFFF != win32.STATUS_INFO_LENGTH_MISMATCH:
            raise win32.status_error(status)
        # Processes come between two questions.
        size = max(size, needed.value) * 2


def _rows(table: "ctypes.Array[ctypes.c_char]") -> Iterator[Listed]:
    offset = 0
    while True:
        row = win32.SystemProcess.from_buffer(table, offset)
        if row.pid:
            yield Listed(row.pid, row.parent, row.created)
        if not row.next_offset:
            return
        offset += row.next_offset
