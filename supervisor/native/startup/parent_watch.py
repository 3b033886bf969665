"""Waits for the end of the parent process. Imports little, because an AI client waits for the start of its bridge."""

import os
import sys
import threading
from collections.abc import Callable


def when_parent_ends(action: Callable[[], object]) -> None:
    """Call `action` once, in a thread of its own, when the parent process has ended. The wait costs no wake-ups.

    Does nothing where the system cannot tell, or if the parent has ended before: on POSIX systems another process is
    the parent then, and on Windows there may be none.
    """

    def wait_and_call() -> None:
        if _wait_for_parent():
            action()

    threading.Thread(target=wait_and_call, daemon=True).start()


def _wait_for_parent() -> bool:
    """Wait until the parent process has ended. Returns False, at once, if the system cannot tell."""
    try:
        return _wait_in_system()
    except ProcessLookupError:
        # The parent ended before the wait began.
        return True
    except OSError:
        return False


if sys.platform == "win32":

    def _wait_in_system() -> bool:
        from ..windows import win32
        from ..windows.processes.parent import starter

        handle = win32.OpenProcess(win32.SYNCHRONIZE, False, starter())
        return bool(handle) and win32.WaitForSingleObject(handle, win32.INFINITE) == 0

elif sys.platform == "darwin":

    def _wait_in_system() -> bool:
        import select

        watch = select.kevent(os.getppid(), select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        queue = select.kqueue()
        return bool(queue.control([watch], 1))

else:

    def _wait_in_system() -> bool:
        import select

        parent = os.getppid()
        descriptor = os.pidfd_open(parent)
        if os.getppid() != parent:
            # The parent ended before it was watched, and its pid may be another process's.
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll())
