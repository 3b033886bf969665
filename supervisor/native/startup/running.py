"""Tells whether a process runs. Loads little, because programs that an AI client waits for use it."""

import os
import sys

if sys.platform == "win32":

    def runs(pid: int) -> bool:
        """Return whether a process with this id runs. A process of another user counts if it exists."""
        from ..windows import win32

        handle = win32.OpenProcess(win32.SYNCHRONIZE, False, pid)
        if not handle:
            problem: object = win32.last_error()
            return isinstance(problem, PermissionError)
        try:
            return bool(win32.WaitForSingleObject(handle, 0) == win32.WAIT_TIMEOUT)
        finally:
            win32.CloseHandle(handle)

elif sys.platform == "linux":

    def runs(pid: int) -> bool:
        """Return whether a process with this id runs. One that has ended and waits for its parent does not."""
        import select

        try:
            descriptor = os.pidfd_open(pid)
        except OverflowError:
            return False
        except OSError as problem:
            return isinstance(problem, PermissionError)
        try:
            ended = select.poll()
            ended.register(descriptor, select.POLLIN)
            return not ended.poll(0)
        finally:
            os.close(descriptor)

else:

    def runs(pid: int) -> bool:
        """Return whether a process with this id runs, or has ended and waits for its parent."""
        try:
            os.kill(pid, 0)
        except OverflowError:
            return False
        except OSError as problem:
            return isinstance(problem, PermissionError)
        return True
