"""Functions of macOS's libproc, with their types: <libproc.h>, <sys/resource.h>."""

import ctypes
import sys
from collections.abc import Callable
from typing import Any

assert sys.platform != "win32"  # noqa: S101 (tells type checkers where this may run; tests run it on Linux)

LIBPROC = "/usr/lib/libproc.dylib"
RUSAGE_INFO_V0 = 0

BirthOf = Callable[[int], int | None]
"""The time at which the process of a pid was created, in absolute ticks of the machine; None: the system does not tell.
"""


class RusageInfo(ctypes.Structure):
    """struct rusage_info_v0."""

    _fields_ = (
        ("uuid", ctypes.c_uint8 * 16),
        ("user_time", ctypes.c_uint64),
        ("system_time", ctypes.c_uint64),
        ("idle_wakeups", ctypes.c_uint64),
        ("interrupt_wakeups", ctypes.c_uint64),
        ("pageins", ctypes.c_uint64),
        ("wired_size", ctypes.c_uint64),
        ("resident_size", ctypes.c_uint64),
        ("physical_footprint", ctypes.c_uint64),
        ("started", ctypes.c_uint64),
        ("exited", ctypes.c_uint64),
    )


def open_libproc() -> BirthOf:
    """Return the `BirthOf` of this system. Without libproc it returns None for every pid."""
    try:
        libproc = ctypes.CDLL(LIBPROC)
        libproc.proc_pid_rusage.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
        libproc.proc_pid_rusage.restype = ctypes.c_int
    except (OSError, AttributeError):
        return lambda _: None
    return births(libproc.proc_pid_rusage)


def births(proc_pid_rusage: Callable[..., Any]) -> BirthOf:
    """Return a `BirthOf` that calls `proc_pid_rusage`, whose result 0 means that its third argument was filled."""

    def birth_of(pid: int) -> int | None:
        usage = RusageInfo()
        if proc_pid_rusage(pid, RUSAGE_INFO_V0, ctypes.byref(usage)) != 0:
            return None
        return int(usage.started) or None

    return birth_of
