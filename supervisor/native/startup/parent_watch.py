"""Notices the end of the process that has started this one. Cheap to import: a bridge pays for it at its start."""

import os
import sys
import threading
from collections.abc import Callable


def when_parent_ends(action: Callable[[], object]) -> None:
    """Call `action` in a thread of its own when the parent process has ended, or has ended already.

    Without effect where the system cannot tell. An idle wait costs no wake-ups.
    """
    threading.Thread(target=lambda: _has_ended() and action(), daemon=True).start()


def _has_ended() -> bool:
    """Wait for the end of the parent process. Returns False if that is not possible."""
    try:
        return _wait_for_end()
    except ProcessLookupError:
        return True
    except OSError:
        return False


if sys.platform == "win32":

    def _wait_for_end() -> bool:
        from ..windows import win32
        from ..windows.processes.parent import starter

        handle = win32.OpenProcess(win32.SYNCHRONIZE, False, starter())
        return bool(handle) and win32.WaitForSingleObject(handle, win32.INFINITE) == 0

elif sys.platform == "darwin":

    def _wait_for_end() -> bool:
        import select

        watch = select.kevent(os.getppid(), select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
        queue = select.kqueue()
        return bool(queue.control([watch], 1))

else:

    def _wait_for_end() -> bool:
        import select

        parent = os.getppid()
        descriptor = os.pidfd_open(parent)
        if os.getppid() != parent:
            # The parent ended before it was watched, and its pid may be another process's.
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll())
