"""What the Windows wing does beyond the contract, and what it makes of what Windows can answer."""

import asyncio
import ctypes
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from ctypes import c_void_p, wintypes
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Liveness, ProcessIdentity
from supervisor.engine.logcap import CUT_MARK, cut
from supervisor.native import (
    private,
    redirector,
    win32,
    windows_account,
    windows_births,
    windows_console,
    windows_exits,
    windows_handles,
    windows_jobs,
    windows_listing,
    windows_parent,
    windows_probe,
    windows_spawn,
    windows_tokens,
)
from supervisor.native.api import Command
from supervisor.native.windows import WindowsPeerCheck, WindowsProcessControl, windows_wing
from supervisor.native.windows_listing import Listed
from supervisor.native.wing import open_wing, parent_pid
from tests.contract.worlds import PATIENCE_S, PYTHON, SLEEPER, RealWorld, on_loop, until, wait_until, world_of


@pytest.fixture
def world(tmp_path: Path) -> Iterator[RealWorld]:
    with world_of("real", tmp_path) as made:
        assert isinstance(made, RealWorld)
        yield made


def control(world: RealWorld) -> WindowsProcessControl:
    assert isinstance(world.wing.processes, WindowsProcessControl)
    return world.wing.processes


def refusing(number: int) -> Callable[..., int]:
    """A system that refuses to open any process."""

    def refuse(*_: object) -> int:
        raise ctypes.WinError(number)

    return refuse


def failing(number: int) -> Callable[..., int]:
    """A function of Windows that fails."""

    def fail(*_: object) -> int:
        ctypes.set_last_error(number)
        return 0

    return fail


def strays(world: RealWorld, number: int = 0) -> tuple[ProcessIdentity, windows_jobs.Jobs]:
    """A process in the job of a root that has gone, and had this number (0: the process's own); and who knows of it."""
    parent, stray = world.family()
    jobs = windows_jobs.Jobs()
    jobs._handles[ProcessIdentity(number or stray.pid, "4711")] = control(world)._jobs._handles[parent]
    return stray, jobs


def deny(pid: int) -> None:
    """Nobody may open this process from now on, but who changes that again."""
    change_access(pid, "D:(D;;0x1fbfff;;;WD)(A;;WDRC;;;WD)")


def allow(pid: int) -> None:
    """Everybody may open it again."""
    change_access(pid, "D:(A;;GA;;;WD)")


def change_access(pid: int, list_of_access: str) -> None:
    advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)
    change = advapi32.SetKernelObjectSecurity
    change.argtypes, change.restype = (wintypes.HANDLE, wintypes.DWORD, c_void_p), wintypes.BOOL
    descriptor = c_void_p()
    assert win32.ConvertStringSecurityDescriptor(list_of_access, win32.SDDL_REVISION_1, ctypes.byref(descriptor), None)
    write_dac = 0x00040000
    with windows_handles.opened(pid, write_dac) as handle:
        assert change(handle, win32.DACL_SECURITY_INFORMATION, descriptor)
    win32.LocalFree(descriptor)


class TestProbe:
    @on_loop
    async def test_a_process_that_may_not_be_opened_is_known_by_the_list_of_all(self, world: RealWorld) -> None:
        _, known = world.family()
        deny(known.pid)
        with pytest.raises(PermissionError):
            windows_handles.open_raw(known.pid, windows_handles.ASK)
        assert world.wing.probe.identify(known.pid) == known
        assert world.wing.probe.sample(known) is Liveness.ALIVE
        assert world.wing.probe.sample(ProcessIdentity(known.pid, "4711")) is Liveness.DEAD
        assert world.wing.probe.same_user(known) is None
        with pytest.raises(PermissionError):
            world.wing.processes.kill(known)
        allow(known.pid)
        world.end(known)

    def test_what_is_denied_and_not_listed_has_ended(self, world: RealWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(windows_handles, "open_raw", refusing(win32.ERROR_ACCESS_DENIED))
        monkeypatch.setattr(windows_listing, "processes", dict)
        assert world.wing.probe.identify(4) is None
        assert world.wing.probe.sample(ProcessIdentity(4, "1")) is Liveness.DEAD

    def test_what_is_denied_and_cannot_be_compared_is_alive(
        self, world: RealWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(windows_handles, "open_raw", refusing(win32.ERROR_ACCESS_DENIED))
        monkeypatch.setattr(windows_listing, "processes", refusing(win32.ERROR_INVALID_PARAMETER))
        assert world.wing.probe.sample(ProcessIdentity(4, "1")) is Liveness.ALIVE
        with pytest.raises(PermissionError):
            world.wing.probe.identify(4)

    def test_any_other_refusal_leaves_it_unknown(self, world: RealWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(windows_handles, "open_raw", refusing(8))
        assert world.wing.probe.sample(world.me) is Liveness.UNKNOWN

    def test_a_wait_that_fails_leaves_it_unknown(self, world: RealWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> int:
            ctypes.set_last_error(win32.ERROR_INVALID_HANDLE)
            return 0xFFFFFFFF

        monkeypatch.setattr(win32, "WaitForSingleObject", fail)
        assert world.wing.probe.sample(world.me) is Liveness.UNKNOWN

    def test_a_number_between_two_pids_is_nobody(self, world: RealWorld) -> None:
        for number in range(world.me.pid + 1, world.me.pid + 4):
            assert world.wing.probe.identify(number) is None
            assert world.wing.probe.sample(ProcessIdentity(number, world.me.start_token)) is Liveness.DEAD
            assert not world.wing.processes.kill(ProcessIdentity(number, world.me.start_token))

    def test_both_routes_tell_the_same_time(self, world: RealWorld) -> None:
        listed = windows_listing.processes()
        assert listed[os.getpid()].identity == world.me
        started = world.wing.probe.started_at(world.me)
        assert started is not None
        assert 0 < time.time() - started < 3600

    def test_the_children_of_this_program_know_who_started_them(self) -> None:
        ask = "from supervisor.native.wing import parent_pid; print(parent_pid())"
        said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
        assert int(said.stdout) == os.getpid()
        assert parent_pid() == windows_parent.starter()

    def test_a_socket_tells_nothing_of_its_peer(self) -> None:
        import socket

        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert not WindowsPeerCheck().same_user(ours)


def listed(*rows: tuple[int, int, int]) -> dict[int, Listed]:
    """Processes by pid, parent and time of creation."""
    return {pid: Listed(pid, parent, created) for pid, parent, created in rows}


def parents(table: dict[int, Listed], sequences: Mapping[int, int | None]) -> dict[int, int]:
    return windows_listing.parents(table, lambda identity: sequences.get(identity.pid))


class TestParents:
    def test_who_came_before_in_the_sequence_is_the_parent_whatever_the_clock_said(self) -> None:
        table = listed((4, 0, 900), (8, 4, 10), (12, 8, 5))
        assert parents(table, {4: 1, 8: 2, 12: 3}) == {4: 0, 8: 4, 12: 8}

    def test_who_came_after_has_the_number_of_a_parent_that_has_gone(self) -> None:
        table = listed((4, 0, 10), (8, 4, 900))
        assert parents(table, {4: 7, 8: 2}) == {4: 0, 8: 0}
        assert parents(table, {4: 2, 8: 2}) == {4: 0, 8: 0}

    @pytest.mark.parametrize("told", [4, 8])
    def test_where_one_alone_is_told_nothing_is_proven(self, told: int) -> None:
        assert parents(listed((4, 0, 10), (8, 4, 20)), {told: 5}) == {4: 0, 8: 0}

    def test_where_neither_is_told_the_times_have_to_do(self) -> None:
        assert parents(listed((4, 0, 10), (8, 4, 20)), {})[8] == 4
        assert parents(listed((4, 0, 20), (8, 4, 10)), {})[8] == 0

    def test_the_number_of_a_lost_ancestor_that_another_has_by_now_is_not_told(self) -> None:
        table = listed((8, 4, 10), (12, 8, 11), (4, 0, 20))
        assert windows_listing.lost_ancestor(12, table, parents(table, {})) == 0
        del table[4]
        assert windows_listing.lost_ancestor(12, table, parents(table, {})) == 4


class Telemetry:
    """A Windows 10 that tells of every process what `facts` says; `refuses` is a status."""

    def __init__(self, facts: Mapping[str, int]) -> None:
        self.facts = facts
        self.refuses = 0
        self.needs_bytes = 0

    def __call__(self, _handle: int, what: int, answer: Any, size: int, needed: Any) -> int:
        assert what == 64
        needed._obj.value = max(self.needs_bytes, 104)
        if self.refuses or size < needed._obj.value:
            return self.refuses or -0x7FFFFFFB
        told = win32.ProcessTelemetryId.from_buffer(answer)
        for name, value in self.facts.items():
            setattr(told, name, value)
        return 0


class TestBirths:
    @pytest.fixture
    def telemetry(self, world: RealWorld, monkeypatch: pytest.MonkeyPatch) -> Telemetry:
        made = Telemetry({"pid": world.me.pid, "created": int(world.me.start_token), "sequence": 4711})
        monkeypatch.setattr(win32, "NtQueryInformationProcess", made)
        return made

    def test_the_facts_lie_where_windows_puts_them(self) -> None:
        told = win32.ProcessTelemetryId
        assert (told.pid.offset, told.created.offset, told.sequence.offset) == (4, 16, 40)

    def test_the_place_in_the_sequence_is_the_age(self, world: RealWorld, telemetry: Telemetry) -> None:
        telemetry.needs_bytes = 3 * windows_births.FIRST_GUESS_BYTES
        assert world.wing.probe.born(world.me) == 4711

    @pytest.mark.parametrize("wrong", [{"pid": 4}, {"created": 1}, {"sequence": 0}])
    def test_an_answer_that_is_not_proven_to_be_of_this_process_is_none(
        self, world: RealWorld, telemetry: Telemetry, wrong: dict[str, int]
    ) -> None:
        telemetry.facts = {**telemetry.facts, **wrong}
        assert world.wing.probe.born(world.me) is None

    def test_a_system_that_refuses_tells_nothing(self, world: RealWorld, telemetry: Telemetry) -> None:
        telemetry.refuses = -0x3FFFFFFD
        assert world.wing.probe.born(world.me) is None

    def test_of_nobody_nothing_is_told(self, world: RealWorld, telemetry: Telemetry) -> None:
        assert world.wing.probe.born(ProcessIdentity(world.me.pid, "1")) is None
        assert world.wing.probe.born(ProcessIdentity(0, "1")) is None
        assert telemetry.facts

    @pytest.mark.needs_real_windows
    def test_windows_tells(self, world: RealWorld) -> None:
        assert world.wing.probe.born(world.me) is not None

    @on_loop
    async def test_a_descendant_that_only_the_clock_calls_younger_is_none(
        self, world: RealWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parent, child = world.family()
        sequences = {parent: 8, child: 7}
        monkeypatch.setattr(windows_births, "sequence", sequences.get)
        (row,) = [row for row in world.wing.processes.table() if row.identity == child]
        assert row.parent == 0


class TestExits:
    @pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, asyncio.ProactorEventLoop])
    def test_an_end_wakes_either_loop(self, tmp_path: Path, loop: type[asyncio.AbstractEventLoop]) -> None:
        async def story() -> None:
            with world_of("real", tmp_path) as world:
                child = world.child()
                ended = asyncio.Event()
                world.wing.exits.watch(child, ended.set)
                world.wing.processes.kill(child)
                await asyncio.wait_for(ended.wait(), PATIENCE_S)
                assert world.wing.exits.note() is None

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(story())

    @on_loop
    async def test_where_no_wait_can_be_registered_a_poll_takes_over_and_says_so(
        self, world: RealWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        child = world.child()
        watcher = windows_exits.WaitWatcher(world.wing.probe, lambda _: None)
        monkeypatch.setattr(win32, "RegisterWaitForSingleObject", lambda *_: 0)
        ended = asyncio.Event()
        watcher.watch(child, ended.set)
        assert "polling" in (watcher.note() or "")
        world.wing.processes.kill(child)
        await asyncio.wait_for(ended.wait(), PATIENCE_S)

    @on_loop
    async def test_more_processes_than_one_wait_can_hold_are_watched(self, world: RealWorld) -> None:
        # WaitForMultipleObjects takes 64; this watches one process that often through as many watchers.
        child = world.child()
        watchers = [windows_exits.WaitWatcher(world.wing.probe, lambda _: None) for _ in range(80)]
        told: list[int] = []
        for number, watcher in enumerate(watchers):
            watcher.watch(child, lambda number=number: told.append(number))
        world.wing.processes.kill(child)
        await until(lambda: len(told) == len(watchers), "every one is told")
        assert sorted(told) == list(range(80))


class TestJobs:
    @on_loop
    async def test_the_next_daemon_finds_the_tree_by_the_name_of_its_job(self, world: RealWorld) -> None:
        parent, grandchild = world.family()
        rows = {row.identity: row for row in open_wing().processes.table()}
        assert rows[parent].session == rows[grandchild].session == parent.pid

    @on_loop
    async def test_a_job_ends_nobody_when_its_handles_are_closed(self, world: RealWorld) -> None:
        parent, grandchild = world.family()
        for handle in control(world)._jobs._handles.values():
            win32.CloseHandle(handle)
        control(world)._jobs._handles.clear()
        world.end(parent)
        assert world.wing.probe.sample(grandchild) is Liveness.ALIVE

    @on_loop
    async def test_what_a_forgotten_job_leaves_has_the_number_of_its_lost_ancestor(self, world: RealWorld) -> None:
        parent, grandchild = world.family()
        for handle in control(world)._jobs._handles.values():
            win32.CloseHandle(handle)
        control(world)._jobs._handles.clear()
        world.end(parent)
        world.wing.processes.exit_status(parent)
        fresh = windows_wing()
        (row,) = [row for row in fresh.processes.table() if row.identity == grandchild]
        assert (row.session, row.parent) == (parent.pid, 0)
        assert not fresh.processes.vacant(parent.pid)

    @on_loop
    async def test_what_an_earlier_root_left_is_no_part_of_a_later_one_with_its_number(self, world: RealWorld) -> None:
        later = world.child()
        stray, jobs = strays(world, later.pid)
        assert jobs.sessions({later.pid: later, stray.pid: stray}) == {later: later.pid}

    @on_loop
    async def test_a_number_that_somebody_without_a_job_has_by_now_is_still_that_of_what_was_left(
        self, world: RealWorld
    ) -> None:
        stray, jobs = strays(world, world.me.pid)
        assert jobs.sessions({world.me.pid: world.me, stray.pid: stray}) == {stray: world.me.pid}

    @on_loop
    async def test_who_was_left_and_has_the_number_of_the_root_by_now_leads_nobody(self, world: RealWorld) -> None:
        stray, jobs = strays(world)
        assert jobs.sessions({stray.pid: stray}) == {}
        assert jobs.inhabited(stray.pid)

    @on_loop
    async def test_a_job_that_does_not_tell_who_is_in_it_is_kept_and_may_be_inhabited(
        self, world: RealWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stray, jobs = strays(world, 4711)
        monkeypatch.setattr(win32, "QueryInformationJobObject", failing(win32.ERROR_ACCESS_DENIED))
        assert jobs.sessions({stray.pid: stray}) == {}
        assert jobs.inhabited(4711)
        monkeypatch.undo()
        assert jobs.sessions({stray.pid: stray}) == {stray: 4711}

    @on_loop
    async def test_a_job_that_may_not_be_opened_is_a_job(
        self, world: RealWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stray, jobs = strays(world, world.me.pid)
        monkeypatch.setattr(win32, "OpenJobObject", failing(win32.ERROR_ACCESS_DENIED))
        with pytest.raises(PermissionError):
            jobs.leads(world.me)
        assert jobs.sessions({world.me.pid: world.me, stray.pid: stray}) == {}

    @on_loop
    async def test_a_job_that_somebody_else_has_made_is_not_used(self, world: RealWorld) -> None:
        child, root = world.child(), ProcessIdentity(4, "5")
        theirs = win32.CreateJobObject(None, windows_jobs.name_of(root))
        with windows_handles.opened(child.pid, windows_spawn.MANAGE) as handle, pytest.raises(FileExistsError):
            windows_jobs.Jobs().enclose(handle, root)
        assert windows_jobs._members(theirs) == ()
        win32.CloseHandle(theirs)

    @on_loop
    async def test_a_member_is_asked_with_the_right_that_also_an_elevated_process_gives(
        self, world: RealWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        child, asked = world.child(), []
        real = windows_handles.open_raw

        def note(pid: int, access: int) -> int:
            asked.append(access)
            return real(pid, windows_handles.ASK)

        def inside(_process: int, _job: int, answer: Any) -> int:
            answer._obj.value = 1
            return 1

        monkeypatch.setattr(windows_handles, "open_raw", note)
        monkeypatch.setattr(win32, "IsProcessInJob", inside)
        assert windows_jobs._contains(0, child)
        assert asked == [windows_handles.ASK]

    def test_a_handle_without_a_process_is_an_error(self, world: RealWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(win32, "GetProcessId", failing(win32.ERROR_INVALID_HANDLE))
        assert world.wing.probe.sample(world.me) is Liveness.UNKNOWN

    @on_loop
    async def test_a_child_that_cannot_be_enclosed_does_not_run(
        self, world: RealWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(win32, "AssignProcessToJobObject", lambda *_: 0)
        mark = tmp_path / "ran"
        with pytest.raises(OSError):  # noqa: PT011 (whatever the last error was)
            world.wing.processes.spawn(
                Command((*PYTHON, f"open({str(mark)!r}, 'w')"), dict(os.environ), tmp_path, tmp_path / "log")
            )
        monkeypatch.undo()
        await asyncio.sleep(0)
        children = [row for row in world.wing.processes.table() if row.parent == os.getpid()]
        assert not mark.exists()
        wait_until(
            lambda: not [row for row in children if world.wing.probe.sample(row.identity) is Liveness.ALIVE],
            "nothing is left of it",
        )

    def test_where_a_job_may_not_be_left_the_server_is_in_one_within_it(self, tmp_path: Path) -> None:
        """In a process of its own, which puts itself into a job that forbids leaving."""
        done = subprocess.run(
            [sys.executable, "-c", STRICT, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout.split() == ["refused", "inside", "led"], done.stderr


class TestConsole:
    @on_loop
    async def test_a_request_is_sent_without_leaving_our_own_console(
        self, world: RealWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        child = world.child()
        monkeypatch.setattr(win32, "AttachConsole", failing(win32.ERROR_ACCESS_DENIED))
        assert world.wing.processes.ask_to_end(child)
        # Under Wine no handler runs, but the program ends.
        await until(lambda: world.wing.probe.sample(child) is Liveness.DEAD, "it ends")

    def test_what_has_no_console_cannot_be_asked(self, tmp_path: Path) -> None:
        mark = tmp_path / "mark"
        silent = subprocess.Popen(
            [*PYTHON, f"open({str(mark)!r}, 'w'); {SLEEPER}"], creationflags=subprocess.DETACHED_PROCESS
        )
        try:
            wait_until(mark.exists, "it runs")
            with pytest.raises(OSError) as refused:  # noqa: PT011 (the number is looked at)
                windows_console.send_break(silent.pid)
            assert refused.value.winerror
            assert silent.poll() is None
        finally:
            silent.kill()
            silent.wait()

    def test_a_helper_that_does_not_come_back_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hangs = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)")
        monkeypatch.setattr(redirector, "without", lambda *_: (hangs, dict(os.environ)))
        monkeypatch.setattr(windows_console, "PATIENCE_S", 0.5)
        with pytest.raises(OSError, match="has not come back"):
            windows_console.send_break(os.getpid())


STRICT = """
import asyncio, ctypes, os, subprocess, sys
from pathlib import Path
from supervisor.native import win32, windows_handles
from supervisor.native.api import Command
from supervisor.native.wing import open_wing

folder = Path(sys.argv[1])
sleep = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"]
job = win32.CreateJobObject(None, None)
assert win32.AssignProcessToJobObject(job, win32.GetCurrentProcess())
try:
    subprocess.Popen(sleep, creationflags=subprocess.CREATE_BREAKAWAY_FROM_JOB)
except PermissionError:
    print("refused")

async def main():
    wing = open_wing()
    child = wing.processes.spawn(Command(tuple(sleep), dict(os.environ), folder, folder / "log"))
    inside = ctypes.c_int()
    with windows_handles.opened(child.pid, 0x1400) as handle:
        win32.IsProcessInJob(handle, job, ctypes.byref(inside))
    print("inside" if inside.value else "outside")
    print("led" if any(row.session == child.pid for row in wing.processes.table()) else "not led")
    wing.processes.kill(child)

asyncio.run(main())
"""


class TestSpawn:
    @on_loop
    async def test_nothing_is_inherited_but_the_log(self, world: RealWorld, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        with secret.open("w") as file:
            os.set_inheritable(file.fileno(), True)
            world.child()
        # Whoever had inherited it would keep it from being removed.
        secret.unlink()

    @on_loop
    async def test_a_log_that_was_cut_is_written_on_at_its_end(self, world: RealWorld, tmp_path: Path) -> None:
        log = tmp_path / "talk.log"
        talk = (
            "import sys\nfor line in range(2000): print('line', line)\nsys.stdout.flush()\n"
            "open(sys.argv[1], 'w').close()\nimport os, time\nwhile os.path.exists(sys.argv[1]): time.sleep(0.01)\n"
            "print('after the cut', flush=True)"
        )
        mark = tmp_path / "mark"
        command = Command((*PYTHON, talk, str(mark)), dict(os.environ), tmp_path, log)
        child = world.wing.processes.spawn(command)
        await until(mark.exists, "it has talked")
        was, size = cut(log, 200)
        assert was > size
        # Whoever looks whether it is there has it open for that moment.
        private.patiently(mark.unlink)
        await until(lambda: world.wing.processes.exit_status(child) is not None, "it ends")
        text = log.read_bytes()
        assert text.startswith(CUT_MARK)
        assert text.endswith(b"line 1999\r\nafter the cut\r\n")
        assert b"\0" not in text

    @on_loop
    async def test_the_interpreter_runs_and_not_its_redirector(self, world: RealWorld, tmp_path: Path) -> None:
        scripts = tmp_path / "venv" / "Scripts"
        scripts.mkdir(parents=True)
        (scripts / "python.exe").write_bytes(b"no program at all")
        (scripts.parent / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix)}\nversion = 3\n")
        say = "import sys; print(sys.prefix, sys.executable)"
        child = world.wing.processes.spawn(
            Command((str(scripts / "python.exe"), "-I", "-c", say), dict(os.environ), tmp_path, tmp_path / "log")
        )
        await until(lambda: world.wing.processes.exit_status(child) is not None, "it ends")
        prefix, executable = (tmp_path / "log").read_text().split()
        assert (Path(prefix), Path(executable)) == (scripts.parent, scripts / "python.exe")

    def test_an_environment_around_this_folder_is_not_that_of_a_program_without_a_folder(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix)}\n")
        monkeypatch.chdir(tmp_path)
        for argv in (("python.exe", "-V"), (r".\python.exe", "-V"), (r"Scripts\python.exe", "-V")):
            assert redirector.without(argv, {"A": "b"}) == (argv, {"A": "b"})

    @pytest.mark.parametrize(("number", "tries"), [(win32.ERROR_ACCESS_DENIED, 2), (win32.ERROR_SHARING_VIOLATION, 1)])
    @on_loop
    async def test_only_who_may_not_leave_a_job_is_started_within_it(
        self, world: RealWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, tries: int
    ) -> None:
        asked: list[int] = []

        def refuse(*_: object, creationflags: int, **__: object) -> None:
            asked.append(creationflags & subprocess.CREATE_BREAKAWAY_FROM_JOB)
            raise PermissionError(13, "refused", "x", number)

        monkeypatch.setattr(subprocess, "Popen", refuse)
        with pytest.raises(PermissionError):
            world.wing.processes.spawn(Command(("x",), {}, tmp_path, tmp_path / "log"))
        assert [bool(flag) for flag in asked] == [True, False][:tries]

    def test_what_is_no_environment_is_run_as_it_is(self, tmp_path: Path) -> None:
        for argv in (("python.exe", "-V"), (str(tmp_path / "Scripts" / "python.exe"),), (r"C:\x\toy.exe",)):
            assert redirector.without(argv, {"A": "b"}) == (argv, {"A": "b"})


@pytest.mark.parametrize(("sid", "name"), [("S-1-5-18", "LocalSystem"), ("S-1-5-21-1-2-3-1001", None)])
def test_the_accounts_of_the_machine_are_known_by_their_sids(
    monkeypatch: pytest.MonkeyPatch, sid: str, name: str | None
) -> None:
    assert windows_account.refused_account() is None
    monkeypatch.setattr(windows_tokens, "me", lambda: sid)
    assert windows_account.refused_account() == name


def test_the_epoch_is_that_of_the_clock() -> None:
    assert windows_probe.EPOCH_OFFSET_S == 134774 * 24 * 3600
    assert windows_jobs.name_of(ProcessIdentity(4, "5")) == r"Local\godot-supervisor-4-5"


@on_loop
async def test_a_wait_outlives_whoever_registered_it_without_harm(world: RealWorld) -> None:
    """The system calls back into memory that has to be there, whatever Python has thrown away since."""
    child = world.child()
    for _ in range(20):
        windows_exits.WaitWatcher(world.wing.probe, lambda _: None).watch(child, lambda: None)
    gc.collect()
    ended = asyncio.Event()
    world.wing.exits.watch(child, ended.set)
    world.wing.processes.kill(child)
    await asyncio.wait_for(ended.wait(), PATIENCE_S)
