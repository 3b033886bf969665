"""The service control manager of Windows: `winsvc.h`."""

import contextlib
import ctypes
import sys
import time
from collections.abc import Iterator
from ctypes import wintypes

from ...service_api import InstalledService, ServiceDefinition
from . import win32_services as win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers whose file this is)

STOP_PATIENCE_S = 60.0
_POLL_S = 0.1

_SC_MANAGER_CONNECT, _SC_MANAGER_CREATE_SERVICE = 0x1, 0x2
_QUERY, _CHANGE, _DELETE = 0x1 | 0x4, 0x2, 0x10000
_START, _STOP = 0x10, 0x20
_AUTO_START, _ERROR_NORMAL, _NO_CHANGE = 2, 1, 0xFFFFFFFF
_CONTROL_STOP = 1
_DESCRIPTION, _FAILURE_ACTIONS, _DELAYED = 1, 2, 3
_ACTION_RESTART = 1

_ALREADY_RUNNING, _DOES_NOT_EXIST, _NOT_ACTIVE = 1056, 1060, 1062

_STATES = {1: "stopped", 2: "starting", 3: "stopping", 4: "running", 5: "continuing", 6: "pausing", 7: "paused"}


class _Process(ctypes.Structure):
    """SERVICE_STATUS_PROCESS. Its first seven members are those of SERVICE_STATUS."""

    _fields_ = tuple(
        (name, wintypes.DWORD)
        for name in ("type", "state", "accepted", "exit", "specific", "check_point", "wait_hint", "pid", "flags")
    )


class _Config(ctypes.Structure):
    """QUERY_SERVICE_CONFIGW."""

    _fields_ = (
        ("type", wintypes.DWORD),
        ("start", wintypes.DWORD),
        ("error_control", wintypes.DWORD),
        ("path", wintypes.LPWSTR),
        ("group", wintypes.LPWSTR),
        ("tag", wintypes.DWORD),
        ("dependencies", wintypes.LPWSTR),
        ("account", wintypes.LPWSTR),
        ("display_name", wintypes.LPWSTR),
    )


class _Text(ctypes.Structure):
    """SERVICE_DESCRIPTIONW."""

    _fields_ = (("text", wintypes.LPWSTR),)


class _Flag(ctypes.Structure):
    """SERVICE_DELAYED_AUTO_START_INFO."""

    _fields_ = (("on", wintypes.BOOL),)


class _Action(ctypes.Structure):
    """SC_ACTION."""

    _fields_ = (("kind", ctypes.c_int), ("delay_ms", wintypes.DWORD))


class _Failure(ctypes.Structure):
    """SERVICE_FAILURE_ACTIONSW."""

    _fields_ = (
        ("reset_s", wintypes.DWORD),
        ("message", wintypes.LPWSTR),
        ("command", wintypes.LPWSTR),
        ("count", wintypes.DWORD),
        ("actions", ctypes.POINTER(_Action)),
    )


class WindowsServiceControl:
    """See `ServiceControl`."""

    def query(self, name: str) -> InstalledService | None:
        """Return the stored state."""
        try:
            with _service(name, _QUERY) as service:
                return _installed(service)
        except OSError as problem:
            if problem.winerror == _DOES_NOT_EXIST:
                return None
            raise

    def create(self, definition: ServiceDefinition) -> None:
        """Create a service."""
        with _manager(_SC_MANAGER_CONNECT | _SC_MANAGER_CREATE_SERVICE) as manager:
            made = win32.advapi32.CreateServiceW(
                manager, definition.name, definition.display_name, _CHANGE | _QUERY | _START,
                definition.type, _AUTO_START, _ERROR_NORMAL, definition.command_line, None, None, None,
                definition.account, definition.password,
            )  # fmt: skip
            with _closing(made) as service:
                _set_details(service, definition)

    def change(self, definition: ServiceDefinition) -> None:
        """Change a service to this definition."""
        # SERVICE_START: setting restart as a failure action needs that right.
        with _service(definition.name, _CHANGE | _QUERY | _START) as service:
            _checked(
                win32.advapi32.ChangeServiceConfigW(
                    service, definition.type, _AUTO_START, _NO_CHANGE, definition.command_line, None, None, None,
                    definition.account, definition.password, definition.display_name,
                )
            )  # fmt: skip
            _set_details(service, definition)

    def start(self, name: str) -> None:
        """Start the service."""
        with _service(name, _START) as service:
            if not win32.advapi32.StartServiceW(service, 0, None) and ctypes.get_last_error() != _ALREADY_RUNNING:
                raise ctypes.WinError(ctypes.get_last_error())

    def stop(self, name: str) -> None:
        """Stop the service and wait for its end."""
        with _service(name, _STOP | _QUERY) as service:
            status = _Process()
            if not win32.advapi32.ControlService(service, _CONTROL_STOP, ctypes.byref(status)):
                if ctypes.get_last_error() == _NOT_ACTIVE:
                    return
                raise ctypes.WinError(ctypes.get_last_error())
            deadline = time.monotonic() + STOP_PATIENCE_S
            while _STATES.get(_status(service).state) != "stopped":
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{name} was asked to stop, and has not stopped after {STOP_PATIENCE_S:g} s")
                time.sleep(_POLL_S)

    def delete(self, name: str) -> None:
        """Delete the service."""
        with _service(name, _DELETE) as service:
            _checked(win32.advapi32.DeleteService(service))


@contextlib.contextmanager
def _closing(handle: int | None) -> Iterator[int]:
    if not handle:
        raise ctypes.WinError(ctypes.get_last_error())
    try:
        yield handle
    finally:
        win32.advapi32.CloseServiceHandle(handle)


def _manager(access: int = _SC_MANAGER_CONNECT) -> contextlib.AbstractContextManager[int]:
    return _closing(win32.advapi32.OpenSCManagerW(None, None, access))


@contextlib.contextmanager
def _service(name: str, access: int) -> Iterator[int]:
    with _manager() as manager, _closing(win32.advapi32.OpenServiceW(manager, name, access)) as service:
        yield service


def _checked(result: int) -> None:
    if not result:
        raise ctypes.WinError(ctypes.get_last_error())


def _set_details(service: int, definition: ServiceDefinition) -> None:
    actions = (_Action * len(definition.restart_after_ms))(
        *(_Action(_ACTION_RESTART, delay) for delay in definition.restart_after_ms)
    )
    failure = _Failure(definition.forget_crashes_after_s, None, None, len(actions), actions)
    details = [(_DESCRIPTION, _Text(definition.description)), (_FAILURE_ACTIONS, failure)]
    if definition.delayed:
        details.append((_DELAYED, _Flag(True)))
    for level, value in details:
        _checked(win32.advapi32.ChangeServiceConfig2W(service, level, ctypes.byref(value)))


def _status(service: int) -> _Process:
    status, needed = _Process(), wintypes.DWORD()
    _checked(
        win32.advapi32.QueryServiceStatusEx(
            service, 0, ctypes.byref(status), ctypes.sizeof(status), ctypes.byref(needed)
        )
    )
    return status


def _installed(service: int) -> InstalledService:
    needed = wintypes.DWORD()
    win32.advapi32.QueryServiceConfigW(service, None, 0, needed)
    buffer = ctypes.create_string_buffer(needed.value)
    _checked(win32.advapi32.QueryServiceConfigW(service, buffer, needed.value, needed))
    config, status = _Config.from_buffer(buffer), _status(service)
    return InstalledService(
        type=config.type,
        command_line=config.path or "",
        account=config.account or "",
        description=_description(service),
        automatic=config.start == _AUTO_START,
        state=_STATES.get(status.state, str(status.state)),
        pid=status.pid or None,
    )


def _description(service: int) -> str:
    needed = wintypes.DWORD()
    win32.advapi32.QueryServiceConfig2W(service, _DESCRIPTION, None, 0, needed)
    if not needed.value:
        return ""
    buffer = ctypes.create_string_buffer(needed.value)
    _checked(win32.advapi32.QueryServiceConfig2W(service, _DESCRIPTION, buffer, needed.value, needed))
    return _Text.from_buffer(buffer).text or ""
