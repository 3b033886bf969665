"""The request to end that Windows has, CTRL_BREAK: it is sent to the console that a server has for itself."""

import ctypes
import os
import subprocess
import sys

from ...shared import venv_launcher

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

PATIENCE_S = 5.0
"""An interpreter starts in a tenth of a second, or in several seconds if a virus scanner checks it first."""


def send_break(group: int) -> None:
    """Send CTRL_BREAK to the process group of this leader, by a helper that attaches to the group's console.

    The caller holds a handle to the leader, so no other process can get the leader's number.

    Raises:
        OSError: the leader has no console, or the helper did not succeed in time.
    """
    command = (sys.executable, "-P", "-m", "supervisor.native.windows.processes.send_break", str(group))
    # An environment's python.exe starts the interpreter with a console of its own.
    argv, environment = venv_launcher.replace_launcher(command, os.environ)
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
        raise OSError("the helper that sends CTRL_BREAK has not returned") from error
    if helper.returncode:
        raise ctypes.WinError(helper.returncode)
