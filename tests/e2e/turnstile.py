"""A real daemon that runs one step at a time, and waits where a test wants it. The product has no code for this.

Each event of the daemon waits on its way to the terminal: `start --foreground` writes it to standard error, which
is a pipe with room for one. Each write of its registry waits at a pipe that lies in the place of the draft.
"""

import contextlib
import ctypes
import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.errors import SupervisorError
from tests.e2e.home import PATIENCE_S, Home, eventually, lives

F_SETPIPE_SZ = 1031  # <linux/fcntl.h>
PAGE = 4096
AT_ONCE_S = 0.001
EVENT = re.compile(r"\[\w+ *\] ([a-z_]+\.[a-z_]+)(.*)")
STATE = re.compile(r"\bnow=([a-z]+)")


class Turnstile:
    """A daemon whose events go through a pipe with room for one: with the turnstile closed, it waits at the next."""

    def __init__(self, home: Home) -> None:
        # Not inherited by the daemon's children: a pipe has room for one only while no other process writes to it.
        self._reader, self._writer = os.pipe2(os.O_DIRECT | os.O_CLOEXEC)
        fcntl.fcntl(self._writer, F_SETPIPE_SZ, PAGE)
        self._home = home
        self.told: list[str] = []
        """The names of the events that have passed the turnstile, in order."""
        words = (sys.executable, "-P", "-m", "supervisor", "start", "--foreground")
        self.process = home.run(*words, stdout=subprocess.DEVNULL, stderr=self._writer, cwd=home.folders.home)
        self._open = threading.Event()
        self._lock = threading.Lock()
        self._over = False
        self._open.set()
        self._drain = threading.Thread(target=self._let_through, daemon=True)
        self._drain.start()
        eventually(lambda: "daemon.ready" in self.told or self.process.poll() is not None, "ready", pause_s=AT_ONCE_S)
        assert self.process.poll() is None, self.told

    def close(self) -> None:
        """Close the turnstile: the daemon waits at its next event."""
        with self._lock:
            self._open.clear()

    def open(self) -> None:
        """Open the turnstile: every event passes."""
        self._open.set()

    def waiting(self, patience_s: float = 0.0) -> bool:
        """Return whether an event waits at the turnstile, or comes within so many seconds."""
        return bool(select.select([self._reader], [], [], patience_s)[0])

    def step(self) -> str:
        """Let the event that waits pass, and return its name."""
        self.told.append(_named(os.read(self._reader, 1 << 16)))
        return self.told[-1]

    @contextlib.contextmanager
    def blocked(self) -> Iterator[None]:
        """Fill the closed pipe, so that the daemon cannot write its next event while a test holds it elsewhere."""
        mine = not self.waiting()
        if mine:
            os.write(self._writer, b"-")
        try:
            yield
        finally:
            if mine:
                assert os.read(self._reader, 1 << 16) == b"-"

    def kill(self) -> str | None:
        """End the daemon as a crash would, and return the event that it was about to write."""
        self.close()
        self.process.kill()
        self.process.wait()
        last = self.step() if self.waiting() else None
        self._end()
        return last

    def leave(self) -> None:
        """End the daemon in order."""
        self.open()
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0
        self._end()

    def _let_through(self) -> None:
        while not self._over:
            self._open.wait()
            if self.waiting(0.01):
                with self._lock:
                    if self._open.is_set() and not self._over and self.waiting():
                        self.step()

    def _end(self) -> None:
        self._over = True
        self._open.set()
        self._drain.join()
        os.close(self._reader)
        os.close(self._writer)


def _named(packet: bytes) -> str:
    text = packet.decode(errors="replace")
    found = EVENT.search(text)
    assert found is not None, text
    state = STATE.search(found[2]) if found[1] == "server.state" else None
    return f"{found[1]} {state[1]}" if state else found[1]


# --- the registry -----------------------------------------------------------------------------------------------------

# <sys/inotify.h>
IN_OPEN, IN_MOVED_TO = 0x20, 0x80
HEAD = struct.Struct("iIII")


class Folder:
    """The kernel's events of a folder, in order."""

    def __init__(self, path: Path) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        self._descriptor = library.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self._descriptor >= 0
        mask = ctypes.c_uint32(IN_OPEN | IN_MOVED_TO)
        assert library.inotify_add_watch(self._descriptor, os.fsencode(path), mask) >= 0
        self._kept: deque[tuple[int, str]] = deque()

    def next(self, patience_s: float) -> tuple[int, str] | None:
        """Return mask and file name of the next event; None if none comes in so many seconds."""
        if not self._kept and select.select([self._descriptor], [], [], patience_s)[0]:
            data, offset = os.read(self._descriptor, 1 << 16), 0
            while offset < len(data):
                _, mask, _, length = HEAD.unpack_from(data, offset)
                name = data[offset + HEAD.size : offset + HEAD.size + length].rstrip(b"\0").decode()
                self._kept.append((mask, name))
                offset += HEAD.size + length
        return self._kept.popleft() if self._kept else None

    def close(self) -> None:
        os.close(self._descriptor)


class Overtaken(Exception):  # noqa: N818 (what happened)
    """The daemon was at its next write before the gate was in place again, so that write is unknown."""


class Drafts:
    """A full pipe where the daemon drafts its registry. Each write is held before its first byte."""

    def __init__(self, home: Home) -> None:
        self._registry = home.folders.registry
        self._draft = self._registry.with_name("registry.json.draft")
        self._aside = home.folders.home.with_name("pipes")
        self._aside.mkdir(exist_ok=True)
        self._folder = Folder(home.folders.home)
        self._spare, self._spare_ends = self._make()
        self._before = self._aside / "before"
        self._ends: tuple[int, ...] = ()
        self._let = [self._registry.read_bytes()] * 2
        self._put()

    @property
    def writes(self) -> int:
        """The number of writes that have been let through."""
        return len(self._let) - 2

    def held(self, patience_s: float) -> bool:
        """Return whether a write waits, or comes to wait within so many seconds."""
        end = time.monotonic() + patience_s
        while True:
            happened = self._folder.next(max(0.0, end - time.monotonic()))
            if happened is None:
                return False
            if happened == (IN_OPEN, self._draft.name):
                return True

    def let_through(self) -> None:
        """Let the waiting write happen, and make the next one wait.

        Raises:
            Overtaken: the daemon was at its next write already.
        """
        ends, self._ends = self._ends, ()
        self._let.append(_drained(*ends))
        # Draft and registry change places, so the old registry lies where the next draft is written.
        while self._happens() != IN_MOVED_TO:
            pass
        self._put()

    def keep(self, *, torn: bool) -> None:
        """Leave the files that a daemon killed at this write would leave.

        The registry is the last write that went through. `torn`: the draft is half of it. Otherwise the draft is the
        registry before that one, whole, because the two have changed places.
        """
        if self._gate.samefile(self._registry):
            # The daemon had opened the file that was there before the gate.
            self._let.append(self._before.read_bytes())
        self._draft.unlink(missing_ok=True)
        if self._registry.is_fifo():
            kept = self._registry.with_name("kept")
            kept.write_bytes(self._let[-1])
            kept.replace(self._registry)
        before, now = self._let[-2:]
        self._draft.write_bytes(now[: len(now) // 2] if torn else before)
        for end in (*self._ends, *self._spare_ends):
            os.close(end)
        for path in (self._spare, self._gate, self._before):
            path.unlink(missing_ok=True)
        self._folder.close()

    def _make(self) -> tuple[Path, tuple[int, int]]:
        """Make a full pipe, in a folder outside the home."""
        path = self._aside / f"{time.monotonic_ns()}"
        os.mkfifo(path, 0o600)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        fcntl.fcntl(writer, F_SETPIPE_SZ, PAGE)
        os.write(writer, bytes(PAGE))
        return path, (reader, writer)

    def _put(self) -> None:
        """Put the spare pipe in the place of the draft, keep the file that was there, and make the next spare pipe.

        Raises:
            Overtaken: the daemon has opened the file that was there.
        """
        self._before.unlink(missing_ok=True)
        if self._draft.exists():
            os.link(self._draft, self._before)
        self._gate = self._spare.with_name("gate")
        self._gate.unlink(missing_ok=True)
        os.link(self._spare, self._gate)
        self._spare.replace(self._draft)
        self._ends = self._spare_ends
        self._spare, self._spare_ends = self._make()
        if self._happens() == IN_OPEN:
            raise Overtaken

    def _happens(self) -> int:
        """Return the next event of the draft."""
        while True:
            happened = self._folder.next(PATIENCE_S)
            assert happened is not None, "the draft does not take the registry's place"
            if happened[1] == self._draft.name:
                return happened[0]


def _drained(reader: int, writer: int) -> bytes:
    """Return what a daemon writes into a pipe that was full."""
    os.close(writer)
    data = b""
    while True:
        assert select.select([reader], [], [], PATIENCE_S)[0], "nobody writes the draft"
        piece = os.read(reader, 1 << 16)
        if not piece:
            break
        data += piece
    os.close(reader)
    return data[PAGE:]


# --- an operation, one step at a time ---------------------------------------------------------------------------------


@dataclass
class Request:
    """A request that is under way on a connection of its own. `stage`: the last progress that it was told."""

    home: Home
    method: str
    params: dict[str, Any]
    result: Any = None
    error: SupervisorError | None = None
    stages: list[str] = field(default_factory=list)
    _thread: threading.Thread | None = None

    def begin(self) -> "Request":
        """Send the request."""
        connected = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(connected,), daemon=True)
        self._thread.start()
        assert connected.wait(PATIENCE_S)
        return self

    @property
    def over(self) -> bool:
        """Whether the request was answered, or its connection has ended."""
        assert self._thread is not None
        return not self._thread.is_alive()

    def end(self) -> None:
        """Wait for the answer."""
        assert self._thread is not None
        self._thread.join(PATIENCE_S)
        assert self.over, f"{self.method} has no end"

    def _ask(self, connected: threading.Event) -> None:
        try:
            with self.home.client() as client:
                connected.set()
                self.result = client.call(
                    self.method,
                    self.params,
                    on_progress=lambda told: self.stages.append(told["stage"]),
                    accept_timeout_s=PATIENCE_S,
                )
        except SupervisorError as error:
            self.error = error
        finally:
            connected.set()


def gone(pid: int) -> None:
    """Wait until a process has ended."""
    eventually(lambda: not lives(pid), f"pid {pid} ends", pause_s=AT_ONCE_S)
