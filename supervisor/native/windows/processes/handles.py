"""Handles of processes, closed by `with`. An open handle keeps its pid from being given to another process."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator
from ctypes.wintypes import DWORD, FILETIME

from ....core.model import ProcessIdentity
from .. import win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

PID_MAX = 2**32 - 1

QUERY = win32.SYNCHRONIZE | win32.PROCESS_QUERY_LIMITED_INFORMATION
"""The rights to find out whether the process runs, and when it was created."""


def is_pid(pid: int) -> bool:
    """Return whether a process could have this number. 0 is the idle process, which cannot be queried."""
    return 0 < pid <= PID_MAX


def open_handle(pid: int, access: int) -> int:
    """Open a handle to the process that now has this pid; the caller closes it.

    Windows rounds a number down to the next pid, so the process may have another pid: check `identity_of` the handle.

    Raises:
        OSError: `winerror` is 87 if no process has the pid, 5 if it may not be opened.
    """
    handle: int | None = win32.OpenProcess(access, False, pid)
    if not handle:
        raise win32.last_error()
    return handle


@contextlib.contextmanager
def opened(pid: int, access: int = QUERY) -> Iterator[int]:
    """Yield a handle to the process that now has this pid; see `open_handle`. The handle is closed at the end.

    Raises:
        OSError: see `open_handle`.
    """
    handle = open_handle(pid, access)
    try:
        yield handle
    finally:
        win32.CloseHandle(handle)


@contextlib.contextmanager
def opened_if_running(identity: ProcessIdentity, access: int) -> Iterator[int | None]:
    """Yield a handle to exactly this process while it runs; None if it has ended.

    Raises:
        OSError: the system does not tell, or refuses this access.
    """
    try:
        handle = open_handle(identity.pid, access) if is_pid(identity.pid) else None
    except OSError as error:
        if error.winerror != win32.ERROR_INVALID_PARAMETER:
            raise
        handle = None
    if handle is None:
        yield None
        return
    try:
        yield handle if identity_of(handle) == identity and runs(handle) else None
    finally:
        win32.CloseHandle(handle)


def identity_of(handle: int) -> ProcessIdentity:
    """Return the identity of the process behind a handle, running or not.

    Raises:
        OSError: the system does not tell.
    """
    pid = int(win32.GetProcessId(handle))
    if not pid:
        raise win32.last_error()
    return ProcessIdentity(pid, str(creation_time(handle)))


def creation_time(handle: int) -> int:
    """Return when the process was created, 100 ns since 1601.

    Raises:
        OSError: the system does not tell.
    """
    times = [FILETIME() for _ in range(4)]
    if not win32.GetProcessTimes(handle, *(ctypes.byref(time) for time in times)):
        raise win32.last_error()
    return (times[0].dwHighDateTime << 32) | times[0].dwLowDateTime


def runs(handle: int) -> bool:
    """Return whether the process runs. Only a wait tells, because an ended process can still be opened.

    Raises:
        OSError: the system does not tell.
    """
    result = win32.WaitForSingleObject(handle, 0)
    if result not in (win32.WAIT_OBJECT_0, win32.WAIT_TIMEOUT):
        raise win32.last_error()
    return bool(result == win32.WAIT_TIMEOUT)


def exit_code(handle: int) -> int:
    """Return the exit status of a process that has ended.

    Raises:
        OSError: the system does not tell.
    """
    code = DWORD()
    if not win32.GetExitCodeProcess(handle, ctypes.byref(code)):
        raise win32.last_error()
    return code.value
