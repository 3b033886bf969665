"""What a process inherits from the program that started it, and which of it we undo."""

import contextlib
import os
import sys
from collections.abc import Set as AbstractSet

from ..facts import is_absolute

_BASE_FOLDERS = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")


def begin() -> None:
    """Begin as a process of our own: no signal is blocked, none ignored but by convention, and our files are ours.

    A command goes on ignoring what shells ignore for `nohup` and for jobs in the background, because their users
    rely on it. To be called in the main thread, before there are others.
    """
    if sys.platform != "win32":
        _reset_signals({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
    _begin()


def begin_daemon() -> None:
    """Begin as the daemon, whose servers inherit what it has: every signal as the system has it."""
    if sys.platform == "win32":
        from ..windows import win32

        # Whoever leads a process group ignores Ctrl-C, and so do its children.
        win32.SetConsoleCtrlHandler(None, False)
    else:
        _reset_signals(set())
    _begin()


def raise_limits() -> None:
    """Undo the limits and the niceness of the program that started the daemon, as far as the system lets us.

    For a daemon that a command has started: it serves every shell of the user, and not only the first. What a service
    manager sets is meant for the daemon.
    """
    if sys.platform == "win32":
        return
    import resource

    for limit in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_DATA):
        # macOS refuses some that it reports.
        with contextlib.suppress(OSError, ValueError):
            _, hard = resource.getrlimit(limit)
            resource.setrlimit(limit, (hard, hard))
    if os.getpriority(os.PRIO_PROCESS, 0) > 0:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)


def notes() -> tuple[str, ...]:
    """What a user should know of limits that hold for the daemon and its servers."""
    if sys.platform == "win32":
        return ()
    import resource

    found = []
    for limit, unit in ((resource.RLIMIT_CPU, "seconds of CPU time"), (resource.RLIMIT_FSIZE, "bytes for each file")):
        soft, _ = resource.getrlimit(limit)
        if soft != resource.RLIM_INFINITY:
            found.append(f"a limit of {soft} {unit}")
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    if niceness > 0:
        found.append(f"a niceness of {niceness}")
    ended_by = "godot-supervisor restart --daemon, from a shell without it, ends that"
    return tuple(f"the daemon and its servers inherited {what}: {ended_by}" for what in found)


if sys.platform != "win32":
    import signal

    def _reset_signals(kept: AbstractSet[int]) -> None:
        """Unblock every signal, and give up ignoring all that are not to be kept."""
        # Python itself ignores these, and gives its children the system's way again.
        pythons = {signal.SIGPIPE, signal.SIGXFSZ}
        for number in signal.valid_signals() - kept - pythons:
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        # Last: what was sent while it was blocked arrives now.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _begin() -> None:
    # What the owner could not read, nobody could: neither our files nor a server's.
    os.umask(os.umask(0o077) & 0o077)
    if os.environ.get("HOME") == "":
        # An empty one would mean the root folder. Without one the system's list of users counts.
        del os.environ["HOME"]
    for name in _BASE_FOLDERS:
        if name in os.environ and not is_absolute(os.environ[name]):
            # XDG Base Directory Specification: a relative path is invalid, and ignored.
            del os.environ[name]
