"""Facts about one process on Windows."""

import sys

import psutil

from ....core.model import Liveness, Occupant, ProcessIdentity
from .. import tokens, win32
from . import handles, listing, start_order

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

EPOCH_OFFSET_S = 11_644_473_600
"""From 1601, the origin of Windows' times, to 1970."""


SYSTEM_PID = 4


class WindowsProbe:
    """Start tokens are the creation time of the process, as the kernel keeps it: 100 ns since 1601."""

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Return the identity behind this pid. Raises OSError if the system does not tell."""
        if not handles.is_pid(pid):
            return None
        try:
            with handles.opened(pid) as handle:
                found = handles.identity_of(handle)
                # For a number between two pids, Windows opens the process with the lower one.
                return found if found.pid == pid and handles.runs(handle) else None
        except OSError as error:
            if error.winerror == win32.ERROR_INVALID_PARAMETER:
                return None
            if error.winerror != win32.ERROR_ACCESS_DENIED:
                raise
            return self._identify_by_list(pid, error)

    def sample(self, identity: ProcessIdentity) -> Liveness:
        """Return whether exactly this process lives."""
        if not identity.start_token.isdecimal():
            return Liveness.DEAD
        try:
            found = self.identify(identity.pid)
        except PermissionError:
            return Liveness.ALIVE
        except OSError:
            return Liveness.UNKNOWN
        return Liveness.ALIVE if found == identity else Liveness.DEAD

    def same_user(self, identity: ProcessIdentity) -> bool | None:
        """Return whether the daemon's user owns it; None also for an elevated process, whose token cannot be read."""
        if not handles.is_pid(identity.pid):
            return None
        try:
            with handles.opened(identity.pid) as handle:
                if handles.identity_of(handle) != identity or not handles.runs(handle):
                    return None
                return tokens.user_of(handle) == tokens.me()
        except OSError:
            return None

    def same_namespace(self, identity: ProcessIdentity) -> bool | None:
        """Return True: a pid means the same to every process here."""
        return True if self.sample(identity) is Liveness.ALIVE else None

    def started_at(self, identity: ProcessIdentity) -> float | None:
        """Return the wall time of its start; known for every process, living or not."""
        if not identity.start_token.isdecimal():
            return None
        return round(int(identity.start_token) / 1e7 - EPOCH_OFFSET_S, 3)

    def creation_order(self, identity: ProcessIdentity) -> float | None:
        """Return the kernel's count of processes at its creation.

        The token would not do: it follows a clock that can be set.
        """
        return start_order.sequence(identity)

    def describe(self, pid: int) -> Occupant:
        """Return command line, user and start, for people; empty for a process that has ended."""
        try:
            identity = self.identify(pid)
        except OSError:
            return Occupant()
        if identity is None:
            return Occupant()
        return Occupant(identity, _command_line(pid), _user(pid), self.started_at(identity))

    def why_no_process(self, pid: int) -> str | None:
        """Return why a pid names no process. Threads have other numbers here, and the system itself a constant one."""
        return f"{pid} is the system itself" if pid == SYSTEM_PID else None

    def _identify_by_list(self, pid: int, denied: OSError) -> ProcessIdentity | None:
        """Identify a process that may not be opened: the list of all processes tells its creation time too.

        Raises `denied` if the system does not give the list.
        """
        try:
            row = listing.processes().get(pid)
        except OSError:
            raise denied from None
        return row.identity if row else None


def _command_line(pid: int) -> tuple[str, ...]:
    try:
        return tuple(psutil.Process(pid).cmdline())
    except (psutil.Error, OSError):
        return ()


def _user(pid: int) -> str | None:
    try:
        with handles.opened(pid) as handle:
            return tokens.name_of(handle)
    except OSError:
        return None
