"""The account that this process runs as."""

import ctypes
import sys
from ctypes import wintypes
from pathlib import Path

from .. import tokens
from . import win32_services as win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers whose file this is)

_NAME_SAM_COMPATIBLE = 2
_CSIDL_LOCAL_APPDATA = 0x001C

_REFUSED = {"S-1-5-18": "LocalSystem", "S-1-5-19": "LocalService", "S-1-5-20": "NetworkService"}


def elevated() -> bool:
    """Return whether this process may change the whole machine."""
    return bool(win32.shell32.IsUserAnAdmin())


def account_name() -> str:
    """Return the user's name with its domain.

    Raises:
        OSError: the system does not tell.
    """
    length = wintypes.ULONG(512)
    name = ctypes.create_unicode_buffer(length.value)
    if not win32.secur32.GetUserNameExW(_NAME_SAM_COMPATIBLE, name, length):
        raise ctypes.WinError(ctypes.get_last_error())
    return name.value


def local_app_data() -> Path | None:
    """Return the account's folder for local data, which no variable moves; None if it has none."""
    path = ctypes.create_unicode_buffer(wintypes.MAX_PATH)
    failed = win32.shell32.SHGetFolderPathW(None, _CSIDL_LOCAL_APPDATA, None, 0, path)
    return None if failed else Path(path.value)


def refused_account() -> str | None:
    """Return the name of the account that this process runs as, if the account belongs to the machine; else None.

    Raises:
        OSError: the system does not tell.
    """
    return _REFUSED.get(tokens.me())
