"""Functions of Windows for services and accounts, with types: `winsvc.h`, `winnt.h`, `secext.h`, `shlobj.h`."""

import ctypes
import sys
from ctypes import wintypes

assert sys.platform == "win32"  # noqa: S101 (tells type checkers whose file this is)

advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)


class ServiceStatus(ctypes.Structure):
    """SERVICE_STATUS."""

    _fields_ = (
        ("dwServiceType", wintypes.DWORD),
        ("dwCurrentState", wintypes.DWORD),
        ("dwControlsAccepted", wintypes.DWORD),
        ("dwWin32ExitCode", wintypes.DWORD),
        ("dwServiceSpecificExitCode", wintypes.DWORD),
        ("dwCheckPoint", wintypes.DWORD),
        ("dwWaitHint", wintypes.DWORD),
    )


ServiceMain = ctypes.WINFUNCTYPE(None, wintypes.DWORD, ctypes.POINTER(wintypes.LPWSTR))
Handler = ctypes.WINFUNCTYPE(wintypes.DWORD, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID, wintypes.LPVOID)


class TableEntry(ctypes.Structure):
    """SERVICE_TABLE_ENTRYW."""

    _fields_ = (("lpServiceName", wintypes.LPWSTR), ("lpServiceProc", ServiceMain))


advapi32.StartServiceCtrlDispatcherW.argtypes = (ctypes.POINTER(TableEntry),)
advapi32.StartServiceCtrlDispatcherW.restype = wintypes.BOOL
advapi32.RegisterServiceCtrlHandlerExW.argtypes = (wintypes.LPCWSTR, Handler, wintypes.LPVOID)
advapi32.RegisterServiceCtrlHandlerExW.restype = wintypes.HANDLE
advapi32.SetServiceStatus.argtypes = (wintypes.HANDLE, ctypes.POINTER(ServiceStatus))
advapi32.SetServiceStatus.restype = wintypes.BOOL

_SERVICE = (
    wintypes.DWORD, wintypes.DWORD, wintypes.DWORD, wintypes.LPCWSTR, wintypes.LPCWSTR, wintypes.LPDWORD,
    wintypes.LPCWSTR, wintypes.LPCWSTR, wintypes.LPCWSTR,
)  # fmt: skip
advapi32.OpenSCManagerW.argtypes = (wintypes.LPCWSTR, wintypes.LPCWSTR, wintypes.DWORD)
advapi32.OpenSCManagerW.restype = wintypes.HANDLE
advapi32.OpenServiceW.argtypes = (wintypes.HANDLE, wintypes.LPCWSTR, wintypes.DWORD)
advapi32.OpenServiceW.restype = wintypes.HANDLE
advapi32.CreateServiceW.argtypes = (
    wintypes.HANDLE, wintypes.LPCWSTR, wintypes.LPCWSTR, wintypes.DWORD, *_SERVICE,
)  # fmt: skip
advapi32.CreateServiceW.restype = wintypes.HANDLE
advapi32.ChangeServiceConfigW.argtypes = (wintypes.HANDLE, *_SERVICE, wintypes.LPCWSTR)
advapi32.ChangeServiceConfigW.restype = wintypes.BOOL
advapi32.ChangeServiceConfig2W.argtypes = (wintypes.HANDLE, wintypes.DWORD, wintypes.LPVOID)
advapi32.ChangeServiceConfig2W.restype = wintypes.BOOL
advapi32.QueryServiceConfigW.argtypes = (wintypes.HANDLE, wintypes.LPVOID, wintypes.DWORD, wintypes.LPDWORD)
advapi32.QueryServiceConfigW.restype = wintypes.BOOL
advapi32.QueryServiceConfig2W.argtypes = (
    wintypes.HANDLE, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD, wintypes.LPDWORD,
)  # fmt: skip
advapi32.QueryServiceConfig2W.restype = wintypes.BOOL
advapi32.QueryServiceStatusEx.argtypes = (
    wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD, wintypes.LPDWORD,
)  # fmt: skip
advapi32.QueryServiceStatusEx.restype = wintypes.BOOL
advapi32.StartServiceW.argtypes = (wintypes.HANDLE, wintypes.DWORD, wintypes.LPVOID)
advapi32.StartServiceW.restype = wintypes.BOOL
advapi32.ControlService.argtypes = (wintypes.HANDLE, wintypes.DWORD, wintypes.LPVOID)
advapi32.ControlService.restype = wintypes.BOOL
advapi32.DeleteService.argtypes = (wintypes.HANDLE,)
advapi32.DeleteService.restype = wintypes.BOOL
advapi32.CloseServiceHandle.argtypes = (wintypes.HANDLE,)
advapi32.CloseServiceHandle.restype = wintypes.BOOL

shell32 = ctypes.WinDLL("shell32", use_last_error=True)
shell32.IsUserAnAdmin.argtypes = ()
shell32.IsUserAnAdmin.restype = wintypes.BOOL
shell32.SHGetFolderPathW.argtypes = (
    wintypes.HWND, ctypes.c_int, wintypes.HANDLE, wintypes.DWORD, wintypes.LPWSTR,
)  # fmt: skip
shell32.SHGetFolderPathW.restype = ctypes.c_long

secur32 = ctypes.WinDLL("secur32", use_last_error=True)
secur32.GetUserNameExW.argtypes = (ctypes.c_int, wintypes.LPWSTR, ctypes.POINTER(wintypes.ULONG))
secur32.GetUserNameExW.restype = ctypes.c_ubyte
