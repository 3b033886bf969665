"""The platform of macOS on an in-memory macOS. Tests that need the real one are marked `needs_macos`."""

import asyncio
import ctypes
import os
import resource
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Bind, Liveness, ProcessIdentity
from supervisor.native import trust
from supervisor.native.darwin import libproc, system
from supervisor.native.darwin.ports import ANOTHER_USER, DarwinPortTable, lsof_listeners
from supervisor.native.darwin.probe import PID_MAX, DarwinProbe, is_pid
from supervisor.native.darwin.system import DarwinPeerCheck, DarwinProcessControl
from supervisor.native.platforms import open_platform
from supervisor.native.posix import kqueue
from supervisor.native.posix import processes as posix
from supervisor.native.posix.kqueue import KqueueWatcher
from tests.contract.platforms import PATIENCE_S, on_loop, unix_connection, until
from tests.native.macos import BEGAN, ME, Fact, Mac

EDITOR = 200
FOREIGN = 54321


@pytest.fixture
def mac() -> Mac:
    made = Mac()
    made.processes[EDITOR] = Fact(BEGAN + 1)
    return made


@pytest.fixture
def probe(mac: Mac) -> DarwinProbe:
    return DarwinProbe(mac.psutil, mac.birth_of)


def identity(probe: DarwinProbe, pid: int = EDITOR) -> ProcessIdentity:
    found = probe.identify(pid)
    assert found is not None
    return found


def test_start_token_is_the_microsecond_of_the_start(probe: DarwinProbe) -> None:
    assert identity(probe) == ProcessIdentity(EDITOR, "1700000001123456")
    assert probe.started_at(identity(probe)) == pytest.approx(BEGAN + 1)


def test_zombie_recycled_pid_and_missing_process_are_dead(mac: Mac, probe: DarwinProbe) -> None:
    editor = identity(probe)
    assert probe.sample(editor) is Liveness.ALIVE
    mac.processes[EDITOR].began += 0.000001
    assert probe.sample(editor) is Liveness.DEAD
    mac.processes[EDITOR] = Fact(BEGAN + 1, status="zombie")
    assert probe.sample(editor) is Liveness.DEAD
    assert probe.identify_child(EDITOR) == editor
    del mac.processes[EDITOR]
    assert probe.sample(editor) is Liveness.DEAD
    assert probe.describe(EDITOR).identity is None


@pytest.mark.parametrize("pid", [0, -1, PID_MAX + 1, 2**80])
def test_impossible_pid_has_no_identity(probe: DarwinProbe, pid: int) -> None:
    assert probe.identify(pid) is None


def test_untold_process_is_unknown_and_never_dead(mac: Mac, probe: DarwinProbe) -> None:
    editor = identity(probe)

    def denied(_pid: int) -> None:
        raise mac.psutil.AccessDenied

    mac.psutil.Process = denied
    assert probe.sample(editor) is Liveness.UNKNOWN
    assert probe.same_user(editor) is None
    with pytest.raises(PermissionError):
        probe.identify(EDITOR)


def test_environment_of_another_users_process_is_hidden(mac: Mac, probe: DarwinProbe) -> None:
    mac.processes[EDITOR] = Fact(BEGAN, uid=FOREIGN, words=("python3",), environment={"TOKEN": "x"})
    described = probe.describe(EDITOR)
    assert (described.command, described.user) == (("python3",), str(FOREIGN))
    assert probe.same_user(identity(probe)) is False
    with pytest.raises(PermissionError):
        probe.variable(identity(probe), "TOKEN")


def test_age_is_compared_by_a_clock_that_cannot_be_set(mac: Mac, probe: DarwinProbe) -> None:
    mac.processes[300] = Fact(BEGAN - 3600, ticks=2000)
    older, younger = identity(probe), identity(probe, 300)
    assert (probe.creation_order(older), probe.creation_order(younger)) == (1000, 2000)
    mac.processes[EDITOR].ticks = None
    assert probe.creation_order(older) is None
    assert probe.creation_order(ProcessIdentity(300, older.start_token)) is None, "the number is another's"
    assert probe.creation_order(ProcessIdentity(2**40, "1")) is None


def test_libproc_fills_the_field_that_its_header_names() -> None:
    def proc_pid_rusage(pid: int, flavour: int, usage: Any) -> int:
        assert flavour == 0
        ctypes.memmove(ctypes.addressof(usage._obj) + 80, struct.pack("=QQ", 4711, 0), 16)
        return 0 if pid == EDITOR else -1

    assert ctypes.sizeof(libproc.RusageInfo) == 96
    birth_of = libproc.births(proc_pid_rusage)
    assert (birth_of(EDITOR), birth_of(300)) == (4711, None)


@pytest.mark.linux_only
def test_without_libproc_the_start_is_unknown() -> None:
    assert libproc.open_libproc()(os.getpid()) is None


def test_a_variable_is_that_of_exactly_this_process(mac: Mac, probe: DarwinProbe) -> None:
    mac.processes[EDITOR].environment["TOKEN"] = "x"
    editor = identity(probe)
    assert probe.variable(editor, "TOKEN") == "x"
    assert probe.variable(editor, "OTHER") is None
    mac.processes[EDITOR].began += 1
    with pytest.raises(PermissionError):
        probe.variable(editor, "TOKEN")


def test_empty_environment_counts_as_hidden(mac: Mac, probe: DarwinProbe) -> None:
    mac.processes[EDITOR].environment.clear()
    with pytest.raises(PermissionError):
        probe.variable(identity(probe), "TOKEN")


def kqueue_watcher(mac: Mac, probe: DarwinProbe) -> tuple[KqueueWatcher, list[ProcessIdentity]]:
    collected: list[ProcessIdentity] = []
    return KqueueWatcher(probe, collected.append, mac.select, is_pid), collected


@on_loop
async def test_exit_is_reported_once_per_watch_with_its_status() -> None:
    mac = Mac()
    mac.processes[EDITOR] = Fact()
    probe = DarwinProbe(mac.psutil, mac.birth_of)
    exits, collected = kqueue_watcher(mac, probe)
    calls: list[str] = []
    editor = identity(probe)
    exits.watch(editor, lambda: calls.append(f"first {len(collected)}"))
    second = exits.watch(editor, lambda: calls.append("second"))
    closed = exits.watch(editor, lambda: calls.append("closed"))
    closed.close()
    closed.close()
    mac.end(EDITOR)
    await until(lambda: len(calls) > 1, "both are called")
    second.close()
    assert calls == ["first 1", "second"]
    assert mac.queues[0].closed
    assert exits.note() is None


@on_loop
async def test_process_that_ended_before_its_watch_is_reported_later() -> None:
    mac = Mac()
    mac.processes[EDITOR] = Fact()
    probe = DarwinProbe(mac.psutil, mac.birth_of)
    exits, _ = kqueue_watcher(mac, probe)
    editor = identity(probe)
    # The number has been given to another process: it is registered, and rejected by the verification.
    mac.processes[EDITOR] = Fact(BEGAN + 5)
    calls: list[str] = []
    exits.watch(editor, lambda: calls.append("recycled"))
    exits.watch(ProcessIdentity(300, "1"), lambda: calls.append("never was"))
    exits.watch(ProcessIdentity(2**40, "1"), lambda: calls.append("no pid"))
    assert calls == []
    await until(lambda: len(calls) > 2, "all are called")
    assert sorted(calls) == ["never was", "no pid", "recycled"]


@on_loop
async def test_early_exit_event_counts_once_the_process_can_be_waited_for() -> None:
    mac = Mac()
    mac.processes[EDITOR] = Fact()
    probe = DarwinProbe(mac.psutil, mac.birth_of)
    exits, _ = kqueue_watcher(mac, probe)
    calls: list[str] = []
    exits.watch(identity(probe), lambda: calls.append("ended"))
    mac.tell(EDITOR)
    await until(lambda: not mac.queues[0].registered, "the event was taken")
    await asyncio.sleep(0)
    assert calls == []
    mac.end(EDITOR, zombie=True, silently=True)
    await until(lambda: calls, "it is told")


@on_loop
async def test_unwatchable_process_has_ended_once_it_can_be_waited_for() -> None:
    mac = Mac()
    mac.processes[EDITOR] = Fact()
    mac.leaving.add(EDITOR)
    probe = DarwinProbe(mac.psutil, mac.birth_of)
    exits, collected = kqueue_watcher(mac, probe)
    calls: list[str] = []
    exits.watch(identity(probe), lambda: calls.append("ended"))
    await asyncio.sleep(kqueue.SETTLE_EVERY_S * 3)
    assert (calls, collected) == ([], [])
    mac.end(EDITOR, zombie=True, silently=True)
    await until(lambda: calls, "it is told")


@on_loop
async def test_without_a_kernel_queue_polling_takes_over_with_a_note() -> None:
    mac = Mac()
    mac.processes[EDITOR] = Fact()
    mac.refuses = OSError(24, "Too many open files")
    probe = DarwinProbe(mac.psutil, mac.birth_of)
    exits, _ = kqueue_watcher(mac, probe)
    exits._polling._interval_s = 0.05
    ended = asyncio.Event()
    exits.watch(identity(probe), ended.set)
    assert "polling" in (exits.note() or "")
    assert "Too many open files" in (exits.note() or "")
    mac.end(EDITOR)
    await asyncio.wait_for(ended.wait(), PATIENCE_S)


class Connection:
    """A unix socket whose kernel answers like that of macOS."""

    def __init__(self, credentials: bytes | OSError) -> None:
        self._credentials = credentials

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option, size) == (0, 1, 76)
        if isinstance(self._credentials, OSError):
            raise self._credentials
        return self._credentials


def xucred(version: int, uid: int) -> bytes:
    return struct.pack("IIh2x16I", version, uid, 1, *[20] * 16)


def told(credentials: bytes | OSError) -> Any:
    return Connection(credentials)


def same_user(credentials: bytes | OSError) -> bool:
    return DarwinPeerCheck().same_user(told(credentials))


def test_client_checks_its_peer_as_the_daemon_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust, "SYSTEM", "macos")
    assert trust.same_user(told(xucred(0, os.getuid())))
    assert not trust.same_user(told(xucred(0, os.getuid() + 1)))


def test_peer_is_recognised_by_its_credentials_only() -> None:
    assert len(xucred(0, 0)) == trust.XUCRED_SIZE
    assert same_user(xucred(0, os.getuid()))
    assert trust.peer_uid(told(xucred(0, 2**32 - 2)), "macos") == 2**32 - 2
    assert not same_user(xucred(0, os.getuid() + 1))
    assert not same_user(xucred(1, os.getuid()))
    assert not same_user(b"")
    assert not same_user(OSError(57, "Socket is not connected"))


def taken() -> tuple[socket.socket, int]:
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    return listener, listener.getsockname()[1]


def table(mac: Mac, asked: list[int], *found: int) -> DarwinPortTable:
    def lsof(port: int) -> tuple[int, ...]:
        asked.append(port)
        return found

    return DarwinPortTable(DarwinProbe(mac.psutil, mac.birth_of), mac.psutil, lsof)


def test_lsof_is_asked_only_for_ports_that_no_own_process_has(mac: Mac) -> None:
    listener, port = taken()
    other, second = taken()
    asked: list[int] = []
    mac.processes[EDITOR].sockets = (("127.0.0.1", port, "LISTEN"), ("127.0.0.1", 4, "ESTABLISHED"))
    mac.processes[201] = Fact(hides=True, sockets=(("127.0.0.1", second, "LISTEN"),))
    mac.processes[202] = Fact(status="zombie")
    with listener, other:
        facts = table(mac, asked, 201).facts([port, second])
    assert asked == [second]
    assert [each.occupant.pid for each in facts[port].listeners] == [EDITOR]
    assert [each.occupant.pid for each in facts[second].listeners] == [201]
    assert {fact.bind for fact in facts.values()} == {Bind.TAKEN}


def test_untold_port_belongs_to_another_user_and_is_not_guessed(mac: Mac) -> None:
    listener, port = taken()
    with listener:
        (listed,) = table(mac, []).facts([port])[port].listeners
    assert (listed.occupant.identity, listed.occupant.user) == (None, ANOTHER_USER)


def test_free_port_needs_no_query_of_processes(mac: Mac) -> None:
    listener, port = taken()
    listener.close()
    asked: list[int] = []
    fact = table(mac, asked).facts([port])[port]
    assert (fact.bind, fact.listeners, asked) == (Bind.FREE, (), [])
    assert table(mac, asked).facts([]) == {}


def test_ports_of_a_process_are_those_that_serve_loopback(mac: Mac) -> None:
    rows = (("127.0.0.1", 1, "LISTEN"), ("0.0.0.0", 2, "LISTEN"), ("::1", 3, "LISTEN"), ("127.0.0.1", 4, "ESTABLISHED"))
    mac.processes[EDITOR].sockets = rows
    ports = table(mac, [])
    editor = identity(DarwinProbe(mac.psutil, mac.birth_of))
    assert ports.held_by(editor) == {1, 2}
    assert ports.match_listeners([1, 3, 4], [identity(DarwinProbe(mac.psutil, mac.birth_of), ME), editor]) == {
        1: editor
    }
    assert ports.in_use([1, 3, 9]) == {1, 3}
    assert (ports.count_connections(4), ports.count_connections(1)) == (1, 0)
    assert ports.held_by(ProcessIdentity(EDITOR, "1")) == frozenset()


@pytest.mark.parametrize("fails", [RuntimeError("proc_pidinfo(PROC_PIDLISTFDS) 2/2 syscall failed"), OSError(102, "x")])
def test_sessions_of_a_server_that_cannot_be_read_are_unknown(mac: Mac, fails: Exception) -> None:
    mac.processes[EDITOR].sockets = (("127.0.0.1", 4, "LISTEN"), ("127.0.0.1", 4, "ESTABLISHED"))
    mac.processes[201] = Fact(parent=EDITOR)
    ports, editor = table(mac, []), identity(DarwinProbe(mac.psutil, mac.birth_of))
    assert ports.count_connections(4) == 1
    mac.processes[201].fails = fails
    assert ports.count_connections(4) is None, "it may have taken a connection over from its parent"
    mac.processes[201].parent = 1
    assert ports.count_connections(4) == 1, "the server itself has been read"
    mac.processes[201] = Fact(status="zombie")
    mac.processes[EDITOR].fails = fails
    assert ports.count_connections(4) is None
    assert ports.held_by(editor) == ports.in_use([4]) == frozenset()


def test_sessions_of_a_server_that_hides_are_unknown(mac: Mac) -> None:
    mac.processes[EDITOR].hides = True
    assert table(mac, []).count_connections(4) is None


def test_missing_lsof_names_no_listener(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("supervisor.native.darwin.ports.LSOF", str(tmp_path / "lsof"))
    assert lsof_listeners(1) == ()
    (tmp_path / "lsof").write_text("#!/bin/sh\nprintf 'p12\\nf3\\np14\\n'\n")
    (tmp_path / "lsof").chmod(0o755)
    assert lsof_listeners(1) == [12, 14]


def control(mac: Mac, limit: tuple[int, int] | None = None) -> DarwinProcessControl:
    probe = DarwinProbe(mac.psutil, mac.birth_of)
    exits = KqueueWatcher(probe, lambda _: None, mac.select, is_pid)
    return DarwinProcessControl(probe, posix.Children(), exits, limit)


def test_no_signal_is_sent_to_the_new_process_of_a_pid(mac: Mac, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    processes = control(mac)
    editor = identity(DarwinProbe(mac.psutil, mac.birth_of))
    assert asyncio.run(processes.ask_to_end(editor))
    mac.processes[EDITOR].began += 1
    assert not processes.kill(editor)
    assert sent == [(EDITOR, 15)]


def test_child_gets_the_users_limit_and_the_daemon_keeps_its_own() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = min(64, soft)
    with system._limited((lower, hard)):
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (lower, hard)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (soft, hard)


def test_pid_of_a_process_group_or_session_is_in_use(mac: Mac) -> None:
    processes = control(mac)
    # The real system answers signal 0, and names the sessions of these processes.
    mac.processes = {os.getpid(): Fact()}
    assert not processes.is_unused(os.getpid())
    assert not processes.is_unused(os.getsid(0))
    assert not processes.is_unused(0)
    assert not processes.is_unused(PID_MAX + 1)


def test_unused_pid_is_proven_unused(mac: Mac, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_number: int, _signal: int) -> None:
        raise ProcessLookupError

    # The sessions are those of the real system, where pids are reused.
    monkeypatch.setattr(os, "kill", nobody)
    monkeypatch.setattr(os, "killpg", nobody)
    mac.processes = {os.getpid(): Fact()}
    unused = next(number for number in range(2, PID_MAX) if number != os.getsid(0))
    assert control(mac).is_unused(unused)
    monkeypatch.setattr(os, "killpg", lambda *_: None)
    assert not control(mac).is_unused(unused)


@pytest.mark.needs_macos
def test_macos_has_a_platform() -> None:
    platform = open_platform()
    me = platform.probe.identify(os.getpid())
    assert me is not None
    assert platform.probe.sample(me) is Liveness.ALIVE
    assert platform.probe.creation_order(me) is not None
    with unix_connection() as (ours, theirs):
        assert platform.peers.same_user(ours)
        assert trust.same_user(theirs)
