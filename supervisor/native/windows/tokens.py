"""Users, by access tokens and SIDs."""

import ctypes
import sys
from ctypes import c_void_p
from ctypes.wintypes import DWORD, HANDLE
from functools import cache

from . import win32, win32_files

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

NAME_MAX = 256


def user_of(process: int) -> str:
    """Return the SID of the user that a process runs as, as text. `process` is a handle.

    Raises:
        OSError: the system does not tell.
    """
    # The object is kept until the SID has been read, because the memory is freed with it.
    sid = _Sid(process)
    return sid_text(sid.address)


@cache
def me() -> str:
    """Return the SID of this process's own user."""
    return user_of(win32.GetCurrentProcess())


def name_of(process: int) -> str:
    """Return the name of the user that a process runs as, for people; the SID if there is no name.

    Raises:
        OSError: the system does not tell.
    """
    sid = _Sid(process)
    sizes = [DWORD(NAME_MAX), DWORD(NAME_MAX)]
    name, domain = (ctypes.create_unicode_buffer(NAME_MAX) for _ in sizes)
    use = ctypes.c_int()
    known = win32_files.LookupAccountSid(
        None, sid.address, name, ctypes.byref(sizes[0]), domain, ctypes.byref(sizes[1]), ctypes.byref(use)
    )
    return name.value if known and name.value else sid_text(sid.address)


def sid_text(sid: int | None) -> str:
    """Return a SID as text ("S-1-5-...").

    Raises:
        OSError: the memory holds no SID.
    """
    text = c_void_p()
    if not win32_files.ConvertSidToStringSid(sid, ctypes.byref(text)):
        raise win32.last_error()
    try:
        return ctypes.wstring_at(text.value or 0)
    finally:
        win32_files.LocalFree(text)


class _Sid:
    """The SID of a process's user, and the memory that contains it."""

    def __init__(self, process: int) -> None:
        token = HANDLE()
        if not win32.OpenProcessToken(process, win32.TOKEN_QUERY, ctypes.byref(token)):
            raise win32.last_error()
        try:
            size = DWORD()
            win32.GetTokenInformation(token, win32.TOKEN_USER, None, 0, ctypes.byref(size))
            self._memory = ctypes.create_string_buffer(max(size.value, 64))
            if not win32.GetTokenInformation(token, win32.TOKEN_USER, self._memory, size, ctypes.byref(size)):
                raise win32.last_error()
        finally:
            win32.CloseHandle(token)
        # TOKEN_USER begins with the pointer to the SID, which lies in the same memory.
        self.address = c_void_p.from_buffer(self._memory).value
