"""The one polite request that Windows knows: CTRL_BREAK, to the console that a server has to itself."""

import ctypes
import os
import subprocess
import sys

from ...shared import venv_launcher

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

PATIENCE_S = 5.0
"""An interpreter starts in a tenth of a second, in several where a virus scanner looks at it first."""


def send_break(group: int) -> None:
    """CTRL_BREAK to the process group that this process leads, by a helper that may leave its console for theirs.

    The caller holds a handle to the leader: its number is nobody else's as long as this takes.

    Raises:
        OSError: it has no console, or the helper could not do its work in time.
    """
    command = (sys.executable, "-P", "-m", "supervisor.native.windows.processes.send_break", str(group))
    # An environment's python.exe starts the interpreter with a console of its own.
    argv, environment = venv_launcher.without(command, os.environ)
    try:
        helper = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            creationflags=subprocess.DETACHED_PROCESS,
            timeout=PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise OSError("the helper that asks has not come back") from error
    if helper.returncode:
        raise ctypes.WinError(helper.returncode)
