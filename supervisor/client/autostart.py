"""Starts the daemon where none runs. Any number of callers at once end up with one daemon."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import DaemonNotRunning, NotOurs, StateNotWritable, SupervisorError
from ..native import redirector, search_path, trust
from ..native.facts import HOME_VARIABLE, SYSTEM, ending
from . import endpoint
from .client import Client, RemoteError

if TYPE_CHECKING:
    from pathlib import Path

    from ..native.facts import Folders

# Its texts and names of files are UTF-8, whatever the locale of the shell that starts it says.
COMMAND = (sys.executable, "-P", *(("-X", "utf8") if SYSTEM != "windows" else ()), "-m", "supervisor.daemon")
NOT_INHERITED = (HOME_VARIABLE, "GODOT_SUPERVISOR_SERVER_ID")
"""Set by what started us: one is set again, the other would make the daemon look like a server."""

POLL_S = 0.03
YIELD_S = 1.0
"""How long a daemon that ours made way for may take to answer before we try again: it may have been on its way out."""

SERVICE_HEAD_START_S = 5.0
"""How long a daemon that a service manager has started may take to answer before we try as well."""

TAIL_BYTES = 4096
LOG_BYTES = 256 * 1024
"""What daemons print at their start, before they have a log of their own, is kept up to here."""


def ensure_daemon(
    folders: "Folders", *, timeout_s: float = 20.0, by_service: Callable[[], bool] = lambda: False
) -> Client:
    """A connection to the daemon of these folders, started if need be.

    `by_service` is asked to start it before we do, and says whether it has.

    Raises:
        StateNotWritable: its folders cannot be made or written.
        NotOurs: somebody else may write into them.
        DaemonNotRunning: it could not be started, or does not answer in time; `data.output` has its last lines.
        DaemonUnreachable: one runs, and nobody can tell where it listens (a RemoteError of that code).
        ProtocolUnsupported: one runs that does not speak our protocol.
        RemoteError: one runs, and turned us away.
    """
    deadline = time.monotonic() + timeout_s
    client = _reach(folders)
    if client is not None:
        return client
    ours_from = time.monotonic() + (SERVICE_HEAD_START_S if by_service() else 0)
    attempt: _Attempt | None = None
    while True:
        client = _reach(folders)
        if client is not None:
            return client
        if time.monotonic() > deadline:
            output = attempt.output() if attempt else ""
            raise DaemonNotRunning(f"the daemon did not answer within {timeout_s:g} s", data={"output": output})
        if attempt.made_way() if attempt else time.monotonic() >= ours_from:
            attempt = _attempt(folders)
        time.sleep(POLL_S)


def _reach(folders: "Folders") -> Client | None:
    try:
        published = endpoint.read(folders.endpoint)
        return Client.connect(published) if published else None
    except DaemonNotRunning:
        # Nobody, a stale file, or a damaged one: the daemon to come replaces it.
        return None


def _attempt(folders: "Folders") -> "_Attempt":
    try:
        return _Attempt(folders)
    except trust.DistrustedError as problem:
        # The daemon would refuse too, but what it says would go where a stranger's link leads.
        raise NotOurs(str(problem), hint=problem.fix or f"choose another folder: {HOME_VARIABLE}") from problem
    except OSError as problem:
        where = problem.filename or folders.home
        raise StateNotWritable(f"cannot start a daemon: {problem.strerror or problem}: {where}") from problem


class _Attempt:
    """One child that shall become the daemon."""

    def __init__(self, folders: "Folders") -> None:
        self._log = folders.logs / "daemon.out"
        trust.make_folder(folders.home)
        trust.make_folder(folders.logs)
        _bound(self._log)
        with self._log.open("ab") as output:
            self._log_start = output.seek(0, os.SEEK_END)
            self._child = _spawn(folders, output.fileno())
        # Waits for it as long as we live, so that it leaves no zombie; it lives on without us.
        threading.Thread(target=self._child.wait, daemon=True).start()
        self._exited_at: float | None = None

    def made_way(self) -> bool:
        """Whether it found another daemon at work, and that one has not answered since.

        Raises:
            SupervisorError: why it failed.
        """
        status = self._child.poll()
        if status is None:
            return False
        if status != 0:
            raise self._failure(status)
        now = time.monotonic()
        self._exited_at = self._exited_at or now
        return now - self._exited_at > YIELD_S

    def _failure(self, status: int) -> SupervisorError:
        """Its own error, a line that it signed: others may write there too; else what can be told from outside."""
        output = self.output()
        for line in reversed(output.splitlines()):
            with contextlib.suppress(ValueError):
                error = json.loads(line)
                if isinstance(error, dict) and error.get("pid") == self._child.pid:
                    return RemoteError(error)
        return DaemonNotRunning(
            f"the daemon could not start ({ending(status)})",
            hint=f"see {self._log}",
            data={"exit": status, "output": output},
        )

    def output(self) -> str:
        """The end of what it wrote."""
        with self._log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - TAIL_BYTES))
            return log.read().decode(errors="replace")


def _bound(log: "Path") -> None:
    """Begin it anew when it is long. A daemon that has it open goes on at its end."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES:
            os.truncate(log, 0)


def _spawn(folders: "Folders", output: int) -> "subprocess.Popen[bytes]":
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    environment = search_path.without_interpreter(inherited)
    if folders.moved:
        environment[HOME_VARIABLE] = str(folders.home)
    # Windows only, 0 elsewhere. A job may forbid leaving it: then the daemon stays inside.
    apart = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)
    breakaway = getattr(subprocess, "CREATE_BREAKAWAY_FROM_JOB", 0)

    command, variables = redirector.without(COMMAND, environment)

    def start(flags: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=folders.home,
            env=variables,
            start_new_session=True,
            creationflags=flags,
        )

    try:
        return start(apart | breakaway)
    except PermissionError:
        return start(apart)
