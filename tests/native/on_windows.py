"""Helpers for tests of the platform of Windows."""

import ctypes
import sys
from collections.abc import Callable

from supervisor.native.shared.process_queries import PatientProcesses
from supervisor.native.windows.system import WindowsProcessControl
from tests.contract.platforms import RealHarness

assert sys.platform == "win32"


def control(harness: RealHarness) -> WindowsProcessControl:
    """Return the process control behind the patient one."""
    assert isinstance(harness.platform.processes, PatientProcesses)
    assert isinstance(harness.platform.processes._processes, WindowsProcessControl)
    return harness.platform.processes._processes


def refusing(number: int) -> Callable[..., int]:
    """Return a function that refuses to open any process."""

    def refuse(*_: object) -> int:
        raise ctypes.WinError(number)

    return refuse


def failing(number: int) -> Callable[..., int]:
    """Return a function of Windows that fails."""

    def fail(*_: object) -> int:
        ctypes.set_last_error(number)
        return 0

    return fail
