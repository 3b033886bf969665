"""The variables that Windows gives to a new login of this user: from the registry, for the machine and for the user."""

import ctypes
import sys
from ctypes import c_void_p
from ctypes.wintypes import HANDLE

from . import win32, win32_userenv

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

TOKEN_DUPLICATE = 0x0002
"""Beside TOKEN_QUERY, what CreateEnvironmentBlock asks of a token."""

CHARACTERS_MAX = 1_000_000
"""How much of a block is read at most."""


def of_this_user() -> dict[str, str]:
    """Return the variables.

    Raises:
        OSError: the system does not tell.
    """
    token, block = HANDLE(), c_void_p()
    access = win32.TOKEN_QUERY | TOKEN_DUPLICATE
    if not win32.OpenProcessToken(win32.GetCurrentProcess(), access, ctypes.byref(token)):
        raise win32.last_error()
    try:
        # Nothing of the variables of this process is in it.
        if not win32_userenv.CreateEnvironmentBlock(ctypes.byref(block), token, False):
            raise win32.last_error()
    finally:
        win32.CloseHandle(token)
    try:
        return _parse(block.value or 0)
    finally:
        win32_userenv.DestroyEnvironmentBlock(block)


def _parse(address: int) -> dict[str, str]:
    """Return the variables in a block: texts with a zero behind each, and an empty one at the end."""
    found: dict[str, str] = {}
    size = ctypes.sizeof(ctypes.c_wchar)
    read = 0
    while read < CHARACTERS_MAX:
        text = ctypes.wstring_at(address + read * size)
        if not text:
            break
        read += len(text) + 1
        # The names of the current folders of drives begin with the character that ends other names.
        name, equals, value = text.partition("=")
        if name and equals:
            found[name] = value
    return found
