"""One named job for each server: it names the server's tree, also for the next daemon, and ends nothing by itself."""

import contextlib
import ctypes
import sys
import threading
from collections.abc import Mapping
from ctypes.wintypes import BOOL, DWORD, HANDLE
from functools import cache

from ....core.model import ProcessIdentity
from .. import win32
from . import handles

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

MEMBER = (handles.ASK, handles.ASK | win32.PROCESS_QUERY_INFORMATION)
"""IsProcessInJob is content with the limited right, the only one that an elevated process gives; Wine is not."""


def name_of(root: ProcessIdentity) -> str:
    """The job of the server that this process is the root of. Its identity cannot repeat, so the name cannot either."""
    return rf"Local\godot-supervisor-{root.pid}-{root.start_token}"


class Jobs:
    """The jobs that this daemon knows, by the process that they were made for.

    The root keeps a handle to its own job, so the name outlives the daemon. This keeps one too, should the root go.
    """

    def __init__(self) -> None:
        self._handles: dict[ProcessIdentity, int] = {}
        # Processes are listed off the loop.
        self._lock = threading.RLock()

    def enclose(self, process: int, root: ProcessIdentity) -> None:
        """Make a job around a process that has not run yet. `process` is a handle to it, with all rights.

        Raises:
            OSError: the system refused, or somebody else has made a job of that name; the process is in no job of
                ours then.
        """
        ctypes.set_last_error(0)
        job: int | None = win32.CreateJobObject(None, name_of(root))
        if not job:
            raise win32.last_error()
        try:
            # Of a job that was there already we get a handle as well.
            if ctypes.get_last_error() == win32.ERROR_ALREADY_EXISTS:
                raise win32.last_error()
            _let_go(job)
            if not win32.AssignProcessToJobObject(job, process):
                raise win32.last_error()
            _hand_over(job, process)
        except OSError:
            win32.CloseHandle(job)
            raise
        with self._lock:
            self._handles[root] = job

    def sessions(self, living: Mapping[int, ProcessIdentity]) -> dict[ProcessIdentity, int]:
        """The root's pid, for each of these processes that is in a job of ours.

        The jobs of earlier daemons are found by their names. Where the number of a root that has gone is that of
        another living root by now, what the first one left has none: it is no part of the second one's tree.
        """
        found: dict[ProcessIdentity, int] = {}
        with self._lock:
            unknown = {identity for identity in living.values() if not self._look_for(identity)}
            for root, job in list(self._handles.items()):
                members = self._told(root, job, living)
                heir = living.get(root.pid, root)
                if heir != root and (heir in self._handles or heir in unknown):
                    continue
                listed = (living[pid] for pid in members if pid in living and (pid != root.pid or heir == root))
                found |= {identity: root.pid for identity in listed if _contains(job, identity)}
        return found

    def inhabited(self, pid: int) -> bool:
        """Whether anything lives, or may live, in a job whose root had this number."""
        with self._lock:
            return any(_may_be_inhabited(job) for root, job in self._handles.items() if root.pid == pid)

    def leads(self, identity: ProcessIdentity) -> bool:
        """Whether this process is the root of a job of ours.

        Raises:
            OSError: the system would not tell.
        """
        with self._lock:
            return self._find(identity) is not None

    def _told(self, root: ProcessIdentity, job: int, living: Mapping[int, ProcessIdentity]) -> tuple[int, ...]:
        """The pids in a job, none where the system would not tell. One that is empty for good is forgotten."""
        try:
            members = _members(job)
        except OSError:
            return ()
        if not members and living.get(root.pid) != root:
            win32.CloseHandle(self._handles.pop(root))
        return members

    def _look_for(self, root: ProcessIdentity) -> bool:
        """Have its job among those that are known, if it has one. False: the system would not tell."""
        try:
            self._find(root)
        except OSError:
            return False
        return True

    def _find(self, root: ProcessIdentity) -> int | None:
        known = self._handles.get(root)
        if known is not None:
            return known
        job: int | None = win32.OpenJobObject(win32.JOB_OBJECT_QUERY, False, name_of(root))
        if job:
            self._handles[root] = job
        elif ctypes.get_last_error() != win32.ERROR_FILE_NOT_FOUND:
            raise win32.last_error()
        return job or None


def _let_go(job: int) -> None:
    """What a server starts may leave the job if it asks to, as it may begin a session of its own elsewhere."""
    limits = win32.JobExtendedLimits()
    limits.basic.flags = win32.JOB_LIMIT_BREAKAWAY_OK
    if not win32.SetInformationJobObject(
        job, win32.JOB_EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
    ):
        raise win32.last_error()


def _hand_over(job: int, process: int) -> None:
    """Leave a handle to the job in the process: the name is there as long as somebody has one."""
    theirs = HANDLE()
    if not win32.DuplicateHandle(
        win32.GetCurrentProcess(), job, process, ctypes.byref(theirs), win32.JOB_OBJECT_QUERY, False, 0
    ):
        raise win32.last_error()


def _members(job: int) -> tuple[int, ...]:
    """The pids in a job.

    Raises:
        OSError: the system would not tell.
    """
    room = 64
    while True:
        layout = _id_list(room)
        listed = layout()
        if win32.QueryInformationJobObject(
            job, win32.JOB_BASIC_PROCESS_ID_LIST, ctypes.byref(listed), ctypes.sizeof(listed), None
        ):
            return tuple(listed.pids[: listed.count])
        if ctypes.get_last_error() != win32.ERROR_MORE_DATA:
            raise win32.last_error()
        room *= 4


def _may_be_inhabited(job: int) -> bool:
    try:
        return bool(_members(job))
    except OSError:
        return True


@cache
def _id_list(room: int) -> type[ctypes.Structure]:
    """JOBOBJECT_BASIC_PROCESS_ID_LIST for so many processes."""

    class IdList(ctypes.Structure):
        _fields_ = (("assigned", DWORD), ("count", DWORD), ("pids", ctypes.c_size_t * room))

    return IdList


def _contains(job: int, identity: ProcessIdentity) -> bool:
    """Whether exactly this process is in the job: a pid of the list may be another's by now."""
    for access in MEMBER:
        with contextlib.suppress(OSError), handles.opened(identity.pid, access) as handle:
            inside = BOOL()
            if win32.IsProcessInJob(handle, job, ctypes.byref(inside)):
                return bool(inside.value) and handles.identity_of(handle) == identity
    return False
