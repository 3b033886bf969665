"""Waits for the end of the program that started this one. Imports little: an AI client waits for its bridge."""

import _thread
import contextlib
import os
import select
import sys
from collections.abc import Callable, Sequence

IsLauncher = Callable[[Sequence[str]], bool]
"""Returns whether a command line is that of a program that only starts another one and waits for it."""

LAUNCHERS_MAX = 8
"""How many launchers above each other are looked at."""

ENDED = -1
"""In the place of a descriptor, for a process that has ended."""

LOOK_AFTER_S = 1.0
"""When command lines are read, because the client waits for its first answer before."""


def when_starter_ends(action: Callable[[], object], is_launcher: IsLauncher) -> None:
    """Call `action` once, in a thread of its own, when the program that started this one has ended.

    That is the parent process; if the parent is a launcher, it is also the process above, which may end while the
    launcher stays. The wait costs no wake-ups.

    Does nothing where the system cannot tell, or if the program has ended before: on POSIX systems another process is
    the parent then, and on Windows there may be none.
    """
    try:
        wait = _prepare_wait(is_launcher)
    except ProcessLookupError:
        # A process ended before it was watched.
        action()
        return
    except OSError:
        return

    def wait_and_call() -> None:
        if wait():
            action()

    # The module `threading` is not imported before the first answer.
    _thread.start_new_thread(wait_and_call, ())


if sys.platform == "win32":

    def _prepare_wait(is_launcher: IsLauncher) -> Callable[[], bool]:
        """Open handles of the processes above this one, so that the end of each is noticed."""
        from ..windows.processes import parent

        opened = parent.open_ancestors(LAUNCHERS_MAX)
        return lambda: _wait_for_handles(opened, is_launcher)

    def _wait_for_handles(opened: dict[int, int], is_launcher: IsLauncher) -> bool:
        """Wait until one of the processes has ended. Returns False, at once, if the system cannot tell."""
        from ..windows import win32
        from ..windows.processes import parent

        above = parent.without_own_launchers([*opened])
        if not above:
            return False
        if win32.WaitForSingleObject(opened[above[0]], int(LOOK_AFTER_S * 1000)) == win32.WAIT_OBJECT_0:
            return True
        count = 1
        while count < len(above) and is_launcher(_command_line(above[count - 1])):
            count += 1
        return win32.wait_for_any([opened[pid] for pid in above[:count]])

elif sys.platform == "darwin":

    def _prepare_wait(is_launcher: IsLauncher) -> Callable[[], bool]:
        queue = select.kqueue()
        parent = os.getppid()
        queue.control([_exit_of(parent)], 0)
        return lambda: _wait_for_events(queue, parent, is_launcher)

    def _exit_of(pid: int) -> select.kevent:
        return select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)

    def _wait_for_events(queue: select.kqueue, pid: int, is_launcher: IsLauncher) -> bool:
        """Wait until one of the processes has ended."""
        if queue.control(None, 1, LOOK_AFTER_S):
            return True
        try:
            for _ in range(LAUNCHERS_MAX):
                pid = _parent_of(pid) if is_launcher(_command_line(pid)) else 0
                if pid <= 1:
                    break
                queue.control([_exit_of(pid)], 0)
        except ProcessLookupError:
            return True
        return bool(queue.control(None, 1))

else:

    def _prepare_wait(is_launcher: IsLauncher) -> Callable[[], bool]:
        """Open descriptors of the parent and of the processes above it, so that the end of each is noticed."""
        opened: dict[int, int] = {}
        child, pid = os.getpid(), os.getppid()
        while pid > 0 and len(opened) <= LAUNCHERS_MAX:
            opened[pid] = _open_process(pid, child)
            if opened[pid] == ENDED:
                break
            child, pid = pid, _parent_of(pid)
        return lambda: _wait_for_descriptors(opened, is_launcher)

    def _open_process(pid: int, child: int) -> int:
        """Return a descriptor of the process above another one; ENDED if it has ended."""
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return ENDED
        if _parent_of(child) == pid:
            return descriptor
        # It ended before it was watched, and its pid may be another process's.
        os.close(descriptor)
        return ENDED

    def _wait_for_descriptors(opened: dict[int, int], is_launcher: IsLauncher) -> bool:
        """Wait until one of the processes has ended, up to the first one that is no launcher."""
        poll = select.poll()
        first = next(iter(opened.values()), ENDED)
        if first != ENDED:
            poll.register(first, select.POLLIN)
            if poll.poll(LOOK_AFTER_S * 1000):
                return True
        is_watched = True
        for pid, descriptor in opened.items():
            if is_watched and descriptor == ENDED:
                return True
            if is_watched:
                poll.register(descriptor, select.POLLIN)
            elif descriptor != ENDED:
                os.close(descriptor)
            is_watched = is_watched and is_launcher(_command_line(pid))
        return bool(poll.poll())


if sys.platform == "linux":

    def _command_line(pid: int) -> tuple[str, ...]:
        """Return the arguments of a process; empty if they cannot be read."""
        with contextlib.suppress(OSError):
            text = _read(pid, "cmdline").removesuffix(b"\0")
            return tuple(os.fsdecode(word) for word in text.split(b"\0")) if text else ()
        return ()

    def _parent_of(pid: int) -> int:
        """Return the pid of a process's parent; 0 if there is none, or it cannot be read."""
        if pid == os.getpid():
            return os.getppid()
        with contextlib.suppress(OSError, ValueError, IndexError):
            line = _read(pid, "stat")
            return int(line[line.rfind(b")") + 1 :].split()[1])
        return 0

    def _read(pid: int, name: str) -> bytes:
        descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
        try:
            return os.read(descriptor, 4096)
        finally:
            os.close(descriptor)

else:

    def _command_line(pid: int) -> tuple[str, ...]:
        """Return the arguments of a process; empty if they cannot be read."""
        import psutil

        with contextlib.suppress(psutil.Error, OSError):
            return tuple(psutil.Process(pid).cmdline())
        return ()

    def _parent_of(pid: int) -> int:
        """Return the pid of a process's parent; 0 if there is none, or it cannot be read."""
        import psutil

        with contextlib.suppress(psutil.Error, OSError):
            return int(psutil.Process(pid).ppid())
        return 0
