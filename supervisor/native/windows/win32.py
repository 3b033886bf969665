"""Functions of Windows, each declared with argument and result types beside its library.

Without declared types, ctypes passes handles through `int`, which cuts them to 32 bits; `test_ctypes.py` finds
undeclared functions. Sources: the headers of the Windows SDK that the comments name.
"""

import ctypes
import sys
from collections.abc import Callable, Sequence
from ctypes import POINTER, Structure, c_size_t, c_ubyte, c_uint64, c_void_p, c_wchar_p
from ctypes.wintypes import BOOL, BYTE, DWORD, FILETIME, HANDLE, LARGE_INTEGER, LPVOID, UINT, ULONG
from typing import Any

assert sys.platform == "win32"  # noqa: S101 (tells type checkers whose file this is)

NTSTATUS = ctypes.c_long

# <winnt.h>, <winbase.h>
SYNCHRONIZE = 0x00100000
PROCESS_TERMINATE = 0x0001
PROCESS_SET_QUOTA = 0x0100
PROCESS_DUP_HANDLE = 0x0040
PROCESS_SUSPEND_RESUME = 0x0800
PROCESS_QUERY_INFORMATION = 0x0400
PROCESS_QUERY_LIMITED_INFORMATION = 0x1000
JOB_OBJECT_QUERY = 0x0004
EVENT_MODIFY_STATE = 0x0002
TOKEN_QUERY = 0x0008
TOKEN_USER = 1
WAIT_OBJECT_0 = 0x00000000
WAIT_TIMEOUT = 0x00000102
WT_EXECUTEONLYONCE = 0x00000008
INFINITE = 0xFFFFFFFF
CREATE_SUSPENDED = 0x00000004
CTRL_BREAK_EVENT = 1
ERROR_ALREADY_EXISTS = 183

# <winerror.h>
ERROR_FILE_NOT_FOUND = 2
ERROR_ACCESS_DENIED = 5
ERROR_INVALID_HANDLE = 6
ERROR_SHARING_VIOLATION = 32
ERROR_INVALID_PARAMETER = 87
ERROR_INSUFFICIENT_BUFFER = 122
ERROR_MORE_DATA = 234
ERROR_IO_PENDING = 997
WSAEACCES = 10013
WSAEADDRINUSE = 10048

# <winnt.h>: job objects
JOB_BASIC_PROCESS_ID_LIST = 3
JOB_EXTENDED_LIMIT_INFORMATION = 9
JOB_LIMIT_BREAKAWAY_OK = 0x00000800

# <winternl.h>, ntstatus.h
SYSTEM_PROCESS_INFORMATION = 5
PROCESS_BASIC_INFORMATION = 0
PROCESS_TELEMETRY_ID_INFORMATION = 64
STATUS_INFO_LENGTH_MISMATCH = 0xC0000004

# <iprtrmib.h>, <winsock2.h>
TCP_TABLE_OWNER_PID_LISTENER = 3
TCP_TABLE_OWNER_PID_CONNECTIONS = 4
AF_INET = 2
AF_INET6 = 23


class UnicodeString(Structure):
    """UNICODE_STRING; lengths are bytes."""

    _fields_ = (("length", ctypes.c_ushort), ("maximum", ctypes.c_ushort), ("buffer", c_void_p))


class SystemProcess(Structure):
    """The beginning of SYSTEM_PROCESS_INFORMATION. Times are FILETIME: 100 ns since 1601."""

    _fields_ = (
        ("next_offset", ULONG),
        ("threads", ULONG),
        ("reserved", BYTE * 24),
        ("created", LARGE_INTEGER),
        ("user_time", LARGE_INTEGER),
        ("kernel_time", LARGE_INTEGER),
        ("image", UnicodeString),
        ("base_priority", ctypes.c_long),
        ("pid", c_size_t),
        ("parent", c_size_t),
    )


class ProcessTelemetryId(Structure):
    """The beginning of PROCESS_TELEMETRY_ID_INFORMATION: Windows 10 and later, on Microsoft Learn, in no header."""

    _fields_ = (
        ("header_size", ULONG),
        ("pid", ULONG),
        ("start_key", c_uint64),
        ("created", c_uint64),
        ("created_interrupt", c_uint64),
        ("created_unbiased", c_uint64),
        ("sequence", c_uint64),
    )


class JobBasicLimits(Structure):
    """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

    _fields_ = (
        ("process_time", LARGE_INTEGER),
        ("job_time", LARGE_INTEGER),
        ("flags", DWORD),
        ("working_set_min", c_size_t),
        ("working_set_max", c_size_t),
        ("active_processes", DWORD),
        ("affinity", c_size_t),
        ("priority", DWORD),
        ("scheduling", DWORD),
    )


class JobExtendedLimits(Structure):
    """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

    _fields_ = (
        ("basic", JobBasicLimits),
        ("io_counters", c_uint64 * 6),
        ("process_memory", c_size_t),
        ("job_memory", c_size_t),
        ("peak_process_memory", c_size_t),
        ("peak_job_memory", c_size_t),
    )


class TcpRow4(Structure):
    """MIB_TCPROW_OWNER_PID. Ports are in network order in the low 16 bits."""

    _fields_ = (
        ("state", DWORD),
        ("local_address", c_ubyte * 4),
        ("local_port", DWORD),
        ("remote_address", c_ubyte * 4),
        ("remote_port", DWORD),
        ("pid", DWORD),
    )


class TcpRow6(Structure):
    """MIB_TCP6ROW_OWNER_PID."""

    _fields_ = (
        ("local_address", c_ubyte * 16),
        ("local_scope", DWORD),
        ("local_port", DWORD),
        ("remote_address", c_ubyte * 16),
        ("remote_scope", DWORD),
        ("remote_port", DWORD),
        ("state", DWORD),
        ("pid", DWORD),
    )


WaitCallback = ctypes.WINFUNCTYPE(None, c_void_p, c_ubyte)
"""WAITORTIMERCALLBACK: the context, and whether the time was up."""


def declared(library: ctypes.WinDLL, name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    """Return a function of a library, with the types of its result and arguments set."""
    function = getattr(library, name)
    function.restype = result
    function.argtypes = arguments
    return function  # type: ignore[no-any-return]


_kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
_advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)
_iphlpapi = ctypes.WinDLL("iphlpapi")
_ntdll = ctypes.WinDLL("ntdll")

# <processthreadsapi.h>
OpenProcess = declared(_kernel32, "OpenProcess", HANDLE, DWORD, BOOL, DWORD)
GetProcessId = declared(_kernel32, "GetProcessId", DWORD, HANDLE)
GetCurrentProcess = declared(_kernel32, "GetCurrentProcess", HANDLE)
GetProcessTimes = declared(_kernel32, "GetProcessTimes", BOOL, HANDLE, *[POINTER(FILETIME)] * 4)
GetExitCodeProcess = declared(_kernel32, "GetExitCodeProcess", BOOL, HANDLE, POINTER(DWORD))
QueryFullProcessImageName = declared(
    _kernel32, "QueryFullProcessImageNameW", BOOL, HANDLE, DWORD, c_wchar_p, POINTER(DWORD)
)
TerminateProcess = declared(_kernel32, "TerminateProcess", BOOL, HANDLE, UINT)
OpenProcessToken = declared(_advapi32, "OpenProcessToken", BOOL, HANDLE, DWORD, POINTER(HANDLE))

# <handleapi.h>, <synchapi.h>, <threadpoollegacyapiset.h>
CloseHandle = declared(_kernel32, "CloseHandle", BOOL, HANDLE)
DuplicateHandle = declared(
    _kernel32, "DuplicateHandle", BOOL, HANDLE, HANDLE, HANDLE, POINTER(HANDLE), DWORD, BOOL, DWORD
)
WaitForSingleObject = declared(_kernel32, "WaitForSingleObject", DWORD, HANDLE, DWORD)
CreateEvent = declared(_kernel32, "CreateEventW", HANDLE, c_void_p, BOOL, BOOL, c_wchar_p)
OpenEvent = declared(_kernel32, "OpenEventW", HANDLE, DWORD, BOOL, c_wchar_p)
SetEvent = declared(_kernel32, "SetEvent", BOOL, HANDLE)
_WaitForMultipleObjects = declared(_kernel32, "WaitForMultipleObjects", DWORD, DWORD, POINTER(HANDLE), BOOL, DWORD)
RegisterWaitForSingleObject = declared(
    _kernel32, "RegisterWaitForSingleObject", BOOL, POINTER(HANDLE), HANDLE, WaitCallback, c_void_p, ULONG, ULONG
)
UnregisterWait = declared(_kernel32, "UnregisterWait", BOOL, HANDLE)

# <jobapi.h>, <jobapi2.h>
CreateJobObject = declared(_kernel32, "CreateJobObjectW", HANDLE, c_void_p, c_wchar_p)
OpenJobObject = declared(_kernel32, "OpenJobObjectW", HANDLE, DWORD, BOOL, c_wchar_p)
AssignProcessToJobObject = declared(_kernel32, "AssignProcessToJobObject", BOOL, HANDLE, HANDLE)
IsProcessInJob = declared(_kernel32, "IsProcessInJob", BOOL, HANDLE, HANDLE, POINTER(BOOL))
SetInformationJobObject = declared(_kernel32, "SetInformationJobObject", BOOL, HANDLE, ctypes.c_int, LPVOID, DWORD)
QueryInformationJobObject = declared(
    _kernel32, "QueryInformationJobObject", BOOL, HANDLE, ctypes.c_int, LPVOID, DWORD, POINTER(DWORD)
)

# <consoleapi2.h>, <wincon.h>
AttachConsole = declared(_kernel32, "AttachConsole", BOOL, DWORD)
GenerateConsoleCtrlEvent = declared(_kernel32, "GenerateConsoleCtrlEvent", BOOL, DWORD, DWORD)
SetConsoleCtrlHandler = declared(_kernel32, "SetConsoleCtrlHandler", BOOL, c_void_p, BOOL)

# <winternl.h>
NtQuerySystemInformation = declared(
    _ntdll, "NtQuerySystemInformation", NTSTATUS, ctypes.c_int, LPVOID, ULONG, POINTER(ULONG)
)
NtQueryInformationProcess = declared(
    _ntdll, "NtQueryInformationProcess", NTSTATUS, HANDLE, ctypes.c_int, LPVOID, ULONG, POINTER(ULONG)
)
NtResumeProcess = declared(_ntdll, "NtResumeProcess", NTSTATUS, HANDLE)
RtlNtStatusToDosError = declared(_ntdll, "RtlNtStatusToDosError", ULONG, NTSTATUS)

# <iphlpapi.h>
GetExtendedTcpTable = declared(
    _iphlpapi, "GetExtendedTcpTable", DWORD, LPVOID, POINTER(DWORD), BOOL, ULONG, ctypes.c_int, ULONG
)

# <securitybaseapi.h>
GetTokenInformation = declared(
    _advapi32, "GetTokenInformation", BOOL, HANDLE, ctypes.c_int, LPVOID, DWORD, POINTER(DWORD)
)


def last_error() -> OSError:
    """Return the error of the last call as an exception; `winerror` has the number."""
    return ctypes.WinError(ctypes.get_last_error())


def status_error(status: int) -> OSError:
    """Return the error that a status of ntdll means."""
    return ctypes.WinError(RtlNtStatusToDosError(status))


def wait_for_any(handles: Sequence[int]) -> bool:
    """Wait until one of at most 64 objects is signalled. Returns False, at once, if the system refuses."""
    array = (HANDLE * len(handles))(*handles)
    return bool(_WaitForMultipleObjects(len(handles), array, False, INFINITE) < len(handles))
