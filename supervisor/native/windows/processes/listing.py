"""All processes of the machine in one call, including those that may not be opened."""

import ctypes
import sys
from collections.abc import Callable, Iterator, Mapping
from ctypes.wintypes import ULONG

from ....core.model import ProcessIdentity
from ....values import frozen
from .. import win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

FIRST_GUESS_BYTES = 512 * 1024


@frozen
class Listed:
    """One listed process. `created`: 100 ns since 1601. `parent`: the number of its creator, perhaps reused since."""

    pid: int
    parent: int
    created: int

    @property
    def identity(self) -> ProcessIdentity:
        """The identity that results from these facts."""
        return ProcessIdentity(self.pid, str(self.created))


def processes() -> dict[int, Listed]:
    """Return every living process, by pid. Ended processes are not listed, even if a handle keeps their pid.

    Raises:
        OSError: the system does not tell.
    """
    return {row.pid: row for row in _rows(_table())}


def parents(listed: Mapping[int, Listed], sequence: Callable[[ProcessIdentity], int | None]) -> dict[int, int]:
    """Return the pid of the creator for every pid; 0 if the creator has ended, even if its number has been reused.

    `sequence` returns a process's place in the order of creation, None if it is not known. A creator is older than the
    process. If the place of only one of the two is known, nothing is proven. If neither is, as on Wine, creation times
    decide; Windows tells the place of all processes that the daemon may end.
    """
    sequences = {pid: sequence(row.identity) for pid, row in listed.items()}
    return {
        pid: row.parent if row.parent in listed and _precedes(listed[row.parent], row, sequences) else 0
        for pid, row in listed.items()
    }


def lost_ancestor(pid: int, listed: Mapping[int, Listed], parents: Mapping[int, int]) -> int:
    """Return the former pid of the nearest ended ancestor; 0 if the pid has been reused."""
    seen = set()
    while parents[pid] and pid not in seen:
        seen.add(pid)
        pid = parents[pid]
    return listed[pid].parent if listed[pid].parent not in listed else 0


def _precedes(parent: Listed, child: Listed, sequences: Mapping[int, int | None]) -> bool:
    first, second = sequences[parent.pid], sequences[child.pid]
    if first is None and second is None:
        return parent.created <= child.created
    return first is not None and second is not None and first < second


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
        # Processes may be added between two calls.
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
