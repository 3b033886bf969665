"""An in-memory macOS for its platform: `select` with kernel queues, and `psutil`."""

import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

BEGAN = 1_700_000_000.123456
ME = 100


class Error(Exception):
    """As in psutil."""


class NoSuchProcess(Error):  # noqa: N818 (psutil's name)
    """As in psutil."""


class ZombieProcess(NoSuchProcess):
    """As in psutil."""


class AccessDenied(Error):  # noqa: N818 (psutil's name)
    """As in psutil."""


@dataclass
class Fact:
    """The kernel's facts about a process.

    `hides`: facts for its owner only, or hidden by the system even from the owner.

    `fails`: reading its descriptors raises this. `ticks`: the absolute time of its start; None: not told.
    """

    began: float = BEGAN
    uid: int = field(default_factory=os.geteuid)
    parent: int = 1
    status: str = "running"
    words: tuple[str, ...] = ("godot",)
    environment: dict[str, str] = field(default_factory=dict)
    sockets: tuple[tuple[str, int, str], ...] = ()
    hides: bool = False
    fails: Exception | None = None
    ticks: int | None = 1000
    terminal: str | None = None


class Mac:
    """The machine."""

    def __init__(self) -> None:
        self.processes: dict[int, Fact] = {ME: Fact(words=("daemon",))}
        self.psutil = SimpleNamespace(
            Error=Error,
            NoSuchProcess=NoSuchProcess,
            ZombieProcess=ZombieProcess,
            AccessDenied=AccessDenied,
            STATUS_ZOMBIE="zombie",
            CONN_LISTEN="LISTEN",
            CONN_ESTABLISHED="ESTABLISHED",
            pids=lambda: [0, *self.processes],
            Process=lambda pid: Process(self, pid),
        )
        self.select = SimpleNamespace(
            kqueue=self._queue,
            kevent=lambda pid, **rest: SimpleNamespace(ident=pid, **rest),
            KQ_FILTER_PROC=-5,
            KQ_NOTE_EXIT=0x80000000,
            KQ_EV_ADD=1,
            KQ_EV_ONESHOT=16,
        )
        self.queues: list[Kqueue] = []
        self.leaving: set[int] = set()
        """Processes that are ending: they can no longer be watched, and not yet be waited for."""
        self.refuses: OSError | None = None

    def birth_of(self, pid: int) -> int | None:
        """Return the creation time, as libproc does."""
        return self.processes[pid].ticks if pid in self.processes else None

    def end(self, pid: int, *, zombie: bool = False, silently: bool = False) -> None:
        """End a process. `zombie`: its parent has not waited for it yet. `silently`: `tell` sends the event later."""
        if zombie:
            self.processes[pid].status = "zombie"
        else:
            del self.processes[pid]
        if not silently:
            self.tell(pid)

    def tell(self, pid: int) -> None:
        """Send NOTE_EXIT to every queue that has asked for it."""
        for queue in self.queues:
            queue.tell(pid)

    def _queue(self) -> "Kqueue":
        if self.refuses is not None:
            raise self.refuses
        self.queues.append(Kqueue(self))
        return self.queues[-1]


class Kqueue:
    """A queue that is readable, by a pipe, while there are events."""

    def __init__(self, mac: Mac) -> None:
        self._mac = mac
        self._reader, self._writer = os.pipe()
        self._events: list[Any] = []
        self._lock = threading.Lock()
        self.registered: set[int] = set()
        self.closed = False

    def fileno(self) -> int:
        return self._reader

    def control(self, changes: Sequence[Any] | None, most: int, _timeout: float | None = None) -> list[Any]:
        for change in changes or ():
            expected = (self._mac.select.KQ_FILTER_PROC, self._mac.select.KQ_NOTE_EXIT)
            assert (change.filter, change.fflags) == expected
            if change.ident not in self._mac.processes or change.ident in self._mac.leaving:
                raise ProcessLookupError(errno.ESRCH, "No such process")
            self.registered.add(change.ident)
        taken, self._events = self._events[:most], self._events[most:]
        if taken:
            os.read(self._reader, len(taken))
        return taken

    def tell(self, pid: int) -> None:
        if pid in self.registered:
            self.registered.discard(pid)
            self._events.append(SimpleNamespace(ident=pid))
            os.write(self._writer, b"!")

    def close(self) -> None:
        self.closed = True
        os.close(self._reader)
        os.close(self._writer)


class Process:
    """As in psutil."""

    def __init__(self, mac: Mac, pid: int) -> None:
        if pid not in mac.processes:
            raise NoSuchProcess(pid)
        self._fact = mac.processes[pid]
        self._ident = (pid, self._fact.began)

    def status(self) -> str:
        return self._fact.status

    def ppid(self) -> int:
        return self._fact.parent

    def terminal(self) -> str | None:
        return self._fact.terminal

    def uids(self) -> Any:
        return SimpleNamespace(effective=self._fact.uid)

    def name(self) -> str:
        return self._fact.words[0]

    def cmdline(self) -> list[str]:
        return list(self._asked().words)

    def environ(self) -> dict[str, str]:
        return self._asked().environment

    def net_connections(self, kind: str) -> list[Any]:
        assert kind == "tcp"
        if self._fact.fails is not None:
            raise self._fact.fails
        return [
            SimpleNamespace(laddr=SimpleNamespace(ip=ip, port=port), status=status)
            for ip, port, status in self._asked().sockets
        ]

    def _asked(self) -> Fact:
        if self._fact.hides or self._fact.uid != os.geteuid():
            raise AccessDenied
        if self._fact.status == "zombie":
            raise ZombieProcess
        return self._fact
