"""The order in which processes were created, by a counter that no user can set. Creation times follow the clock."""

import contextlib
import ctypes
import sys
from ctypes.wintypes import ULONG

from ....core.model import ProcessIdentity
from .. import win32
from . import handles

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

FIRST_GUESS_BYTES = 4096
"""The facts are followed by a SID, two paths and a command line."""

RIGHTS_TO_TRY = (
    win32.PROCESS_QUERY_LIMITED_INFORMATION,
    win32.PROCESS_QUERY_LIMITED_INFORMATION | win32.PROCESS_QUERY_INFORMATION,
)
"""Microsoft does not document which right is needed."""


def sequence(identity: ProcessIdentity) -> int | None:
    """Return the number of processes that the system had created since boot when it created this one.

    Returns None if the system does not tell (before Windows 10, on Wine, or of a process that may not be opened), or if
    its answer is about another process.
    """
    for access in RIGHTS_TO_TRY:
        with contextlib.suppress(OSError), handles.opened(identity.pid, access) as handle:
            answer = _query(handle)
            # The layout is internal to Windows: an answer counts if it repeats known facts of the process.
            matches = answer is not None and identity == ProcessIdentity(answer.pid, str(answer.created))
            if answer is not None and matches and answer.sequence:
                return int(answer.sequence)
    return None


def _query(handle: int) -> win32.ProcessTelemetryId | None:
    size = max(FIRST_GUESS_BYTES, ctypes.sizeof(win32.ProcessTelemetryId))
    while True:
        answer = ctypes.create_string_buffer(size)
        needed = ULONG()
        status = win32.NtQueryInformationProcess(
            handle, win32.PROCESS_TELEMETRY_ID_INFORMATION, answer, size, ctypes.byref(needed)
        )
        if status >= 0:
            return win32.ProcessTelemetryId.from_buffer(answer)
        if needed.value <= size:
            return None
        size = needed.value
