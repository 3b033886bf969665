"""`python -m supervisor.native.windows.processes.send_break GROUP`: sends CTRL_BREAK on the group's console.

A process has one console at a time, and changing it removes its Ctrl-C handlers, so the daemon does not do this itself.
The exit status is the error of Windows; 0: the signal was sent.
"""

import ctypes
import sys

from .. import win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)


def main(group: int) -> int:
    """Send the signal. This process has no console to leave, because it is started without one."""
    sent = win32.AttachConsole(group) and win32.GenerateConsoleCtrlEvent(win32.CTRL_BREAK_EVENT, group)
    return 0 if sent else ctypes.get_last_error() or 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
