"""The limits of Wine for tests."""

import sys

import pytest

IS_WINDOWS = sys.platform == "win32"


def _wine() -> int:
    """Return the version of Wine; 0: there is none. Only tests may ask, the product never does."""
    if sys.platform != "win32":
        return 0
    import ctypes

    version = getattr(ctypes.WinDLL("ntdll"), "wine_get_version", None)
    if version is None:
        return 0
    version.restype = ctypes.c_char_p
    return int(version().partition(b".")[0])


WINE = _wine()

REAL_WINDOWS = (pytest.mark.needs_real_windows,)
"""For tests of behaviour in which Wine differs from Windows."""

TELLS_OWNERS_SINCE = 9

PORT_OWNERS = (pytest.mark.skipif(0 < WINE < TELLS_OWNERS_SINCE, reason="needs_real_windows"),)
"""For tests that need the owners of listeners, which earlier releases of Wine do not tell."""
