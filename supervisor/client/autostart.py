"""Starts the daemon where none runs. Any number of callers at once end up with one daemon."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from ..errors import DaemonNotRunning, InstallFailed, NotOurs, TimedOut
from ..native import trust
from ..native.facts import CAN_FORK, HOME_VARIABLE, UTF8_OPTIONS
from ..native.shared import venv_launcher
from ..native.startup import homes, search_path
from ..native.startup.running import runs
from . import discovery
from .client import Client
from .start_failure import error_in, exception_in, failure

if TYPE_CHECKING:
    from pathlib import Path

    from ..native.facts import Folders

COMMAND = (sys.executable, "-P", *UTF8_OPTIONS, "-m", "supervisor.daemon")
NOT_INHERITED = (HOME_VARIABLE, "GODOT_SUPERVISOR_SERVER_ID")
"""Variables that the daemon does not get from this process.

The first is set anew. The second, which this process has if a server started it, would make the daemon look like one.
"""

APART = "--apart"
"""The argument with which the daemon is no child of its starter. See `daemon.__main__`, which imports nothing here."""

SAYS_PID_WITHIN_S = 10.0
"""How long a child may take to say the pid of the daemon: an interpreter has to start."""

POLL_S = 0.03
YIELD_S = 1.0
"""How long to wait for the daemon that holds the lock before another start. That daemon may be shutting down."""

SERVICE_HEAD_START_S = 5.0
"""How long a daemon that the service manager started may take to answer before this client starts one as well."""

REHEARSAL_S = 60.0
"""How long the rehearsal of a start may take. On a busy machine an interpreter takes seconds to start."""

OUTPUT_TAIL_BYTES = 4096
"""How much of a daemon's output an error has."""

OUTPUT_FILE_BYTES_MAX = 256 * 1024
"""Size limit of the file for what daemons print before they open their own log."""


def ensure_daemon(
    folders: "Folders",
    *,
    timeout_s: float = 20.0,
    start_service: Callable[[], bool] = lambda: False,
    environment: Callable[[], Mapping[str, str]] = lambda: os.environ,
    apart: bool = False,
) -> Client:
    """Connect to the daemon of these folders, and start it first if none runs.

    `apart`: the daemon shall be no child of this process, because some programs end a process with its children.
    Windows knows only children.

    `environment` returns what a daemon inherits that this client starts. It is called if that is necessary.
    `start_service` asks the service manager to start the daemon, and returns whether it could. If it could, this client
    starts a daemon itself only after `SERVICE_HEAD_START_S`, else at once.

    Raises:
        StateNotWritable: the folders cannot be created or written.
        NotOurs: another user may write into the folders, or this user may not.
        DaemonNotRunning: the daemon could not start, or does not answer in time; `data.output` has its last lines.
        DaemonUnreachable: a daemon runs, and its endpoint cannot be found (a RemoteError of that code).
        ProtocolUnsupported: a daemon runs that does not speak this client's protocol.
        RemoteError: a daemon runs, and refused the connection.
    """
    deadline = time.monotonic() + timeout_s
    client = _connect_if_running(folders)
    if client is not None:
        return client
    homes.check(folders)
    service_starts = start_service()
    start_at = time.monotonic() + (SERVICE_HEAD_START_S if service_starts else 0)
    starting: _StartingDaemon | None = None
    while True:
        client = _connect_by_file(folders)
        if client is not None:
            return client
        if time.monotonic() > deadline:
            output = starting.output() if starting else ""
            raise DaemonNotRunning(
                f"the daemon did not answer within {timeout_s:g} s",
                hint="godot-supervisor logs --daemon",
                data={"output": output},
            )
        if starting is None and time.monotonic() >= start_at:
            starting = _start(folders, environment(), apart=apart)
        elif starting is not None and starting.gave_way():
            # The files of the other daemon may have been removed. Asking it makes it restore them.
            client = _connect_if_running(folders)
            if client is not None:
                return client
            starting = _start(folders, environment(), apart=apart)
        time.sleep(POLL_S)


def _connect_if_running(folders: "Folders") -> Client | None:
    """Connect by the endpoint file, else by asking the daemon outside its home. Returns None if no daemon answers."""
    try:
        return discovery.connect(folders)
    except DaemonNotRunning:
        return None


def _connect_by_file(folders: "Folders") -> Client | None:
    """Connect by the endpoint file only, because asking a daemon that is starting would slow it down.

    Returns None if no daemon answers.
    """
    try:
        published = discovery.published_endpoint(folders)
        return Client.connect(published) if published else None
    except DaemonNotRunning:
        # No daemon listens, or the file is stale or damaged. The new daemon will replace the file.
        return None


def rehearse(folders: "Folders", timeout_s: float = REHEARSAL_S) -> None:
    """Check that a daemon could start, with the same interpreter, package and environment as a real start.

    Raises:
        InstallFailed: the package or what it depends on cannot be imported, or the daemon cannot be constructed.
        SupervisorError: the daemon could not start. A daemon that already runs is not affected.
    """
    with _explaining_refusals(folders):
        trust.make_folder(folders.home)
        with tempfile.TemporaryFile() as output:
            child = _spawn(folders, output.fileno(), "--try")
            try:
                status = child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                raise TimedOut(f"checking whether a daemon can start took longer than {timeout_s:g} s") from None
            output.seek(0)
            printed = output.read(OUTPUT_TAIL_BYTES * 4).decode(errors="replace")
    if status != 0:
        problem = failure(printed, child.pid, status, hint="the running daemon was left alone")
        if problem.code == DaemonNotRunning.code:
            # A daemon may run: the installation is at fault, because it starts no other one.
            raise InstallFailed(problem.message, hint="install godot-supervisor again", data=problem.data)
        raise problem


def _start(folders: "Folders", environment: Mapping[str, str], *, apart: bool) -> "_StartingDaemon":
    with _explaining_refusals(folders):
        return _StartingDaemon(folders, environment, apart=apart and CAN_FORK)


@contextlib.contextmanager
def _explaining_refusals(folders: "Folders") -> Iterator[None]:
    """While inside, turn a refusal of the file system into an error that tells the user what to do.

    Raises:
        NotOurs: another user may write into a folder, or this user may not.
        StateNotWritable: a folder or a file cannot be created or written.
    """
    try:
        yield
    except trust.DistrustedError as problem:
        # The daemon would refuse as well, but would print its error into a file that another user's link chose.
        raise NotOurs(str(problem), hint=problem.fix or f"choose another folder: {HOME_VARIABLE}") from problem
    except OSError as problem:
        reason = homes.explain(problem, folders)
        raise type(reason)(f"cannot start a daemon: {reason.message}", hint=reason.hint) from problem


class _StartingDaemon:
    """A process that is to become the daemon: a child of this one, or `apart` from it."""

    def __init__(self, folders: "Folders", environment: Mapping[str, str], *, apart: bool) -> None:
        self._log = folders.logs / "daemon.out"
        trust.make_folder(folders.home)
        trust.make_folder(folders.logs)
        _empty_if_long(self._log)
        with self._log.open("ab") as output:
            self._log_start = output.seek(0, os.SEEK_END)
            arguments = (APART,) if apart else ()
            self._child = _spawn(folders, output.fileno(), *arguments, environment=environment, says_pid=apart)
        self._pid = self._child.pid
        if apart:
            with contextlib.suppress(subprocess.TimeoutExpired):
                # The child ends as soon as it has said the pid of the daemon. A child that hangs is waited for below.
                said, _ = self._child.communicate(timeout=SAYS_PID_WITHIN_S)
                self._pid = int(said) if said.isdigit() else self._pid
        if self._pid == self._child.pid:
            # Waiting for the child leaves no zombie while this process lives. The child outlives this process.
            threading.Thread(target=self._child.communicate, daemon=True).start()
        self._exited_at: float | None = None

    def gave_way(self) -> bool:
        """Return whether the process exited for another daemon that has not answered in `YIELD_S` since.

        Raises:
            SupervisorError: the process failed to start.
        """
        status = self._status()
        if status is None:
            return False
        if status != 0:
            raise failure(self.output(), self._pid, status, hint=f"see {self._log}")
        now = time.monotonic()
        self._exited_at = self._exited_at or now
        return now - self._exited_at > YIELD_S

    def _status(self) -> int | None:
        """Return the exit status of the process. Returns None if it runs.

        Only a parent gets the status. That of a process apart is read from what it has printed: nothing if it gave way.
        """
        if self._pid == self._child.pid:
            return self._child.poll()
        if runs(self._pid):
            return None
        return 1 if error_in(self.output(), self._pid) or exception_in(self.output()) else 0

    def output(self) -> str:
        """Return the last lines that the process printed."""
        with self._log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - OUTPUT_TAIL_BYTES))
            return log.read().decode(errors="replace")


def _empty_if_long(log: "Path") -> None:
    """Empty the file if it has become long. A daemon that has the file open continues at its end."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > OUTPUT_FILE_BYTES_MAX:
            os.truncate(log, 0)


def _spawn(
    folders: "Folders",
    output: int,
    *arguments: str,
    environment: Mapping[str, str] = os.environ,
    says_pid: bool = False,
) -> "subprocess.Popen[bytes]":
    """Start a daemon in the background. `output` is the file descriptor that it prints to.

    `says_pid`: the process that is started says the pid of the daemon on a pipe.
    """
    inherited = {name: value for name, value in environment.items() if name not in NOT_INHERITED}
    variables = search_path.without_python_variables(inherited)
    if folders.moved:
        variables[HOME_VARIABLE] = str(folders.home)
    # Windows only, 0 elsewhere. If the job forbids its processes to leave, the daemon stays inside.
    apart = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)
    breakaway = getattr(subprocess, "CREATE_BREAKAWAY_FROM_JOB", 0)

    command, inheritance = venv_launcher.replace_launcher((*COMMAND, *arguments), variables)

    def popen(flags: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if says_pid else output,
            stderr=output,
            cwd=folders.home,
            env=inheritance,
            start_new_session=True,
            creationflags=flags,
        )

    try:
        return popen(apart | breakaway)
    except PermissionError:
        return popen(apart)
