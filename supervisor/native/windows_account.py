"""Who runs this, as Windows has it."""

import ctypes
import sys
from ctypes import wintypes

from . import win32_services as win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers whose file this is)

_TOKEN_QUERY = 0x0008
_TOKEN_USER = 1
_NAME_SAM_COMPATIBLE = 2

# winnt.h: WinLocalSystemSid, WinLocalServiceSid, WinNetworkServiceSid
_REFUSED = {22: "LocalSystem", 23: "LocalService", 24: "NetworkService"}


def elevated() -> bool:
    """Whether this process may change the machine."""
    return bool(win32.shell32.IsUserAnAdmin())


def account_name() -> str:
    """The user's name with its domain.

    Raises:
        OSError: the system does not tell.
    """
    length = wintypes.ULONG(512)
    name = ctypes.create_unicode_buffer(length.value)
    if not win32.secur32.GetUserNameExW(_NAME_SAM_COMPATIBLE, name, length):
        raise ctypes.WinError(ctypes.get_last_error())
    return name.value


def refused_account() -> str | None:
    """The account that this process runs as, where it belongs to the machine and to no user. None: it is a user's.

    Raises:
        OSError: the system does not tell.
    """
    token = wintypes.HANDLE()
    if not win32.advapi32.OpenProcessToken(win32.kernel32.GetCurrentProcess(), _TOKEN_QUERY, token):
        raise ctypes.WinError(ctypes.get_last_error())
    try:
        length = wintypes.DWORD()
        win32.advapi32.GetTokenInformation(token, _TOKEN_USER, None, 0, length)
        user = ctypes.create_string_buffer(length.value)
        if not win32.advapi32.GetTokenInformation(token, _TOKEN_USER, user, length, length):
            raise ctypes.WinError(ctypes.get_last_error())
    finally:
        win32.kernel32.CloseHandle(token)
    # TOKEN_USER begins with the pointer to the SID.
    sid = ctypes.cast(user, ctypes.POINTER(wintypes.LPVOID)).contents
    return next((name for number, name in _REFUSED.items() if win32.advapi32.IsWellKnownSid(sid, number)), None)
