"""Starts processes that outlive the daemon: without a window, in their own job, and with no handle but the log."""

import contextlib
import msvcrt
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ....core.model import ProcessIdentity
from ...api import ChildCommand
from ...shared import venv_launcher
from .. import files, win32, win32_files
from . import handles
from . import jobs as windows_jobs

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

DETACHED = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW | win32.CREATE_SUSPENDED

CHILD_RIGHTS = (
    handles.QUERY
    | win32.PROCESS_TERMINATE
    | win32.PROCESS_DUP_HANDLE
    | win32.PROCESS_SET_QUOTA
    | win32.PROCESS_SUSPEND_RESUME
)

ABANDONED = 1
"""The exit status of a child that could not be recorded."""


def start_detached(command: ChildCommand, jobs: windows_jobs.Jobs) -> tuple[ProcessIdentity, int]:
    """Start a process in its own job; return its identity, and a handle to it.

    Raises:
        OSError: the process could not be started; the text names the program.
    """
    program = command.argv[0]
    try:
        process = _start_suspended(command)
    except ValueError as error:
        raise OSError(f"cannot start {program!r}: {error}") from error
    except OSError as error:
        raise OSError(error.errno, f"cannot start {program!r}: {error.strerror}", error.filename) from error
    try:
        handle = handles.open_handle(process.pid, CHILD_RIGHTS)
    except OSError:
        process.kill()
        process.wait()
        raise
    try:
        identity = handles.identity_of(handle)
        jobs.enclose(handle, identity)
        status = win32.NtResumeProcess(handle)
        if status < 0:
            raise win32.status_error(status)
    except OSError:
        win32.TerminateProcess(handle, ABANDONED)
        win32.CloseHandle(handle)
        raise
    finally:
        # The destructor warns of a process whose returncode is None; our own handle is the one that counts.
        process.returncode = 0
    return identity, handle


def _start_suspended(command: ChildCommand) -> "subprocess.Popen[bytes]":
    argv, environment = venv_launcher.replace_launcher(command.argv, command.environment)

    def start(flags: int) -> "subprocess.Popen[bytes]":
        with opened_for_append(command.log) as log, _standard_input(command) as (given, inherited):
            return subprocess.Popen(
                argv,
                env=environment,
                cwd=command.cwd,
                stdin=given,
                stdout=log,
                stderr=log,
                close_fds=True,
                startupinfo=inherited,
                creationflags=flags,
            )

    try:
        return start(DETACHED | subprocess.CREATE_BREAKAWAY_FROM_JOB)
    except PermissionError as refusal:
        if refusal.winerror != win32.ERROR_ACCESS_DENIED:
            raise
        # The job of this process may forbid leaving it. The server then stays inside, in a nested job.
        return start(DETACHED)


@contextlib.contextmanager
def _standard_input(command: ChildCommand) -> Iterator[tuple[int, subprocess.STARTUPINFO | None]]:
    """Yield the standard input of a child, and the handles that it inherits besides.

    An input that must not end is a pipe whose other end the child itself holds: it ends with the child, not with the
    daemon.
    """
    if not command.keeps_input:
        yield subprocess.DEVNULL, None
        return
    given, kept = os.pipe()
    try:
        handle = msvcrt.get_osfhandle(kept)
        # Only a child whose handle list names it inherits it. Every start of ours has a list, at least of its standard
        # handles.
        os.set_handle_inheritable(handle, True)
        yield given, subprocess.STARTUPINFO(lpAttributeList={"handle_list": [handle]})
    finally:
        os.close(given)
        os.close(kept)


@contextlib.contextmanager
def opened_for_append(path: Path) -> Iterator[int]:
    """Yield a descriptor of a file. Each write by it goes to the end that the file has then.

    The handle has the right to append without the right to write, because a child inherits that. The child would not
    inherit O_APPEND, which the C library of Windows implements.
    """
    handle: int | None = win32_files.CreateFile(
        str(path),
        win32_files.FILE_APPEND_DATA | win32.SYNCHRONIZE | win32_files.FILE_READ_ATTRIBUTES,
        win32_files.FILE_SHARE_ALL,
        None,
        win32_files.OPEN_ALWAYS,
        win32_files.FILE_ATTRIBUTE_NORMAL,
        None,
    )
    if handle is None or handle == files.INVALID_HANDLE:
        raise win32.last_error()
    descriptor = files.descriptor_of(handle, os.O_APPEND)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
