"""A named job for each server. The job tells which processes are the server's, and outlives the daemon."""

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

MEMBERSHIP_RIGHTS = (handles.QUERY, handles.QUERY | win32.PROCESS_QUERY_INFORMATION)
"""Rights for IsProcessInJob. The first suffices, and an elevated process grants no more; Wine requires the second."""


def name_of(root: ProcessIdentity) -> str:
    """Return the name of the job of the server with this root. Like identities, names never repeat."""
    return rf"Local\godot-supervisor-{root.pid}-{root.start_token}"


class Jobs:
    """The jobs that this daemon knows, by their root process.

    The root holds a handle to its own job, so the name outlives the daemon. The daemon holds one too, in case the root
    ends.
    """

    def __init__(self) -> None:
        self._handles: dict[ProcessIdentity, int] = {}
        # Processes are listed off the loop.
        self._lock = threading.RLock()

    def enclose(self, process: int, root: ProcessIdentity) -> None:
        """Make a job around a process that has not run yet. `process` is a handle to it, with all rights.

        Raises:
            OSError: the system refused, or a job of that name exists; the process is then in no job of ours.
        """
        ctypes.set_last_error(0)
        job: int | None = win32.CreateJobObject(None, name_of(root))
        if not job:
            raise win32.last_error()
        try:
            # CreateJobObject also returns a handle to a job that existed before.
            if ctypes.get_last_error() == win32.ERROR_ALREADY_EXISTS:
                raise win32.last_error()
            _allow_breakaway(job)
            if not win32.AssignProcessToJobObject(job, process):
                raise win32.last_error()
            _give_handle_to(job, process)
        except OSError:
            win32.CloseHandle(job)
            raise
        with self._lock:
            self._handles[root] = job

    def sessions(self, living: Mapping[int, ProcessIdentity]) -> dict[ProcessIdentity, int]:
        """Return the root's pid for each of these processes that is in a job of ours.

        Jobs of earlier daemons are found by their names. If the number of an ended root now belongs to another living
        root, the descendants of the first root get no session, because they are no part of the second one's tree.
        """
        found: dict[ProcessIdentity, int] = {}
        with self._lock:
            unknown = {identity for identity in living.values() if not self._could_look_up(identity)}
            for root, job in list(self._handles.items()):
                members = self._members_or_forget(root, job, living)
                same_pid = living.get(root.pid, root)
                if same_pid != root and (same_pid in self._handles or same_pid in unknown):
                    continue
                listed = (living[pid] for pid in members if pid in living and (pid != root.pid or same_pid == root))
                found |= {identity: root.pid for identity in listed if _contains(job, identity)}
        return found

    def inhabited(self, pid: int) -> bool:
        """Return whether a process lives, or may live, in a job whose root has or had this pid."""
        with self._lock:
            return any(_may_be_inhabited(job) for root, job in self._handles.items() if root.pid == pid)

    def leads(self, identity: ProcessIdentity) -> bool:
        """Return whether this process is the root of a job of ours.

        Raises:
            OSError: the system does not tell.
        """
        with self._lock:
            return self._look_up(identity) is not None

    def _members_or_forget(
        self, root: ProcessIdentity, job: int, living: Mapping[int, ProcessIdentity]
    ) -> tuple[int, ...]:
        """Return the pids in a job, none if the system does not tell. Forget a job that is empty and has no root."""
        try:
            members = _members(job)
        except OSError:
            return ()
        if not members and living.get(root.pid) != root:
            win32.CloseHandle(self._handles.pop(root))
        return members

    def _could_look_up(self, root: ProcessIdentity) -> bool:
        """Look up the job with this root; return False if the system does not tell whether there is one."""
        try:
            self._look_up(root)
        except OSError:
            return False
        return True

    def _look_up(self, root: ProcessIdentity) -> int | None:
        """Return a handle to the job with this root, and keep it; None if there is no such job.

        Raises:
            OSError: the system does not tell.
        """
        known = self._handles.get(root)
        if known is not None:
            return known
        job: int | None = win32.OpenJobObject(win32.JOB_OBJECT_QUERY, False, name_of(root))
        if job:
            self._handles[root] = job
        elif ctypes.get_last_error() != win32.ERROR_FILE_NOT_FOUND:
            raise win32.last_error()
        return job or None


def _allow_breakaway(job: int) -> None:
    """Let descendants leave the job on request, as they may start a session of their own on other systems."""
    limits = win32.JobExtendedLimits()
    limits.basic.flags = win32.JOB_LIMIT_BREAKAWAY_OK
    if not win32.SetInformationJobObject(
        job, win32.JOB_EXTENDED_LIMIT_INFORMATION, ctypes.byref(limits), ctypes.sizeof(limits)
    ):
        raise win32.last_error()


def _give_handle_to(job: int, process: int) -> None:
    """Put a handle to the job into the process: the name exists as long as a process holds one."""
    theirs = HANDLE()
    if not win32.DuplicateHandle(
        win32.GetCurrentProcess(), job, process, ctypes.byref(theirs), win32.JOB_OBJECT_QUERY, False, 0
    ):
        raise win32.last_error()


def _members(job: int) -> tuple[int, ...]:
    """Return the pids in a job.

    Raises:
        OSError: the system does not tell.
    """
    capacity = 64
    while True:
        layout = _id_list(capacity)
        listed = layout()
        if win32.QueryInformationJobObject(
            job, win32.JOB_BASIC_PROCESS_ID_LIST, ctypes.byref(listed), ctypes.sizeof(listed), None
        ):
            return tuple(listed.pids[: listed.count])
        if ctypes.get_last_error() != win32.ERROR_MORE_DATA:
            raise win32.last_error()
        capacity *= 4


def _may_be_inhabited(job: int) -> bool:
    try:
        return bool(_members(job))
    except OSError:
        return True


@cache
def _id_list(capacity: int) -> type[ctypes.Structure]:
    """Return the type JOBOBJECT_BASIC_PROCESS_ID_LIST with room for `capacity` pids."""

    class IdList(ctypes.Structure):
        _fields_ = (("assigned", DWORD), ("count", DWORD), ("pids", ctypes.c_size_t * capacity))

    return IdList


def _contains(job: int, identity: ProcessIdentity) -> bool:
    """Return whether exactly this process is in the job: a listed pid may already belong to another process."""
    for access in MEMBERSHIP_RIGHTS:
        with contextlib.suppress(OSError), handles.opened(identity.pid, access) as handle:
            inside = BOOL()
            if win32.IsProcessInJob(handle, job, ctypes.byref(inside)):
                return bool(inside.value) and handles.identity_of(handle) == identity
    return False
