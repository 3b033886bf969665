"""Brings the real and the fake platform into the same situations."""

import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ParamSpec, Protocol

from supervisor.core.model import Liveness, ProcessIdentity
from supervisor.native.api import ChildCommand, Platform
from supervisor.native.platforms import open_platform
from supervisor.native.shared.exit_watch import PollingExitWatcher
from tests.fakes import SIGKILLED, FakeProcess, FakeSystem, fake_platform
from tests.recycling import Recycled, start_as
from tests.wine import IS_WINDOWS

P = ParamSpec("P")

PATIENCE_S = 20.0

PYTHON = (sys.executable, "-I", "-S", "-c")
SLEEPER = "import time; print('ready', flush=True); time.sleep(600)"
POLITE = "SIGBREAK" if IS_WINDOWS else "SIGTERM"
STUBBORN = f"import signal; signal.signal(signal.{POLITE}, signal.SIG_IGN); {SLEEPER}"
PARENT = (
    "import subprocess, sys, time; "
    "child = subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(600)']); "
    "print(child.pid, flush=True); time.sleep(600)"
)


def on_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test that is a coroutine."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), 3 * PATIENCE_S))

    return run


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Poll, and block the loop meanwhile; for conditions that come true without the loop."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.002)


async def until(condition: Callable[[], object], what: str) -> None:
    """Poll while the loop continues."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain: {what}"
        await asyncio.sleep(0.002)


@contextlib.contextmanager
def unix_connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield both ends of a unix socket, the accepted one first. On macOS a socketpair carries no credentials."""
    # A path may have 103 bytes on macOS, whose folders for temporary files are deep.
    with contextlib.ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp"))) / "socket"
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(path))
        listener.listen()
        theirs = stack.enter_context(socket.socket(socket.AF_UNIX))
        theirs.connect(str(path))
        ours, _ = listener.accept()
        stack.enter_context(ours)
        yield ours, theirs


class PlatformHarness(Protocol):
    """A platform, and the means to make things happen around it. `me`: the process that runs it.

    `killed`: the exit status of processes that the platform kills; `ended`: of those that `end` kills.
    """

    platform: Platform
    me: ProcessIdentity
    killed: int
    ended: int

    def child(self, *, stubborn: bool = False, variable: str = "") -> ProcessIdentity:
        """Spawn a child, and wait until it runs. `stubborn`: ignores SIGTERM. `variable`: the value of `GREETING`."""
        ...

    def brief(self, status: int) -> ProcessIdentity:
        """Spawn a child that ends at once with this status."""
        ...

    def missing(self, *, rehearsed: bool = False) -> None:
        """Spawn a missing program, or only rehearse that."""
        ...

    def family(self) -> tuple[ProcessIdentity, ProcessIdentity]:
        """Spawn a child with a child that it will never wait for."""
        ...

    def end(self, identity: ProcessIdentity) -> None:
        """Kill a process without the platform."""
        ...

    def recycle(self, identity: ProcessIdentity) -> ProcessIdentity:
        """End a child and give its pid to another process; return that process."""
        ...

    def listen(self, address: str, port: int = 0) -> int:
        """Listen from now on, in this process."""
        ...

    def connect(self, port: int) -> None:
        """Connect to this process on 127.0.0.1."""
        ...

    def hang_up(self) -> None:
        """Close every connection and listener, this process first, so that TIME_WAIT is on its side."""
        ...


class FakeHarness:
    """The platform in memory."""

    killed = ended = SIGKILLED

    def __init__(self) -> None:
        self.system = FakeSystem()
        self.me = self.system.me
        self.platform = fake_platform(self.system)
        self._ports = iter(range(40000, 50000))

    def child(self, *, stubborn: bool = False, variable: str = "") -> ProcessIdentity:
        def sleeper(_system: FakeSystem, process: FakeProcess, _command: ChildCommand) -> None:
            process.ignores_sigterm = stubborn

        return self._spawn(sleeper, variable)

    def brief(self, status: int) -> ProcessIdentity:
        return self._spawn(lambda system, process, _: system.end(process.identity, status))

    def missing(self, *, rehearsed: bool = False) -> None:
        processes, command = self.platform.processes, ChildCommand(("no-such-program",), {}, Path(), Path("log"))
        processes.rehearse(command) if rehearsed else processes.spawn(command)

    def family(self) -> tuple[ProcessIdentity, ProcessIdentity]:
        parent = self.child()
        return parent, self.system.fork(parent)

    def end(self, identity: ProcessIdentity) -> None:
        is_ours = self.system.processes[identity.pid].parent == self.me.pid
        self.system.end(identity, -9, zombie=not is_ours)

    def recycle(self, identity: ProcessIdentity) -> ProcessIdentity:
        return self.system.recycle(identity.pid)

    def listen(self, address: str, port: int = 0) -> int:
        port = port or next(self._ports)
        self.system.listen(self.me, port, address)
        return port

    def connect(self, port: int) -> None:
        self.system.connections[port] = (self.system.connections.get(port) or 0) + 1

    def hang_up(self) -> None:
        self.system.connections.clear()
        self.system.listeners.clear()

    def _spawn(
        self, program: Callable[[FakeSystem, FakeProcess, ChildCommand], None], variable: str = ""
    ) -> ProcessIdentity:
        self.system.programs["program"] = program
        return self.platform.processes.spawn(ChildCommand(("program",), {"GREETING": variable}, Path(), Path("log")))


class RealHarness:
    """Processes of this machine. `polling`: without kernel events."""

    # Windows has no signals: the killer of a process sets its exit status.
    killed = 1 if IS_WINDOWS else -9
    ended = 9 if IS_WINDOWS else -9

    def __init__(self, folder: Path, *, polling: bool = False) -> None:
        self.platform = open_platform()
        if polling:
            self.platform = replace(
                self.platform, exits=PollingExitWatcher(self.platform.probe, self._collect, interval_s=0.02)
            )
        me = self.platform.probe.identify(os.getpid())
        assert me is not None
        self.me = me
        self._folder = folder
        self._known: list[ProcessIdentity] = []
        self._recycled: list[Recycled] = []
        self._ours: list[ProcessIdentity] = []
        self._listeners: list[socket.socket] = []
        self._connections: list[socket.socket] = []

    def child(self, *, stubborn: bool = False, variable: str = "") -> ProcessIdentity:
        identity, _ = self._talking(STUBBORN if stubborn else SLEEPER, variable)
        return identity

    def brief(self, status: int) -> ProcessIdentity:
        identity, _ = self._spawn(f"raise SystemExit({status})")
        return identity

    def missing(self, *, rehearsed: bool = False) -> None:
        command = ChildCommand(("no-such-program",), {}, self._folder, self._folder / "log")
        self.platform.processes.rehearse(command) if rehearsed else self.platform.processes.spawn(command)

    def reader(self, *, keeps_input: bool) -> ProcessIdentity:
        """Spawn a child that ends with its input."""
        return self._spawn("import sys; sys.stdin.buffer.read()", keeps_input=keeps_input)[0]

    def family(self) -> tuple[ProcessIdentity, ProcessIdentity]:
        parent, said = self._talking(PARENT)
        child = self.platform.probe.identify(int(said))
        assert child is not None
        self._known.append(child)
        return parent, child

    def end(self, identity: ProcessIdentity) -> None:
        # On Windows every number that is no console event means TerminateProcess with that status.
        os.kill(identity.pid, getattr(signal, "SIGKILL", 9))
        wait_until(lambda: self._dead(identity), "a process dies of SIGKILL")

    def recycle(self, identity: ProcessIdentity) -> ProcessIdentity:
        self.end(identity)
        wait_until(lambda: self.platform.processes.exit_status(identity) is not None, "the pid is free")
        process = start_as(identity.pid, *PYTHON, SLEEPER)
        self._recycled.append(process)
        other = self.platform.probe.identify(process.pid)
        assert other is not None
        return other

    def listen(self, address: str, port: int = 0) -> int:
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        if IS_WINDOWS:
            # By default "::" means only IPv6 on Windows, and leaves 127.0.0.1 free.
            if address == "::":
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        self._listeners.append(listener)
        return int(listener.getsockname()[1])

    def connect(self, port: int) -> None:
        theirs = socket.create_connection(("127.0.0.1", port), PATIENCE_S)
        listener = next(one for one in self._listeners if one.getsockname()[1] == port)
        ours, _ = listener.accept()
        self._connections += [ours, theirs]

    def hang_up(self) -> None:
        for connection in (*self._connections, *self._listeners):
            connection.close()
        self._connections.clear()
        self._listeners.clear()

    def close(self) -> None:
        """End all started processes."""
        self.hang_up()
        for process in self._recycled:
            process.end()
        for identity in self._known:
            self.platform.processes.kill(identity)
        wait_until(lambda: all(self._dead(identity) for identity in self._known), "everything ends")
        for identity in self._ours:
            self._collect(identity)

    def _dead(self, identity: ProcessIdentity) -> bool:
        return self.platform.probe.sample(identity) is Liveness.DEAD

    def _collect(self, identity: ProcessIdentity) -> None:
        self.platform.processes.exit_status(identity)

    def _talking(self, code: str, variable: str = "") -> tuple[ProcessIdentity, str]:
        identity, log = self._spawn(code, variable)
        wait_until(lambda: log.read_text().endswith("\n"), "a process says that it is ready")
        return identity, log.read_text()

    def _spawn(self, code: str, variable: str = "", *, keeps_input: bool = False) -> tuple[ProcessIdentity, Path]:
        log = self._folder / f"{len(self._known)}.log"
        environment = {**os.environ, "GREETING": variable}
        identity = self.platform.processes.spawn(
            ChildCommand((*PYTHON, code), environment, self._folder, log, keeps_input)
        )
        self._known.append(identity)
        self._ours.append(identity)
        return identity, log


@contextlib.contextmanager
def harness_of(name: str, folder: Path) -> Iterator[PlatformHarness]:
    """Yield a harness by name: fake, real, or polling (real, without kernel events)."""
    if name == "fake":
        yield FakeHarness()
        return
    harness = RealHarness(folder, polling=name == "polling")
    with contextlib.closing(harness):
        yield harness
