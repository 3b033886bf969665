"""What tests of the Windows wing share."""

import ctypes
import sys
from collections.abc import Callable

from supervisor.native.shared.patient_probe import PatientProcesses
from supervisor.native.windows.system import WindowsProcessControl
from tests.contract.worlds import RealWorld

assert sys.platform == "win32"


def control(world: RealWorld) -> WindowsProcessControl:
    """The process control that its patient one asks."""
    assert isinstance(world.platform.processes, PatientProcesses)
    assert isinstance(world.platform.processes._processes, WindowsProcessControl)
    return world.platform.processes._processes


def refusing(number: int) -> Callable[..., int]:
    """A system that refuses to open any process."""

    def refuse(*_: object) -> int:
        raise ctypes.WinError(number)

    return refuse


def failing(number: int) -> Callable[..., int]:
    """A function of Windows that fails."""

    def fail(*_: object) -> int:
        ctypes.set_last_error(number)
        return 0

    return fail
