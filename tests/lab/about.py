"""Prints what runs here, and checks that it works."""

import ctypes
import platform
import ssl
import sys
import venv

assert venv
assert ssl
library = getattr(ctypes, "WinDLL", ctypes.CDLL)("ntdll")
# Wine's own; Windows has no such function.
library.wine_get_version.restype = ctypes.c_char_p
windows = ".".join(str(part) for part in getattr(sys, "getwindowsversion", tuple)()[:3])
wine = library.wine_get_version().decode()
sys.stdout.write(f"tests/lab: CPython {platform.python_version()}, Windows {windows}, Wine {wine}\n")
