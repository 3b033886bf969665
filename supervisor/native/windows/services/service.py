"""Runs as a service of Windows: the service control manager starts this process, and asks it to end.

Sources: `winsvc.h`; "Writing a Service Program's main Function" in Microsoft's documentation.
"""

import contextlib
import ctypes
import sys
import threading
from collections.abc import Callable

from ...service_api import OWN_PROCESS, ServiceManager
from . import win32_services as win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers whose file this is)

STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4
CONTROL_STOP, CONTROL_INTERROGATE, CONTROL_SHUTDOWN = 1, 4, 5
ACCEPT_STOP, ACCEPT_SHUTDOWN = 1, 4

NO_ERROR = 0
ERROR_CALL_NOT_IMPLEMENTED = 120
ERROR_FAILED_SERVICE_CONTROLLER_CONNECT = 1063
"""This process was not started as a service."""
ERROR_SERVICE_SPECIFIC_ERROR = 1066

PENDING_HINT_MS = 30000
"""The time that the service control manager waits for a start or a stop before it counts as failed."""


class ServiceProcess:
    """This process as a service of Windows. It is the `ServiceManager` of the daemon that runs in it.

    `error`: why the service control manager has refused this process; NO_ERROR if it has not.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._handle = 0
        self._state = START_PENDING
        self._check_point = 0
        self._lock = threading.Lock()
        self._stop: Callable[[], object] | None = None
        self._stop_requested = False
        self._ended = threading.Event()
        self.answered = threading.Event()
        """Set when the service control manager has called this process, or has refused it."""
        self.error = NO_ERROR
        # These are kept while the dispatcher may call them, because ctypes keeps no reference.
        self._main = win32.ServiceMain(self._service_main)
        self._handler = win32.Handler(self._control)

    def dispatch(self) -> None:
        """Serve the service control manager until the service has ended. Call this in a thread of its own."""
        table = (win32.TableEntry * 2)(
            win32.TableEntry(self._name, self._main), win32.TableEntry(None, win32.ServiceMain())
        )
        if not win32.advapi32.StartServiceCtrlDispatcherW(table):
            self.error = ctypes.get_last_error()
        self.answered.set()

    async def begin(self, stop: Callable[[], object]) -> None:
        """Pass on a request to end from here on, at once if it was made before."""
        with self._lock:
            self._stop = stop
            requested = self._stop_requested
        if requested:
            stop()

    def ready(self) -> None:
        """Report that the daemon answers clients."""
        self._report(RUNNING)

    def stopping(self) -> None:
        """Report that the daemon was asked to end."""
        self._report(STOP_PENDING)

    def end(self, status: int) -> None:
        """Report that the body has ended. A service that reports its end has not crashed, and is not restarted."""
        self._report(STOPPED, status)
        self._ended.set()

    def _service_main(self, _count: int, _words: object) -> None:
        """Run as ServiceMain, on a thread of the service control manager. The service ends when this returns."""
        self._handle = win32.advapi32.RegisterServiceCtrlHandlerExW(self._name, self._handler, None)
        if not self._handle:
            self.error = ctypes.get_last_error()
            self.answered.set()
            return
        self._report(START_PENDING)
        self.answered.set()
        self._ended.wait()

    def _control(self, control: int, _type: int, _data: object, _context: object) -> int:
        if control in (CONTROL_STOP, CONTROL_SHUTDOWN):
            self._report(STOP_PENDING)
            with self._lock:
                self._stop_requested = True
                stop = self._stop
            if stop is not None:
                # A loop that has closed in the meantime ends without the request.
                with contextlib.suppress(RuntimeError):
                    stop()
            return NO_ERROR
        return NO_ERROR if control == CONTROL_INTERROGATE else ERROR_CALL_NOT_IMPLEMENTED

    def _report(self, state: int, exit_status: int = 0) -> None:
        with self._lock:
            if self._state == STOPPED or (self._state == STOP_PENDING and state == RUNNING):
                return
            pending = state in (START_PENDING, STOP_PENDING)
            self._check_point = self._check_point + 1 if pending else 0
            self._state = state
            status = win32.ServiceStatus(
                dwServiceType=OWN_PROCESS,
                dwCurrentState=state,
                dwControlsAccepted=ACCEPT_STOP | ACCEPT_SHUTDOWN if state == RUNNING else 0,
                dwWin32ExitCode=ERROR_SERVICE_SPECIFIC_ERROR if exit_status else NO_ERROR,
                dwServiceSpecificExitCode=exit_status,
                dwCheckPoint=self._check_point,
                dwWaitHint=PENDING_HINT_MS if pending else 0,
            )
            win32.advapi32.SetServiceStatus(self._handle, status)


def run_as_service(name: str, body: Callable[[ServiceManager], int]) -> int | None:
    """Run `body` as a service and return its exit status; None if this process was not started as a service.

    The body runs in this thread, which should be the main one, because signals need that.

    Raises:
        OSError: the service control manager does not talk to this process.
    """
    service = ServiceProcess(name)
    dispatcher = threading.Thread(target=service.dispatch, name="service control", daemon=True)
    dispatcher.start()
    service.answered.wait()
    if service.error == ERROR_FAILED_SERVICE_CONTROLLER_CONNECT:
        return None
    if service.error != NO_ERROR:
        raise ctypes.WinError(service.error)
    status = 1
    try:
        status = body(service)
    finally:
        service.end(status)
        dispatcher.join()
    return status
