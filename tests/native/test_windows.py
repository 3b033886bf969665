"""Behaviour that only Windows has, and how it handles possible answers of Windows."""

import asyncio
import ctypes
import gc
import os
import subprocess
import sys
import time
import weakref
from ctypes import c_void_p, wintypes
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Liveness, ProcessIdentity
from supervisor.engine.logs.cap import CUT_MARK, cut
from supervisor.native import private_files
from supervisor.native.api import ChildCommand
from supervisor.native.platforms import parent_pid
from supervisor.native.shared import venv_launcher
from supervisor.native.windows import tokens, win32, win32_files
from supervisor.native.windows.processes import console, exits, handles, jobs, listing, parent, probe
from supervisor.native.windows.services import account
from supervisor.native.windows.system import WindowsPeerCheck
from tests.contract.platforms import PATIENCE_S, PYTHON, SLEEPER, RealHarness, harness_of, on_loop, until, wait_until
from tests.native.on_windows import failing, refusing


def deny(pid: int) -> None:
    """Deny every user to open this process, until the access list is changed again."""
    change_access(pid, "D:(D;;0x1fbfff;;;WD)(A;;WDRC;;;WD)")


def allow(pid: int) -> None:
    """Allow every user to open this process again."""
    change_access(pid, "D:(A;;GA;;;WD)")


def change_access(pid: int, list_of_access: str) -> None:
    advapi32 = ctypes.WinDLL("advapi32", use_last_error=True)
    change = advapi32.SetKernelObjectSecurity
    change.argtypes, change.restype = (wintypes.HANDLE, wintypes.DWORD, c_void_p), wintypes.BOOL
    descriptor = c_void_p()
    assert win32_files.ConvertStringSecurityDescriptor(
        list_of_access, win32_files.SDDL_REVISION_1, ctypes.byref(descriptor), None
    )
    write_dac = 0x00040000
    with handles.opened(pid, write_dac) as handle:
        assert change(handle, win32_files.DACL_SECURITY_INFORMATION, descriptor)
    win32_files.LocalFree(descriptor)


class TestProbe:
    @on_loop
    async def test_unopenable_process_is_known_by_the_process_list(self, harness: RealHarness) -> None:
        _, known = harness.family()
        deny(known.pid)
        with pytest.raises(PermissionError):
            handles.open_handle(known.pid, handles.QUERY)
        assert harness.platform.probe.identify(known.pid) == known
        assert harness.platform.probe.sample(known) is Liveness.ALIVE
        assert harness.platform.probe.sample(ProcessIdentity(known.pid, "4711")) is Liveness.DEAD
        assert harness.platform.probe.same_user(known) is None
        with pytest.raises(PermissionError):
            harness.platform.processes.kill(known)
        allow(known.pid)
        harness.end(known)

    def test_denied_and_unlisted_process_has_ended(self, harness: RealHarness, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(handles, "open_handle", refusing(win32.ERROR_ACCESS_DENIED))
        monkeypatch.setattr(listing, "processes", dict)
        assert harness.platform.probe.identify(4) is None
        assert harness.platform.probe.sample(ProcessIdentity(4, "1")) is Liveness.DEAD

    def test_denied_process_without_a_list_is_alive(
        self, harness: RealHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handles, "open_handle", refusing(win32.ERROR_ACCESS_DENIED))
        monkeypatch.setattr(listing, "processes", refusing(win32.ERROR_INVALID_PARAMETER))
        assert harness.platform.probe.sample(ProcessIdentity(4, "1")) is Liveness.ALIVE
        with pytest.raises(PermissionError):
            harness.platform.probe.identify(4)

    def test_other_refusals_leave_a_process_unknown(
        self, harness: RealHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(handles, "open_handle", refusing(8))
        assert harness.platform.probe.sample(harness.me) is Liveness.UNKNOWN

    def test_failed_wait_leaves_a_process_unknown(self, harness: RealHarness, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: object) -> int:
            ctypes.set_last_error(win32.ERROR_INVALID_HANDLE)
            return 0xFFFFFFFF

        monkeypatch.setattr(win32, "WaitForSingleObject", fail)
        assert harness.platform.probe.sample(harness.me) is Liveness.UNKNOWN

    def test_handle_without_a_process_is_an_error(self, harness: RealHarness, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(win32, "GetProcessId", failing(win32.ERROR_INVALID_HANDLE))
        assert harness.platform.probe.sample(harness.me) is Liveness.UNKNOWN

    def test_number_between_two_pids_has_no_identity(self, harness: RealHarness) -> None:
        for number in range(harness.me.pid + 1, harness.me.pid + 4):
            assert harness.platform.probe.identify(number) is None
            assert harness.platform.probe.sample(ProcessIdentity(number, harness.me.start_token)) is Liveness.DEAD
            assert not harness.platform.processes.kill(ProcessIdentity(number, harness.me.start_token))

    def test_handle_and_process_list_give_the_same_time(self, harness: RealHarness) -> None:
        listed = listing.processes()
        assert listed[os.getpid()].identity == harness.me
        started = harness.platform.probe.started_at(harness.me)
        assert started is not None
        assert 0 < time.time() - started < 3600

    def test_children_know_their_starter(self) -> None:
        ask = "from supervisor.native.platforms import parent_pid; print(parent_pid())"
        said = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True)
        assert int(said.stdout) == os.getpid()
        assert parent_pid() == parent.starter()

    def test_a_socket_tells_nothing_of_its_peer(self) -> None:
        import socket

        ours, theirs = socket.socketpair()
        with ours, theirs:
            assert not WindowsPeerCheck().same_user(ours)


class TestExits:
    @pytest.mark.parametrize("loop", [asyncio.SelectorEventLoop, asyncio.ProactorEventLoop])
    def test_an_end_wakes_either_loop(self, tmp_path: Path, loop: type[asyncio.AbstractEventLoop]) -> None:
        async def story() -> None:
            with harness_of("real", tmp_path) as harness:
                child = harness.child()
                ended = asyncio.Event()
                harness.platform.exits.watch(child, ended.set)
                harness.platform.processes.kill(child)
                await asyncio.wait_for(ended.wait(), PATIENCE_S)
                assert harness.platform.exits.note() is None

        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(story())

    @on_loop
    async def test_without_a_system_wait_polling_takes_over_with_a_note(
        self, harness: RealHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        child = harness.child()
        watcher = exits.WaitWatcher(harness.platform.probe, lambda _: None)
        monkeypatch.setattr(win32, "RegisterWaitForSingleObject", lambda *_: 0)
        ended = asyncio.Event()
        watcher.watch(child, ended.set)
        assert "polling" in (watcher.note() or "")
        harness.platform.processes.kill(child)
        await asyncio.wait_for(ended.wait(), PATIENCE_S)

    def test_a_program_that_ends_has_no_wait_registered(self) -> None:
        """Functions registered at exit run in reverse order: ours, registered before the watcher's, runs after it."""
        said = subprocess.run([sys.executable, "-c", LEAVING], capture_output=True, text=True, check=True)
        assert said.stdout.split() == ["1", "0"], said.stderr

    @on_loop
    async def test_more_processes_than_one_wait_can_hold_are_watched(self, harness: RealHarness) -> None:
        # WaitForMultipleObjects takes 64; this watches one process that often through as many watchers.
        child = harness.child()
        watchers = [exits.WaitWatcher(harness.platform.probe, lambda _: None) for _ in range(80)]
        told: list[int] = []
        for number, watcher in enumerate(watchers):
            watcher.watch(child, lambda number=number: told.append(number))
        harness.platform.processes.kill(child)
        await until(lambda: len(told) == len(watchers), "every one is told")
        assert sorted(told) == list(range(80))


class TestConsole:
    @on_loop
    async def test_a_request_is_sent_without_leaving_our_own_console(
        self, harness: RealHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        child = harness.child()
        monkeypatch.setattr(win32, "AttachConsole", failing(win32.ERROR_ACCESS_DENIED))
        assert await harness.platform.processes.ask_to_end(child)
        # Under Wine no handler runs, but the program ends.
        await until(lambda: harness.platform.probe.sample(child) is Liveness.DEAD, "it ends")

    @on_loop
    async def test_other_tasks_run_while_a_request_is_sent(self, harness: RealHarness) -> None:
        asking = asyncio.ensure_future(harness.platform.processes.ask_to_end(harness.child()))
        turns = 0
        while not asking.done():
            turns += 1
            await asyncio.sleep(0.001)
        assert asking.result()
        assert turns > 2, "a helper that is started takes longer than that"

    def test_process_without_console_cannot_be_asked(self, tmp_path: Path) -> None:
        mark = tmp_path / "mark"
        silent = subprocess.Popen(
            [*PYTHON, f"open({str(mark)!r}, 'w'); {SLEEPER}"], creationflags=subprocess.DETACHED_PROCESS
        )
        try:
            wait_until(mark.exists, "it runs")
            with pytest.raises(OSError) as refused:  # noqa: PT011 (the number is looked at)
                console.send_break(silent.pid)
            assert refused.value.winerror
            assert silent.poll() is None
        finally:
            silent.kill()
            silent.wait()

    def test_hanging_helper_is_ended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        hangs = (sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)")
        monkeypatch.setattr(venv_launcher, "replace_launcher", lambda *_: (hangs, dict(os.environ)))
        monkeypatch.setattr(console, "PATIENCE_S", 0.5)
        with pytest.raises(OSError, match="has not returned"):
            console.send_break(os.getpid())


LEAVING = """
import atexit, asyncio, os, sys
from supervisor.native.windows import win32

unregister, open_waits = win32.UnregisterWait, set()
register = win32.RegisterWaitForSingleObject

def registering(handle, *rest):
    done = register(handle, *rest)
    open_waits.add(handle._obj.value)
    return done

def unregistering(handle):
    open_waits.discard(handle.value)
    return unregister(handle)

win32.RegisterWaitForSingleObject, win32.UnregisterWait = registering, unregistering
atexit.register(lambda: print(len(open_waits)))

from supervisor.native.platforms import open_platform

async def main():
    platform = open_platform()
    platform.exits.watch(platform.probe.identify(os.getpid()), lambda: None)
    print(len(open_waits))
    return platform

platform = asyncio.run(main())
"""


class TestSpawn:
    @on_loop
    async def test_nothing_is_inherited_but_the_log(self, harness: RealHarness, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        with secret.open("w") as file:
            os.set_inheritable(file.fileno(), True)
            harness.child()
        # A process that had inherited the file would keep it from being removed.
        secret.unlink()

    @on_loop
    async def test_truncated_log_is_continued_at_its_end(self, harness: RealHarness, tmp_path: Path) -> None:
        log = tmp_path / "talk.log"
        talk = (
            "import sys\nfor line in range(2000): print('line', line)\nsys.stdout.flush()\n"
            "open(sys.argv[1], 'w').close()\nimport os, time\nwhile os.path.exists(sys.argv[1]): time.sleep(0.01)\n"
            "print('after the cut', flush=True)"
        )
        mark = tmp_path / "mark"
        command = ChildCommand((*PYTHON, talk, str(mark)), dict(os.environ), tmp_path, log)
        child = harness.platform.processes.spawn(command)
        await until(mark.exists, "it has talked")
        was, size = cut(log, 200)
        assert was > size
        # A program that checks for the file has it open for that moment.
        private_files.retry_while_open(mark.unlink)
        await until(lambda: harness.platform.processes.exit_status(child) is not None, "it ends")
        text = log.read_bytes()
        assert text.startswith(CUT_MARK)
        assert text.endswith(b"line 1999\r\nafter the cut\r\n")
        assert b"\0" not in text

    @on_loop
    async def test_interpreter_is_started_without_its_launcher(self, harness: RealHarness, tmp_path: Path) -> None:
        scripts = tmp_path / "venv" / "Scripts"
        scripts.mkdir(parents=True)
        (scripts / "python.exe").write_bytes(b"no program at all")
        (scripts.parent / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix)}\nversion = 3\n")
        say = "import sys; print(sys.prefix, sys.executable)"
        child = harness.platform.processes.spawn(
            ChildCommand((str(scripts / "python.exe"), "-I", "-c", say), dict(os.environ), tmp_path, tmp_path / "log")
        )
        await until(lambda: harness.platform.processes.exit_status(child) is not None, "it ends")
        prefix, executable = (tmp_path / "log").read_text().split()
        assert (Path(prefix), Path(executable)) == (scripts.parent, scripts / "python.exe")

    def test_program_without_a_folder_is_not_taken_from_this_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "pyvenv.cfg").write_text(f"home = {Path(sys.base_prefix)}\n")
        monkeypatch.chdir(tmp_path)
        for argv in (("python.exe", "-V"), (r".\python.exe", "-V"), (r"Scripts\python.exe", "-V")):
            assert venv_launcher.replace_launcher(argv, {"A": "b"}) == (argv, {"A": "b"})

    @pytest.mark.parametrize(("number", "tries"), [(win32.ERROR_ACCESS_DENIED, 2), (win32.ERROR_SHARING_VIOLATION, 1)])
    @on_loop
    async def test_child_stays_in_a_job_only_if_it_may_not_leave(
        self, harness: RealHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, tries: int
    ) -> None:
        asked: list[int] = []

        def refuse(*_: object, creationflags: int, **__: object) -> None:
            asked.append(creationflags & subprocess.CREATE_BREAKAWAY_FROM_JOB)
            raise PermissionError(13, "refused", "x", number)

        monkeypatch.setattr(subprocess, "Popen", refuse)
        with pytest.raises(PermissionError):
            harness.platform.processes.spawn(ChildCommand(("x",), {}, tmp_path, tmp_path / "log"))
        assert [bool(flag) for flag in asked] == [True, False][:tries]

    def test_command_outside_an_environment_is_unchanged(self, tmp_path: Path) -> None:
        for argv in (("python.exe", "-V"), (str(tmp_path / "Scripts" / "python.exe"),), (r"C:\x\toy.exe",)):
            assert venv_launcher.replace_launcher(argv, {"A": "b"}) == (argv, {"A": "b"})


def test_a_sid_is_read_before_its_memory_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    real, living = tokens._Sid, weakref.WeakSet[Any]()

    def note(process: int) -> Any:
        made = real(process)
        living.add(made)
        return made

    monkeypatch.setattr(tokens, "_Sid", note)
    monkeypatch.setattr(tokens, "sid_text", lambda _: str(len(living)))
    assert tokens.user_of(win32.GetCurrentProcess()) == "1"


@pytest.mark.parametrize(("sid", "name"), [("S-1-5-18", "LocalSystem"), ("S-1-5-21-1-2-3-1001", None)])
def test_the_accounts_of_the_machine_are_known_by_their_sids(
    monkeypatch: pytest.MonkeyPatch, sid: str, name: str | None
) -> None:
    assert account.refused_account() is None
    monkeypatch.setattr(tokens, "me", lambda: sid)
    assert account.refused_account() == name


def test_the_epoch_is_that_of_the_clock() -> None:
    assert probe.EPOCH_OFFSET_S == 134774 * 24 * 3600
    assert jobs.name_of(ProcessIdentity(4, "5")) == r"Local\godot-supervisor-4-5"


@on_loop
async def test_wait_may_outlive_its_watcher(harness: RealHarness) -> None:
    """The system calls back into memory that must exist, whatever Python has freed since."""
    child = harness.child()
    for _ in range(20):
        exits.WaitWatcher(harness.platform.probe, lambda _: None).watch(child, lambda: None)
    gc.collect()
    ended = asyncio.Event()
    harness.platform.exits.watch(child, ended.set)
    harness.platform.processes.kill(child)
    await asyncio.wait_for(ended.wait(), PATIENCE_S)
