"""Jobs: the tree to which a process belongs, whatever became of its root."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Liveness, ProcessIdentity
from supervisor.native.api import ChildCommand
from supervisor.native.platforms import open_platform
from supervisor.native.windows.processes import handles, spawn
from supervisor.native.windows.processes import jobs as windows_jobs
from supervisor.native.windows.system import win32, windows_platform
from tests.contract.platforms import PYTHON, RealHarness, on_loop, wait_until
from tests.native.on_windows import control, failing


def strays(harness: RealHarness, number: int = 0) -> tuple[ProcessIdentity, windows_jobs.Jobs]:
    """Return a process in the job of an ended root with this number, and the jobs that know it; 0: its own number."""
    parent, stray = harness.family()
    jobs = windows_jobs.Jobs()
    jobs._handles[ProcessIdentity(number or stray.pid, "4711")] = control(harness)._jobs._handles[parent]
    return stray, jobs


@on_loop
async def test_the_next_daemon_finds_the_tree_by_the_name_of_its_job(harness: RealHarness) -> None:
    parent, grandchild = harness.family()
    rows = {row.identity: row for row in open_platform().processes.table()}
    assert rows[parent].session == rows[grandchild].session == parent.pid


@on_loop
async def test_closing_a_job_ends_no_process(harness: RealHarness) -> None:
    parent, grandchild = harness.family()
    for handle in control(harness)._jobs._handles.values():
        win32.CloseHandle(handle)
    control(harness)._jobs._handles.clear()
    harness.end(parent)
    assert harness.platform.probe.sample(grandchild) is Liveness.ALIVE


@on_loop
async def test_orphans_of_a_forgotten_job_get_their_ancestors_number(harness: RealHarness) -> None:
    parent, grandchild = harness.family()
    for handle in control(harness)._jobs._handles.values():
        win32.CloseHandle(handle)
    control(harness)._jobs._handles.clear()
    harness.end(parent)
    harness.platform.processes.exit_status(parent)
    fresh = windows_platform()
    (row,) = [row for row in fresh.processes.table() if row.identity == grandchild]
    assert (row.session, row.parent) == (parent.pid, 0)
    assert not fresh.processes.is_unused(parent.pid)


@on_loop
async def test_orphans_do_not_join_a_later_root_with_the_same_pid(harness: RealHarness) -> None:
    later = harness.child()
    stray, jobs = strays(harness, later.pid)
    assert jobs.sessions({later.pid: later, stray.pid: stray}) == {later: later.pid}


@on_loop
async def test_reused_root_pid_without_a_job_keeps_the_session(
    harness: RealHarness,
) -> None:
    stray, jobs = strays(harness, harness.me.pid)
    assert jobs.sessions({harness.me.pid: harness.me, stray.pid: stray}) == {stray: harness.me.pid}


@on_loop
async def test_orphan_with_the_reused_root_pid_leads_no_session(harness: RealHarness) -> None:
    stray, jobs = strays(harness)
    assert jobs.sessions({stray.pid: stray}) == {}
    assert jobs.inhabited(stray.pid)


@on_loop
async def test_job_that_hides_its_members_counts_as_inhabited(
    harness: RealHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    stray, jobs = strays(harness, 4711)
    monkeypatch.setattr(win32, "QueryInformationJobObject", failing(win32.ERROR_ACCESS_DENIED))
    assert jobs.sessions({stray.pid: stray}) == {}
    assert jobs.inhabited(4711)
    monkeypatch.undo()
    assert jobs.sessions({stray.pid: stray}) == {stray: 4711}


@on_loop
async def test_unopenable_job_counts_as_a_job(harness: RealHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    stray, jobs = strays(harness, harness.me.pid)
    monkeypatch.setattr(win32, "OpenJobObject", failing(win32.ERROR_ACCESS_DENIED))
    with pytest.raises(PermissionError):
        jobs.leads(harness.me)
    assert jobs.sessions({harness.me.pid: harness.me, stray.pid: stray}) == {}


@on_loop
async def test_job_made_by_another_process_is_not_used(harness: RealHarness) -> None:
    child, root = harness.child(), ProcessIdentity(4, "5")
    theirs = win32.CreateJobObject(None, windows_jobs.name_of(root))
    with handles.opened(child.pid, spawn.CHILD_RIGHTS) as handle, pytest.raises(FileExistsError):
        windows_jobs.Jobs().enclose(handle, root)
    assert windows_jobs._members(theirs) == ()
    win32.CloseHandle(theirs)


@on_loop
async def test_membership_is_asked_with_the_limited_right(
    harness: RealHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    child, asked = harness.child(), []
    real = handles.open_handle

    def note(pid: int, access: int) -> int:
        asked.append(access)
        return real(pid, handles.QUERY)

    def inside(_process: int, _job: int, answer: Any) -> int:
        answer._obj.value = 1
        return 1

    monkeypatch.setattr(handles, "open_handle", note)
    monkeypatch.setattr(win32, "IsProcessInJob", inside)
    assert windows_jobs._contains(0, child)
    assert asked == [handles.QUERY]


@on_loop
async def test_a_child_that_cannot_be_enclosed_does_not_run(
    harness: RealHarness, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(win32, "AssignProcessToJobObject", lambda *_: 0)
    mark = tmp_path / "ran"
    with pytest.raises(OSError):  # noqa: PT011 (whatever the last error was)
        harness.platform.processes.spawn(
            ChildCommand((*PYTHON, f"open({str(mark)!r}, 'w')"), dict(os.environ), tmp_path, tmp_path / "log")
        )
    monkeypatch.undo()
    await asyncio.sleep(0)
    children = [row for row in harness.platform.processes.table() if row.parent == os.getpid()]
    assert not mark.exists()
    wait_until(
        lambda: not [row for row in children if harness.platform.probe.sample(row.identity) is Liveness.ALIVE],
        "nothing is left of it",
    )


def test_server_in_a_job_without_exit_gets_a_nested_job(tmp_path: Path) -> None:
    """Run in a separate process, which puts itself into a job that forbids leaving."""
    done = subprocess.run(
        [sys.executable, "-c", STRICT, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.split() == ["refused", "inside", "led"], done.stderr


STRICT = """
import asyncio, ctypes, os, subprocess, sys
from pathlib import Path
from supervisor.native.windows import win32
from supervisor.native.windows.processes import handles
from supervisor.native.api import ChildCommand
from supervisor.native.platforms import open_platform

folder = Path(sys.argv[1])
sleep = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
job = win32.CreateJobObject(None, None)
assert win32.AssignProcessToJobObject(job, win32.GetCurrentProcess())
try:
    subprocess.Popen(sleep, creationflags=subprocess.CREATE_BREAKAWAY_FROM_JOB)
except PermissionError:
    print("refused")

async def main():
    platform = open_platform()
    child = platform.processes.spawn(ChildCommand(tuple(sleep), dict(os.environ), folder, folder / "log"))
    inside = ctypes.c_int()
    with handles.opened(child.pid, 0x1400) as handle:
        win32.IsProcessInJob(handle, job, ctypes.byref(inside))
    print("inside" if inside.value else "outside")
    print("led" if any(row.session == child.pid for row in platform.processes.table()) else "not led")
    platform.processes.kill(child)

asyncio.run(main())
"""
