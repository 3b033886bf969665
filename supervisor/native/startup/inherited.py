"""The state that this process has inherited from its starter, and what of it is reset: signals, limits, variables."""

import contextlib
import os
import sys
from collections.abc import Set as AbstractSet

from ..facts import is_absolute

_BASE_FOLDERS = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR")


def reset_for_command() -> None:
    """Unblock all signals, stop ignoring most of them, and let new files be private.

    A command keeps ignoring the signals that shells ignore for `nohup` and for background jobs, because users rely on
    that. Call this in the main thread, before other threads exist.
    """
    if sys.platform != "win32":
        _reset_signals({signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU})
    _reset_files_and_variables()


def reset_for_daemon() -> None:
    """Unblock all signals, stop ignoring every one of them, and let new files be private.

    The daemon keeps none of the signals ignored that a command does, because servers inherit the daemon's state. Call
    this in the main thread, before other threads exist.
    """
    if sys.platform == "win32":
        from ..windows import win32

        # The leader of a new process group ignores Ctrl-C on Windows, and its children inherit that.
        win32.SetConsoleCtrlHandler(None, False)
    else:
        _reset_signals(set())
    _reset_files_and_variables()


def lift_limits() -> None:
    """Undo the limits and the niceness of the daemon's starter, as far as the system allows.

    This is for a daemon that a command started: it serves all shells of the user, not only the first. The settings of a
    service manager are meant for the daemon, and stay.
    """
    if sys.platform == "win32":
        return
    import resource

    for limit in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_AS, resource.RLIMIT_DATA):
        # macOS refuses some values that it reports.
        with contextlib.suppress(OSError, ValueError):
            _, hard = resource.getrlimit(limit)
            resource.setrlimit(limit, (hard, hard))
    if os.getpriority(os.PRIO_PROCESS, 0) > 0:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)


def open_files_max() -> float:
    """Return how many files this process may have open at once; infinite if there is no limit."""
    if sys.platform == "win32":
        return float("inf")
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return float("inf") if soft == resource.RLIM_INFINITY else soft


def notes() -> tuple[str, ...]:
    """Return what a user should know of limits that hold for the daemon and its servers."""
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
        """Unblock every signal, and stop ignoring all signals but those in `kept`."""
        # Python ignores these itself, and restores the default in its children.
        ignored_by_python = {signal.SIGPIPE, signal.SIGXFSZ}
        for number in signal.valid_signals() - kept - ignored_by_python:
            if signal.getsignal(number) is signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        # This is last, because signals that were sent while blocked arrive now.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _reset_files_and_variables() -> None:
    """Let new files be private, and drop variables of folders whose values are not valid."""
    # Without the owner's bits, no program of the user could read our files, or a server's.
    os.umask(os.umask(0o077) & 0o077)
    if os.environ.get("HOME") == "":
        # An empty HOME would mean the root folder. Without the variable, the system's user database counts.
        del os.environ["HOME"]
    for name in _BASE_FOLDERS:
        if name in os.environ and not is_absolute(os.environ[name]):
            # XDG Base Directory Specification: a relative path is invalid, and ignored.
            del os.environ[name]
