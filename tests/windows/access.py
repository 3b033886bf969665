"""Changes of access lists, as an administrator or a careless user makes them."""

import ctypes
from ctypes import c_void_p
from pathlib import Path

from supervisor.native.windows import win32_files


def allow(path: Path, list_of_access: str) -> None:
    """Give a file this access list, in the system's own notation."""
    advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)
    change = advapi32.SetFileSecurityW
    change.argtypes, change.restype = (ctypes.c_wchar_p, ctypes.c_ulong, c_void_p), ctypes.c_int
    descriptor = c_void_p()
    assert win32_files.ConvertStringSecurityDescriptor(
        list_of_access, win32_files.SDDL_REVISION_1, ctypes.byref(descriptor), None
    )
    assert change(str(path), win32_files.DACL_SECURITY_INFORMATION, descriptor), ctypes.WinError(
        ctypes.get_last_error()
    )
    win32_files.LocalFree(descriptor)
