"""Functions, structures and constants of Windows for files and for access lists; sources are the SDK's headers."""

import ctypes
import sys
from ctypes import POINTER, Structure, c_ubyte, c_void_p, c_wchar_p
from ctypes.wintypes import BOOL, DWORD, HANDLE, ULONG

from . import win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers whose file this is)

declared = win32.declared

# <winnt.h>, <fileapi.h>
GENERIC_WRITE = 0x40000000
FILE_APPEND_DATA = 0x0004
FILE_READ_ATTRIBUTES = 0x0080
FILE_SHARE_READ_DELETE = 0x0005
FILE_SHARE_ALL = 0x0007
CREATE_NEW = 1
OPEN_ALWAYS = 4
FILE_ATTRIBUTE_NORMAL = 0x00000080

# <accctrl.h>, <aclapi.h>, <winnt.h>: access lists
SE_FILE_OBJECT = 1
OWNER_SECURITY_INFORMATION = 0x00000001
DACL_SECURITY_INFORMATION = 0x00000004
ACCESS_ALLOWED_ACE_TYPE = 0
ACCESS_ALLOWED_CALLBACK_ACE_TYPE = 9
DENYING_ACE_TYPES = (1, 6, 10, 12)
"""ACCESS_DENIED_ACE_TYPE, and those for objects, with a callback, and both."""
INHERIT_ONLY_ACE = 0x08
SDDL_REVISION_1 = 1


class SecurityAttributes(Structure):
    """SECURITY_ATTRIBUTES."""

    _fields_ = (("length", DWORD), ("descriptor", c_void_p), ("inherit", BOOL))


class Acl(Structure):
    """ACL; its entries follow it."""

    _fields_ = (
        ("revision", c_ubyte),
        ("reserved", c_ubyte),
        ("size", ctypes.c_ushort),
        ("count", ctypes.c_ushort),
        ("reserved2", ctypes.c_ushort),
    )


class AllowedAce(Structure):
    """ACCESS_ALLOWED_ACE; the SID begins at its last field."""

    _fields_ = (
        ("type", c_ubyte),
        ("flags", c_ubyte),
        ("size", ctypes.c_ushort),
        ("mask", DWORD),
        ("sid", DWORD),
    )


_kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
_advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)

# <fileapi.h>, <winbase.h>
CreateFile = declared(
    _kernel32, "CreateFileW", HANDLE, c_wchar_p, DWORD, DWORD, POINTER(SecurityAttributes), DWORD, DWORD, HANDLE
)
CreateDirectory = declared(_kernel32, "CreateDirectoryW", BOOL, c_wchar_p, POINTER(SecurityAttributes))
LocalFree = declared(_kernel32, "LocalFree", c_void_p, c_void_p)

# <securitybaseapi.h>, <sddl.h>, <aclapi.h>
GetAce = declared(_advapi32, "GetAce", BOOL, c_void_p, DWORD, POINTER(c_void_p))
ConvertSidToStringSid = declared(_advapi32, "ConvertSidToStringSidW", BOOL, c_void_p, POINTER(c_void_p))
LookupAccountSid = declared(
    _advapi32,
    "LookupAccountSidW",
    BOOL,
    c_wchar_p,
    c_void_p,
    c_wchar_p,
    POINTER(DWORD),
    c_wchar_p,
    POINTER(DWORD),
    POINTER(ctypes.c_int),
)
ConvertStringSecurityDescriptor = declared(
    _advapi32,
    "ConvertStringSecurityDescriptorToSecurityDescriptorW",
    BOOL,
    c_wchar_p,
    DWORD,
    POINTER(c_void_p),
    POINTER(ULONG),
)
GetNamedSecurityInfo = declared(
    _advapi32, "GetNamedSecurityInfoW", DWORD, c_wchar_p, ctypes.c_int, DWORD, *[POINTER(c_void_p)] * 5
)
