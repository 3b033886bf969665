"""Parsing /proc."""

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from supervisor.native.linux.probe import LinuxProbe
from supervisor.native.linux.system import procfs

pytestmark = pytest.mark.linux_only

REST = b" S 1 2 3 0 -1 4194560 5 6 7 8 9 10 11 12 20 0 4 0 987654 13 14"


@pytest.mark.parametrize("name", [b"godot", b"a b", b") R 9", b"((", b"x) Z 1 (y", b""])
def test_a_program_may_have_any_name(name: bytes) -> None:
    stat = procfs.parse_stat(b"4711 (" + name + b")" + REST)
    assert stat == procfs.Stat(state="S", parent=1, session=3, threads=4, ticks=987654, flags=4194560)
    assert not stat.ended


@pytest.mark.parametrize("line", [b"", b"4711 (godot) S 1 2", b"4711 (godot) S x" + REST])
def test_line_in_another_format_is_an_error(line: bytes) -> None:
    with pytest.raises(OSError, match="not understood"):
        procfs.parse_stat(line)


@pytest.mark.parametrize(
    ("state", "threads", "ended"), [("Z", 1, True), ("X", 0, True), ("Z", 2, False), ("D", 1, False)]
)
def test_a_zombie_has_ended_when_its_last_thread_has(state: str, threads: int, ended: bool) -> None:  # noqa: FBT001
    assert procfs.Stat(state, 1, 1, threads, 1).ended is ended


def test_a_command_line_keeps_empty_and_undecodable_words() -> None:
    # The program prints after exec, so its command line is complete then.
    argv = ["sh", "-c", "echo; read line", "", "b\udcff"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        seen = procfs.command_line(shell.pid)
    assert seen == ("sh", "-c", "echo; read line", "", "b\ufffd")
    assert procfs.command_line(procfs.PID_MAX) == ()


def test_only_sockets_are_found_among_descriptors(tmp_path: Path) -> None:
    with socket.socket() as one, (tmp_path / "file").open("w") as file:
        inodes = procfs.socket_inodes(os.getpid())
        assert os.fstat(one.fileno()).st_ino in inodes
        assert os.fstat(file.fileno()).st_ino not in inodes
    assert procfs.socket_inodes(procfs.PID_MAX) == frozenset()


TOLD = """
import ctypes, os, sys, time
line = open("/proc/self/stat").read()
start, end = (int(word) for word in line[line.rfind(")") + 1:].split()[47:49])
libc = ctypes.CDLL(None)
page = (start // 4096 + 1) * 4096
{deed}
print(flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    "deed",
    [
        # PROT_NONE makes a page unreadable, like one that is being swapped in from a failing disk.
        pytest.param("assert libc.mprotect(ctypes.c_void_p(page), 4096, 0) == 0", id="a page cannot be read"),
        pytest.param("ctypes.memset(start, 0, end - start - 64)", id="overwritten with zeros"),
        pytest.param("ctypes.memset(start, 32, (end - start) // 2)", id="overwritten with a title"),
    ],
)
def test_partly_read_environment_raises(deed: str) -> None:
    environment = {**os.environ, **{f"PADDING_{number}": "x=" * 500 for number in range(12)}}
    argv = [sys.executable, "-I", "-S", "-c", TOLD.format(deed=deed)]
    with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            with pytest.raises(BlockingIOError, match="as a whole"):
                procfs.variable(child.pid, "NOT_SET")
        finally:
            child.kill()


def test_process_without_environment_has_no_variable() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "echo; read line"], env={}, stdin=-1, stdout=-1) as shell:
        assert shell.stdout is not None
        shell.stdout.readline()
        assert procfs.variable(shell.pid, "NOT_SET") is None


def test_a_thread_belongs_to_its_process() -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        assert thread.native_id is not None
        assert procfs.thread_group(thread.native_id) == os.getpid()
        assert procfs.thread_group(os.getpid()) == os.getpid()
    finally:
        done.set()
        thread.join()


def test_control_group_shows_a_process_started_for_a_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.getpid()
    assert not procfs.started_for_a_sandbox(me)
    groups = Path("/proc/self/cgroup").read_bytes().strip()
    monkeypatch.setattr(procfs, "SANDBOX_HELPER", groups[-2:])
    assert procfs.started_for_a_sandbox(me)
    probe = LinuxProbe()
    identity = probe.identify(me)
    assert identity is not None
    assert probe.same_namespace(identity) is None


def test_sandbox_question_about_a_missing_process_raises() -> None:
    with pytest.raises(FileNotFoundError):
        procfs.started_for_a_sandbox(procfs.PID_MAX)
