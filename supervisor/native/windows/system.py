"""The platform of Windows: handles, jobs and waits."""

import asyncio
import socket
import sys
from pathlib import Path

import psutil

from ...core.model import ProcessIdentity, ProcessRow
from ..api import ChildCommand, ExitWatcher, Platform
from ..shared import adoption_marks, runnable
from ..shared.clock import MonotonicClock
from ..shared.exit_statuses import ExitStatuses
from ..shared.file_watch import PollingFileWatcher
from ..shared.lanes import ThreadLanes
from ..shared.process_queries import PatientProbe, PatientProcesses, ProcessQueries
from . import ports, win32
from .processes import console, handles, jobs, listing, start_order
from .processes import exits as windows_exits
from .processes import probe as windows_probe
from .processes import spawn as windows_spawn
from .services import account

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

KILLED = 1
"""The exit status of killed processes, because Windows has no signals. `taskkill` uses the same."""


def windows_platform() -> Platform:
    """Return the platform of Windows."""
    probe = windows_probe.WindowsProbe()
    queries = ProcessQueries(probe.identify)
    lanes = ThreadLanes(queries)
    patient = PatientProbe(probe, queries)
    children = Children()
    exits = windows_exits.WaitWatcher(probe, children.collect)
    return Platform(
        clock=MonotonicClock(),
        probe=patient,
        exits=exits,
        processes=PatientProcesses(WindowsProcessControl(probe, children, exits, lanes), queries),
        ports=ports.WindowsPortTable(patient),
        files=PollingFileWatcher(),
        peers=WindowsPeerCheck(),
        lanes=lanes,
        marks=adoption_marks.FileMarks(mark_folders(), probe.sample, probe.started_at, lambda: "all"),
    )


def mark_folders() -> tuple[Path, ...]:
    """Return the folders where the daemons of this user leave adoption marks; no variable moves them."""
    local = account.local_app_data()
    return () if local is None else (local / adoption_marks.FOLDER,)


class Children:
    """The daemon's children. An open handle keeps a child's exit status and pid until the child's end is noticed."""

    def __init__(self) -> None:
        self._running: dict[ProcessIdentity, int] = {}
        self._statuses = ExitStatuses()

    def add(self, identity: ProcessIdentity, handle: int) -> None:
        """Add a child, and take over its handle."""
        self._running[identity] = handle

    def collect(self, identity: ProcessIdentity) -> None:
        """Note the status of a child that has ended; do nothing for any other process."""
        handle = self._running.get(identity)
        if handle is None or handles.runs(handle):
            return
        self._statuses.add(identity, handles.exit_code(handle))
        win32.CloseHandle(self._running.pop(identity))

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        """Return the exit status of a child; see `ProcessControl.exit_status`."""
        self.collect(identity)
        return self._statuses.get(identity)


class WindowsProcessControl:
    """Acts on a handle that was opened first and verified after, so it cannot hit a recycled pid."""

    def __init__(
        self, probe: windows_probe.WindowsProbe, children: Children, exits: ExitWatcher, lanes: ThreadLanes
    ) -> None:
        self._probe = probe
        self._children = children
        self._exits = exits
        self._lanes = lanes
        self._jobs = jobs.Jobs()

    def spawn(self, command: ChildCommand) -> ProcessIdentity:
        """Start a detached child. Raise RuntimeError if no event loop runs, because the loop notices its end."""
        asyncio.get_running_loop()
        identity, handle = windows_spawn.start_detached(command, self._jobs)
        self._children.add(identity, handle)
        # The watch collects the exit status.
        self._exits.watch(identity, _do_nothing)
        return identity

    def rehearse(self, command: ChildCommand) -> None:
        """Raise OSError if the command could not be started."""
        runnable.rehearse(command)

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        """Return the exit status of a child that has ended."""
        return self._children.exit_status(identity)

    async def ask_to_end(self, identity: ProcessIdentity) -> bool:
        """Send CTRL_BREAK to the root of a server that a daemon has started.

        Raises:
            OSError: the process is another one, for which Windows has no request.
        """
        return await self._lanes.do(self._send_break, identity)

    def _send_break(self, identity: ProcessIdentity) -> bool:
        """Send it by a helper process. Blocking. The open handle keeps the pid from being given to another process."""
        with handles.opened_if_running(identity, handles.QUERY) as handle:
            if handle is None:
                return False
            # For a pid that leads no group, the request would reach every process on its console.
            if not self._jobs.leads(identity):
                raise OSError(f"Windows has no polite request for pid {identity.pid}: it was started by others")
            console.send_break(identity.pid)
            return True

    def kill(self, identity: ProcessIdentity) -> bool:
        """Call TerminateProcess; return False if the process had ended."""
        with handles.opened_if_running(identity, handles.QUERY | win32.PROCESS_TERMINATE) as handle:
            if handle is None:
                return False
            if not win32.TerminateProcess(handle, KILLED):
                error = win32.last_error()
                # A process that is ending refuses.
                if handles.runs(handle):
                    raise error
                return False
            return True

    def table(self) -> tuple[ProcessRow, ...]:
        """Return every living process. `session` is the pid of the root of the process's job.

        Windows forgets a job whose root ends while no daemon runs. A process of such a job, and every other process
        whose job is not found, has as `session` the number of its nearest ended ancestor, unless another process has
        that number now. Such a session proves nothing.
        """
        listed = listing.processes()
        parents = listing.parents(listed, start_order.sequence)
        sessions = self._jobs.sessions({pid: row.identity for pid, row in listed.items()})
        return tuple(
            ProcessRow(
                row.identity,
                parents[row.pid],
                sessions.get(row.identity) or listing.lost_ancestor(row.pid, listed, parents),
            )
            for row in listed.values()
        )

    def is_unused(self, pid: int) -> bool:
        """Return whether it is proven that no living process has this number, is in its job, or was created by it."""
        if not handles.is_pid(pid) or self._jobs.inhabited(pid):
            return False
        try:
            return not any(pid in (row.pid, row.parent) for row in listing.processes().values())
        except OSError:
            return False

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """Read a variable from the memory of the process; see `ProcessControl`."""
        try:
            found = psutil.Process(identity.pid).environ()
        except (psutil.Error, ValueError, OverflowError) as error:
            raise PermissionError(f"the system does not tell what process {identity.pid} was started with") from error
        if self._probe.identify(identity.pid) != identity:
            raise ProcessLookupError(f"process {identity.pid} has ended")
        if not found:
            # A process has no such memory while it starts or ends. Windows itself gives every process some variables.
            raise PermissionError(f"the environment of process {identity.pid} reads empty")
        return found.get(name.upper())


class WindowsPeerCheck:
    """Windows has no unix sockets that identify a peer, so clients show the token."""

    def same_user(self, connection: socket.socket) -> bool:  # noqa: ARG002 (the Protocol's)
        """Return False, because Windows does not tell."""
        return False


def _do_nothing() -> None:
    """Do nothing at the end of a child."""
