"""Processes on POSIX systems: starting children, waiting for them, and the limit of open files."""

import contextlib
import os
import pwd
import resource
import subprocess
import sys
from collections.abc import Iterator

from ...core.model import ProcessIdentity
from ..api import ChildCommand
from ..shared.exit_statuses import ExitStatuses

assert sys.platform != "win32"  # noqa: S101 (tells type checkers where this runs)

DESCRIPTORS_WANTED = 10240
"""More than all connections and watches need; macOS refuses more (OPEN_MAX in its setrlimit(2))."""


class Children:
    """The daemon's children. Each is waited for as soon as its end is noticed, so that none stays a zombie."""

    def __init__(self) -> None:
        self._running: set[ProcessIdentity] = set()
        self._statuses = ExitStatuses()

    def add(self, identity: ProcessIdentity) -> None:
        """Add a child."""
        self._running.add(identity)

    def collect(self, identity: ProcessIdentity) -> None:
        """Wait for a child that has ended; do nothing for any other process."""
        if identity not in self._running:
            return
        try:
            pid, status = os.waitpid(identity.pid, os.WNOHANG)
        except ChildProcessError:
            # Other code has waited for it, so its status stays unknown.
            self._running.discard(identity)
            return
        if pid:
            self._running.discard(identity)
            self._statuses.add(identity, os.waitstatus_to_exitcode(status))

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        """Return the exit status of a child; see `ProcessControl.exit_status`."""
        self.collect(identity)
        return self._statuses.get(identity)


def start_detached(command: ChildCommand) -> subprocess.Popen[bytes]:
    """Start a process in its own session, without input; its output goes to the end of the log.

    Raises:
        OSError: the process could not be started; the text names the program.
    """
    program = command.argv[0]
    try:
        log = os.open(command.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # Without a preexec_fn CPython uses vfork, which does not copy the daemon's page tables.
            with _standard_input(command) as (given, kept):
                return subprocess.Popen(
                    command.argv,
                    env=command.environment,
                    cwd=command.cwd,
                    stdin=given,
                    stdout=log,
                    stderr=log,
                    close_fds=True,
                    pass_fds=kept,
                    start_new_session=True,
                )
        finally:
            os.close(log)
    except ValueError as error:
        raise OSError(f"cannot start {program!r}: {error}") from error
    except OSError as error:
        # The text already names the program; another missing file (its folder, the log) is named beside it.
        beside = () if error.filename == program else (error.filename,)
        raise OSError(error.errno, f"cannot start {program!r}: {error.strerror}", *beside) from error


@contextlib.contextmanager
def _standard_input(command: ChildCommand) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the standard input of a child, and the descriptors that it inherits besides.

    An input that must not end is a pipe whose other end the child itself holds: it ends with the child, not with the
    daemon.
    """
    if not command.keeps_input:
        yield subprocess.DEVNULL, ()
        return
    given, kept = os.pipe()
    try:
        yield given, (kept,)
    finally:
        os.close(given)
        os.close(kept)


def disown(process: subprocess.Popen[bytes]) -> None:
    """Keep a Popen from waiting for its process, because `Children` does."""
    # The destructor of Popen warns of, and later waits for, a process whose returncode is None.
    process.returncode = 0


def abandon(process: subprocess.Popen[bytes]) -> None:
    """End a child that cannot be recorded."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    process.wait()


def raise_descriptor_limit() -> tuple[int, int]:
    """Raise this process's soft limit of open files; return the former soft and hard limits."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS_WANTED if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS_WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return soft, hard


def user_name(uid: int) -> str:
    """Return the name of a user, or the number if the user has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
