"""`python -m supervisor.native.windows.processes.send_break GROUP`: CTRL_BREAK to a process group on its own console.

A process has one console at a time, and whoever changes it loses its handlers of Ctrl-C: so this is not the daemon's
own business. The exit status is Windows' error, 0: it was sent.
"""

import ctypes
import sys

from .. import win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)


def main(group: int) -> int:
    """Send it. We have no console of our own to leave: whoever starts us sees to that."""
    sent = win32.AttachConsole(group) and win32.GenerateConsoleCtrlEvent(win32.CTRL_BREAK_EVENT, group)
    return 0 if sent else ctypes.get_last_error() or 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
