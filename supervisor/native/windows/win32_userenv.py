"""Functions of Windows for the environments of users; the source is the SDK's <userenv.h>."""

import ctypes
import sys
from ctypes import POINTER, c_void_p
from ctypes.wintypes import BOOL, HANDLE

from . import win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers whose file this is)

declared = win32.declared

userenv = ctypes.WinDLL("userenv", use_last_error=True)

CreateEnvironmentBlock = declared(userenv, "CreateEnvironmentBlock", BOOL, POINTER(c_void_p), HANDLE, BOOL)
DestroyEnvironmentBlock = declared(userenv, "DestroyEnvironmentBlock", BOOL, c_void_p)
