"""Starts the daemon where none runs. Any number of callers at once end up with one daemon."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..errors import DaemonNotRunning, NotOurs, SupervisorError, TimedOut
from ..native import trust
from ..native.facts import HOME_VARIABLE, SYSTEM, ending
from ..native.shared import venv_launcher
from ..native.startup import homes, search_path
from . import discovery
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

REHEARSAL_S = 60.0
"""How long the trial of a start may take: on a busy machine an interpreter takes seconds to come up."""

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
        NotOurs: somebody else may write into them, or this user may not.
        DaemonNotRunning: it could not be started, or does not answer in time; `data.output` has its last lines.
        DaemonUnreachable: one runs, and nobody can tell where it listens (a RemoteError of that code).
        ProtocolUnsupported: one runs that does not speak our protocol.
        RemoteError: one runs, and turned us away.
    """
    deadline = time.monotonic() + timeout_s
    client = _reach_anyhow(folders)
    if client is not None:
        return client
    homes.refuse(folders)
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
            # The daemon that it has made way for may have lost its files: asked, it makes them again.
            client = _reach_anyhow(folders) if attempt else None
            if client is not None:
                return client
            attempt = _attempt(folders)
        time.sleep(POLL_S)


def _reach_anyhow(folders: "Folders") -> Client | None:
    """By what is published, else by asking outside the home."""
    try:
        return discovery.connect(folders)
    except DaemonNotRunning:
        return None


def _reach(folders: "Folders") -> Client | None:
    """By what is published only: while one starts, asking would cost it time."""
    try:
        published = discovery.published(folders)
        return Client.connect(published) if published else None
    except DaemonNotRunning:
        # Nobody, a stale file, or a damaged one: the daemon to come replaces it.
        return None


def rehearse(folders: "Folders", timeout_s: float = REHEARSAL_S) -> None:
    """See that a daemon could start, by the interpreter, the package and the environment that it would start with.

    Raises:
        SupervisorError: why it could not; a daemon that runs has not been touched.
    """
    with _refusals(folders):
        trust.make_folder(folders.home)
        with tempfile.TemporaryFile() as output:
            child = _spawn(folders, output.fileno(), "--try")
            try:
                status = child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
                raise TimedOut(f"whether a daemon can start could not be tried within {timeout_s:g} s") from None
            output.seek(0)
            said = output.read(TAIL_BYTES * 4).decode(errors="replace")
    if status != 0:
        raise _failure(said, child.pid, status, hint="the daemon that runs goes on")


def _attempt(folders: "Folders") -> "_Attempt":
    with _refusals(folders):
        return _Attempt(folders)


@contextlib.contextmanager
def _refusals(folders: "Folders") -> Iterator[None]:
    try:
        yield
    except trust.DistrustedError as problem:
        # The daemon would refuse too, but what it says would go where a stranger's link leads.
        raise NotOurs(str(problem), hint=problem.fix or f"choose another folder: {HOME_VARIABLE}") from problem
    except OSError as problem:
        reason = homes.explained(problem, folders)
        raise type(reason)(f"cannot start a daemon: {reason.message}", hint=reason.hint) from problem


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
            raise _failure(self.output(), self._child.pid, status, hint=f"see {self._log}")
        now = time.monotonic()
        self._exited_at = self._exited_at or now
        return now - self._exited_at > YIELD_S

    def output(self) -> str:
        """The end of what it wrote."""
        with self._log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - TAIL_BYTES))
            return log.read().decode(errors="replace")


def _failure(output: str, pid: int, status: int, *, hint: str) -> SupervisorError:
    """Its own error, a line that it signed: others may write there too; else what can be told from outside."""
    for line in reversed(output.splitlines()):
        with contextlib.suppress(ValueError):
            error = json.loads(line)
            if isinstance(error, dict) and error.get("pid") == pid:
                return RemoteError(error)
    return DaemonNotRunning(
        f"the daemon could not start ({ending(status)})", hint=hint, data={"exit": status, "output": output}
    )


def _bound(log: "Path") -> None:
    """Begin it anew when it is long. A daemon that has it open goes on at its end."""
    with contextlib.suppress(FileNotFoundError):
        if log.stat().st_size > LOG_BYTES:
            os.truncate(log, 0)


def _spawn(folders: "Folders", output: int, *arguments: str) -> "subprocess.Popen[bytes]":
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    environment = search_path.without_interpreter(inherited)
    if folders.moved:
        environment[HOME_VARIABLE] = str(folders.home)
    # Windows only, 0 elsewhere. A job may forbid leaving it: then the daemon stays inside.
    apart = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0) | getattr(subprocess, "CREATE_NO_WINDOW", 0)
    breakaway = getattr(subprocess, "CREATE_BREAKAWAY_FROM_JOB", 0)

    command, variables = venv_launcher.without((*COMMAND, *arguments), environment)

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
