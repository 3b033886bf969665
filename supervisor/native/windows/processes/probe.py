"""Windows' answers about one process."""

import sys

import psutil

from ....core.model import Liveness, Occupant, ProcessIdentity
from .. import tokens, win32
from . import handles, listing, start_order

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

EPOCH_OFFSET_S = 11_644_473_600
"""From 1601, where Windows begins to count, to 1970."""


SYSTEM_PID = 4


class WindowsProbe:
    """Start tokens are the creation time of the process, as the kernel keeps it: 100 ns since 1601."""

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Who is behind this pid now. Raises OSError where the system would not tell."""
        if not handles.is_pid(pid):
            return None
        try:
            with handles.opened(pid) as handle:
                found = handles.identity_of(handle)
                # Windows opens the process below for a number between two pids.
                return found if found.pid == pid and handles.runs(handle) else None
        except OSError as error:
            if error.winerror == win32.ERROR_INVALID_PARAMETER:
                return None
            if error.winerror != win32.ERROR_ACCESS_DENIED:
                raise
            return self._listed(pid, error)

    def newborn(self, process: int) -> ProcessIdentity:
        """The identity behind a handle of ours, even if it has ended already.

        Raises:
            OSError: the system would not tell.
        """
        return handles.identity_of(process)

    def sample(self, identity: ProcessIdentity) -> Liveness:
        """Whether exactly this process lives."""
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
        """Whether it belongs to the daemon's user. None also for one that runs elevated: its token cannot be read."""
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
        """Every process here means the same by a pid."""
        return True if self.sample(identity) is Liveness.ALIVE else None

    def started_at(self, identity: ProcessIdentity) -> float | None:
        """Wall time of its start; known for every process, living or not."""
        if not identity.start_token.isdecimal():
            return None
        return round(int(identity.start_token) / 1e7 - EPOCH_OFFSET_S, 3)

    def born(self, identity: ProcessIdentity) -> float | None:
        """The kernel's count of processes. The token would not do: it was written down by a clock that can be set."""
        return start_order.sequence(identity)

    def describe(self, pid: int) -> Occupant:
        """Command line, user and start, for people; empty for a process that has gone."""
        try:
            identity = self.identify(pid)
        except OSError:
            return Occupant()
        if identity is None:
            return Occupant()
        return Occupant(identity, _command_line(pid), _user(pid), self.started_at(identity))

    def no_process(self, pid: int) -> str | None:
        """A thread's number is never a process's here. The system itself has always the same one."""
        return f"{pid} is the system itself" if pid == SYSTEM_PID else None

    def _listed(self, pid: int, denied: OSError) -> ProcessIdentity | None:
        """The other route, for a process that may not be opened: the list of all processes tells their age too."""
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
