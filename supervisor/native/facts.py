"""Facts that are fixed for this process: the system, and the places of its files. Queries load this, so it is cheap."""

import errno
import os
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Queries that need no Path do not load pathlib, and no class here is a dataclass: together they cost 8 ms of 45.
    from pathlib import Path

HOME_VARIABLE = "GODOT_SUPERVISOR_HOME"

SYSTEM = {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
"""For modules of native/, and for the module that chooses the service manager. Other modules use the facts below."""

SYSTEM_LABEL = SYSTEM
"""The name of the system, for texts."""

LOOPBACK = "127.0.0.1"

# A listener on one of these addresses answers connections to LOOPBACK.
SERVES_LOOPBACK = frozenset({LOOPBACK, "0.0.0.0", "::"})  # noqa: S104 (compared with, not bound to)

# sun_path is 108 bytes on Linux and 104 on macOS, the final NUL included.
SOCKET_PATH_MAX = 103 if sys.platform == "darwin" else 107

# Timers of event loops fire up to one tick of this clock early: 15.6 ms on Windows before Python 3.13.
TICK_S = time.get_clock_info("monotonic").resolution

# Windows starts processes only as children.
CAN_FORK = sys.platform != "win32"

HAS_UNIX_SOCKETS = sys.platform != "win32"

HAS_HANGUP_SIGNAL = sys.platform != "win32"

# Loops of asyncio have no add_signal_handler on Windows.
LOOPS_HANDLE_SIGNALS = sys.platform != "win32"

HAS_PROACTOR_LOOP = sys.platform == "win32"

# On Windows a program cannot wait for a pipe and a socket at once.
PIPES_CAN_BE_POLLED = sys.platform != "win32"

VENV_PYTHON = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
"""The interpreter of a virtual environment, relative to its folder."""

# On POSIX systems the locale of the shell would decide about the encoding of texts and file names.
UTF8_OPTIONS = () if sys.platform == "win32" else ("-X", "utf8")
"""Options of an interpreter that shall use UTF-8."""

PATHS_HAVE_DRIVES = sys.platform == "win32"
"""Whether an absolute path begins with a drive, or with the name of a host."""

# The C runtime of Windows reports a broken pipe as EINVAL.
BROKEN_PIPE_ERRNOS = frozenset({errno.EPIPE, errno.ESHUTDOWN, *((errno.EINVAL,) if sys.platform == "win32" else ())})

# A console of Windows shows escape sequences only after a program has switched them on.
TERMINALS_KNOW_ESCAPES = sys.platform != "win32"

# On Windows Ctrl-C does not end a wait for a socket; Python handles it between two waits.
LONGEST_BLOCKING_WAIT_S = 0.5 if sys.platform == "win32" else float("inf")

# godot-ai reports an error on Windows if the variable that moves its records is set (GODOT_AI_CAPABILITY_DIR).
RECORDS_CAN_BE_MOVED = sys.platform != "win32"


class Folders:
    """The places of all files of one home.

    `moved`: GODOT_SUPERVISOR_HOME names the home. All files then lie in it, and its daemon is independent of others.
    Otherwise settings, logs and environments lie where the system has such files.
    """

    def __init__(self, home: "str | Path", *, moved: bool) -> None:
        self._home = os.fspath(home)
        self.moved = moved

    @cached_property
    def home(self) -> "Path":
        """The folder of the lock, the registry and the endpoint."""
        from pathlib import Path

        return Path(self._home)

    @property
    def home_text(self) -> str:
        """The path of `home` as text, for queries."""
        return self._home

    @property
    def endpoint_text(self) -> str:
        """The path of `endpoint` as text, for queries."""
        return os.path.join(self._home, "endpoint.json")  # noqa: PTH118 (queries load no pathlib)

    @property
    def endpoint(self) -> "Path":
        """The file in which clients find the address of the daemon."""
        return self.home / "endpoint.json"

    @property
    def start_file(self) -> "Path":
        """The file that says how to start the daemon, also while none runs."""
        return self.home / "start.json"

    @property
    def lock(self) -> "Path":
        """The file that the daemon locks for as long as it lives."""
        return self.home / "daemon.lock"

    @property
    def registry(self) -> "Path":
        """The file with all state that outlives the daemon."""
        return self.home / "registry.json"

    @cached_property
    def config(self) -> "Path":
        """The settings of the user."""
        return (self.home if self.moved else self._platform_folder("config")) / "config.toml"

    @cached_property
    def logs(self) -> "Path":
        """The folder for the daemon's log, with a folder for each server."""
        return self.home / "logs" if self.moved else self._platform_folder("log")

    @cached_property
    def environments(self) -> "Path":
        """The folder for private environments, one for each kind and version."""
        return (self.home if self.moved else self._platform_folder("data")) / "environments"

    @property
    def socket(self) -> "Path":
        """The unix socket. Its name is short and hashed where the home folder's path is too long for a socket."""
        path = self.home / "control" / "socket"
        if len(os.fsencode(path)) <= SOCKET_PATH_MAX:
            return path
        import tempfile
        from pathlib import Path

        return Path(tempfile.gettempdir()) / f"godot-supervisor-{self.home_id}" / "socket"

    @cached_property
    def home_id(self) -> str:
        """The id of this home in the launch tokens of its servers. It survives the loss of every file in the home."""
        import hashlib

        return hashlib.sha256(os.fsencode(self.home.resolve())).hexdigest()[:12]

    @cached_property
    def path_id(self) -> str:
        """The id of the path of this home, links not followed. Without links on the way it equals `home_id`."""
        import hashlib

        return hashlib.sha256(os.fsencode(os.path.abspath(self.home))).hexdigest()[:12]  # noqa: PTH100 (follows no link)

    @staticmethod
    def _platform_folder(which: str) -> "Path":
        from platformdirs import PlatformDirs

        places = PlatformDirs("godot-supervisor", appauthor=False)
        return {"config": places.user_config_path, "log": places.user_log_path, "data": places.user_data_path}[which]


def describe_exit(status: int) -> str:
    """Describe for people how a process ended. A negative status is the number of a signal, as on POSIX systems."""
    if status >= 0:
        return f"exit status {status}"
    from signal import Signals

    try:
        return f"killed ({Signals(-status).name})"
    except ValueError:
        return f"killed (signal {-status})"


def shell_line(command: Sequence[str]) -> str:
    """Return a command as a user types it in a shell of this system."""
    if sys.platform == "win32":
        from subprocess import list2cmdline

        return list2cmdline(command)
    import shlex

    return shlex.join(command)


def user_runtime_folder() -> str | None:
    """Return the folder where systemd keeps the sockets of this user's session; None on a system without systemd."""
    if sys.platform != "linux":
        return None
    return f"/run/user/{os.getuid()}"


def is_absolute(path: str) -> bool:
    """Return whether a path means the same file from every current folder."""
    return os.path.isabs(path)  # noqa: PTH117 (queries load no pathlib)


def make_absolute(path: str, source: str) -> str:
    """Return a relative path as an absolute one. `source` is the option or variable that the path comes from.

    Raises:
        InvalidParams: the current folder has been removed.
    """
    return os.path.join(current_folder(source, path), path)  # noqa: PTH118 (queries load no pathlib)


def current_folder(source: str, path: str = ".") -> str:
    """Return the current folder, which the relative `path` begins in. `source`: see `make_absolute`.

    Raises:
        InvalidParams: the folder has been removed.
    """
    try:
        return os.getcwd()  # noqa: PTH109 (the same)
    except OSError as problem:
        from ..errors import InvalidParams

        # The system does not name a folder that was removed, but shells note its name in PWD.
        gone = os.environ.get("PWD") or "its name is not known"
        raise InvalidParams(
            source,
            f"{path!r} is relative to the current folder, which has gone ({gone})",
            hint="change into a folder that is there, or give an absolute path",
        ) from problem


def folders(environment: Mapping[str, str] = os.environ) -> Folders:
    """Return the folders that this environment asks for.

    Raises:
        InvalidParams: one of its variables names a folder that cannot be found.
    """
    moved = environment.get(HOME_VARIABLE)
    if moved:
        return Folders(moved if is_absolute(moved) else make_absolute(moved, HOME_VARIABLE), moved=True)
    user = os.path.expanduser("~")  # noqa: PTH111 (the same)
    if not is_absolute(user):
        from ..errors import InvalidParams

        unknown = "it is not set, and the system knows no home folder of this user"
        raise InvalidParams(
            "HOME",
            unknown if user == "~" else f"{user!r} is relative",
            hint=f"set HOME to your home folder, or {HOME_VARIABLE} to a folder of yours",
        )
    return Folders(os.path.join(user, ".godot-supervisor"), moved=False)  # noqa: PTH118 (queries load no pathlib)


def login_folders(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the folders where programs keep files that last for one login, by the names that recipes use.

    Folders that are not known are left out.
    """
    import tempfile

    if sys.platform == "win32":
        known = {"local_app_data": environment.get("LOCALAPPDATA", "")}
    else:
        user = os.getuid()
        runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{user}"
        known = {"runtime_dir": runtime, "temp_dir": tempfile.gettempdir(), "uid": str(user)}
    return {name: folder for name, folder in known.items() if folder}
