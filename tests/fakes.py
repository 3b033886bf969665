"""A platform in memory. It passes the same contract suite as the real one, and is deterministic."""

import asyncio
import errno
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from socket import socket

from supervisor.core.model import Bind, ListeningSocket, Liveness, Occupant, PortFact, ProcessIdentity, ProcessRow
from supervisor.native.api import ChildCommand, Platform, Watch
from supervisor.native.shared.lanes import ThreadLanes
from supervisor.native.shared.process_queries import ProcessQueries

SIGKILLED = -9
SIGTERMED = -15
INIT = 1
SERVES_LOOPBACK = ("127.0.0.1", "0.0.0.0", "::")


@dataclass
class FakeClock:
    """A clock that stands still until it is advanced. A loop on virtual time may set `now` itself."""

    now: float = 1000.0
    epoch: float = 1_700_000_000.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.epoch + self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class FakeProcess:
    """A process. `denied`: another user owns it. `unreadable`: every query about it fails.

    `elsewhere`: it lives in another pid namespace. `no_process`: why its number names no process, but for example a
    thread. `on_terminal`: it has a controlling terminal. `blank`: its environment reads empty, as while a program is
    replaced.
    """

    identity: ProcessIdentity
    parent: int
    session: int
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    since: float = 0.0
    zombie: bool = False
    ignores_sigterm: bool = False
    denied: bool = False
    unreadable: bool = False
    elsewhere: bool = False
    no_process: str | None = None
    on_terminal: bool = False
    blank: bool = False


@dataclass
class Fault:
    """The system refuses a call: `times` in a row, once it has granted it `after` times."""

    error: Exception
    times: int = 1
    after: int = 0


Program = Callable[["FakeSystem", FakeProcess, ChildCommand], None]
"""The action of a program at its start: it listens, plans its end on the loop, or does nothing."""


class FakeSystem:
    """Processes, listeners and connections, shared by a test and all fakes of one platform.

    The calls `spawn`, `table`, `facts`, `match_listeners`, `in_use` and `count_connections` are counted in `calls`;
    `fails` names those that fail, and `meanwhile` an action that runs once, between the answer to a call and its
    arrival at the caller.
    """

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.processes: dict[int, FakeProcess] = {}
        self.listeners: list[tuple[str, int, ProcessIdentity]] = []
        self.connections: dict[int, int | None] = {}
        self.excluded: dict[int, str] = {}
        self.programs: dict[str, Program] = {}
        self.spawned: dict[ProcessIdentity, int | None] = {}
        self.calls: Counter[str] = Counter()
        self.fails: dict[str, Fault] = {}
        self.marks: dict[ProcessIdentity, set[str]] = {}
        self.meanwhile: dict[str, Callable[[], object]] = {}
        self._watches: dict[ProcessIdentity, list[FakeWatch]] = {}
        self._pids = count(100)
        self._tokens = count(1)
        self.me = self.start("daemon")

    def start(
        self,
        *command: str,
        parent: int = INIT,
        session: int | None = None,
        environment: Mapping[str, str] | None = None,
        pid: int | None = None,
    ) -> ProcessIdentity:
        """Start a process, by default in a session of its own."""
        pid = next(self._pids) if pid is None else pid
        identity = ProcessIdentity(pid, f"fake:{next(self._tokens)}")
        session = pid if session is None else session
        self.processes[pid] = FakeProcess(
            identity, parent, session, command, dict(environment or {}), self.clock.wall()
        )
        return identity

    def fork(self, parent: ProcessIdentity, *command: str, session: int | None = None) -> ProcessIdentity:
        """Start a child, which inherits the environment, and by default the session."""
        origin = self.processes[parent.pid]
        session = origin.session if session is None else session
        return self.start(*command, parent=parent.pid, session=session, environment=origin.environment)

    def process(self, identity: ProcessIdentity) -> FakeProcess | None:
        """Return exactly this process, if it lives."""
        found = self.processes.get(identity.pid)
        return found if found and found.identity == identity and not found.zombie else None

    def end(self, identity: ProcessIdentity, status: int = 0, *, zombie: bool = False) -> None:
        """End a process, by itself or by a signal. `zombie`: its parent does not wait for it."""
        process = self.process(identity)
        if process is None:
            return
        if identity in self.spawned:
            self.spawned[identity] = status
        if zombie:
            process.zombie = True
        else:
            del self.processes[identity.pid]
        for child in self.processes.values():
            if child.parent == identity.pid:
                child.parent = INIT
        self.listeners = [row for row in self.listeners if row[2] != identity]
        for watch in self._watches.pop(identity, []):
            watch.fire_soon()

    def answer(self, call: str) -> None:
        """Count a call, run its `meanwhile`, and raise if the call is to fail; otherwise its caller may answer."""
        self.calls[call] += 1
        happens = self.meanwhile.pop(call, None)
        if happens is not None:
            happens()
        fault = self.fails.get(call)
        if fault is None:
            return
        if fault.after > 0:
            fault.after -= 1
        elif fault.times > 0:
            fault.times -= 1
            raise fault.error.with_traceback(None)

    def false_alarm(self, identity: ProcessIdentity) -> None:
        """Let the watches on a living process report its end."""
        for watch in self._watches.pop(identity, []):
            watch.fire_soon()

    def kill(self, pid: int) -> None:
        """Kill a process from outside, as by SIGKILL."""
        self.end(self.processes[pid].identity, SIGKILLED)

    def recycle(self, pid: int) -> ProcessIdentity:
        """End the process with this pid, and give the pid to a foreign process."""
        if pid in self.processes:
            self.kill(pid)
        return self.start("bystander", pid=pid)

    def listen(self, identity: ProcessIdentity, port: int, address: str = "127.0.0.1") -> None:
        """Let a process listen from now on."""
        self.listeners.append((address, port, identity))

    def watch(self, watch: "FakeWatch") -> None:
        """Fire the watch when its process has ended, or in the next loop iteration if it has."""
        if self.process(watch.identity) is None:
            watch.fire_soon()
        else:
            self._watches.setdefault(watch.identity, []).append(watch)

    def forget_watches(self) -> None:
        """Forget all watches, because the process that watched was killed."""
        self._watches.clear()

    def unwatch(self, watch: "FakeWatch") -> None:
        """Forget a watch, because it was closed."""
        watches = self._watches.get(watch.identity, [])
        if watch in watches:
            watches.remove(watch)


class FakeProbe:
    def __init__(self, system: FakeSystem) -> None:
        self._system = system

    def identify(self, pid: int) -> ProcessIdentity | None:
        process = self._system.processes.get(pid)
        if process and process.unreadable:
            raise OSError(errno.EIO, "unreadable", f"process {pid}")
        return process.identity if process and not process.zombie else None

    def sample(self, identity: ProcessIdentity) -> Liveness:
        try:
            return Liveness.ALIVE if self.identify(identity.pid) == identity else Liveness.DEAD
        except OSError:
            return Liveness.UNKNOWN

    def same_user(self, identity: ProcessIdentity) -> bool | None:
        process = self._system.process(identity)
        return None if process is None or process.unreadable else not process.denied

    def same_namespace(self, identity: ProcessIdentity) -> bool | None:
        process = self._system.process(identity)
        return None if process is None or process.unreadable or process.denied else not process.elsewhere

    def started_at(self, identity: ProcessIdentity) -> float | None:
        process = self._system.process(identity)
        return None if process is None or process.unreadable else process.since

    def creation_order(self, identity: ProcessIdentity) -> float | None:
        process = self._system.process(identity)
        return None if process is None or process.unreadable else process.since

    def describe(self, pid: int) -> Occupant:
        process = self._system.processes.get(pid)
        if process is None or process.zombie or process.unreadable:
            return Occupant()
        return Occupant(process.identity, process.command, "another" if process.denied else "me", process.since)

    def why_no_process(self, pid: int) -> str | None:
        process = self._system.processes.get(pid)
        return process.no_process if process else None


class FakeWatch:
    def __init__(self, system: FakeSystem, identity: ProcessIdentity, on_exit: Callable[[], None]) -> None:
        self.identity = identity
        self._system = system
        self._on_exit = on_exit
        self._loop = asyncio.get_running_loop()
        self._armed = True

    def fire_soon(self) -> None:
        self._loop.call_soon(self._fire)

    def close(self) -> None:
        self._armed = False
        self._system.unwatch(self)

    def _fire(self) -> None:
        if self._armed:
            self.close()
            self._on_exit()


class FakeExitWatcher:
    def __init__(self, system: FakeSystem) -> None:
        self._system = system
        self.trouble: str | None = None

    def watch(self, identity: ProcessIdentity, on_exit: Callable[[], None]) -> Watch:
        watch = FakeWatch(self._system, identity, on_exit)
        self._system.watch(watch)
        return watch

    def note(self) -> str | None:
        return self.trouble


class FakeProcessControl:
    def __init__(self, system: FakeSystem) -> None:
        self._system = system

    def spawn(self, command: ChildCommand) -> ProcessIdentity:
        self._system.answer("spawn")
        programs = self._system.programs
        program = programs.get(command.argv[0]) or programs.get(Path(command.argv[0]).name)
        if program is None:
            raise FileNotFoundError(errno.ENOENT, f"cannot start {command.argv[0]!r}: no such program")
        identity = self._system.start(*command.argv, parent=self._system.me.pid, environment=command.environment)
        self._system.spawned[identity] = None
        program(self._system, self._system.processes[identity.pid], command)
        return identity

    def rehearse(self, command: ChildCommand) -> None:
        programs = self._system.programs
        if not (programs.get(command.argv[0]) or programs.get(Path(command.argv[0]).name)):
            raise FileNotFoundError(errno.ENOENT, f"cannot start {command.argv[0]!r}: no such program")

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        return self._system.spawned.get(identity)

    async def ask_to_end(self, identity: ProcessIdentity) -> bool:
        process = self._reach(identity)
        if process and not process.ignores_sigterm:
            self._system.end(identity, SIGTERMED)
        return process is not None

    def kill(self, identity: ProcessIdentity) -> bool:
        process = self._reach(identity)
        if process:
            self._system.end(identity, SIGKILLED)
        return process is not None

    def table(self) -> tuple[ProcessRow, ...]:
        living = (process for process in self._system.processes.values() if not process.zombie)
        rows = tuple(ProcessRow(each.identity, each.parent, each.session, each.on_terminal) for each in living)
        self._system.answer("table")
        return rows

    def is_unused(self, pid: int) -> bool:
        known = self._system.processes.items()
        return 0 < pid < 2**22 and not any(pid in (number, process.session) for number, process in known)

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        process = self._reach(identity)
        if process is None:
            raise ProcessLookupError(errno.ESRCH, "no such process")
        if process.blank:
            raise BlockingIOError(errno.EAGAIN, "reads empty")
        return process.environment.get(name)

    def _reach(self, identity: ProcessIdentity) -> FakeProcess | None:
        process = self._system.process(identity)
        if process and process.unreadable:
            raise OSError(errno.EIO, "unreadable", f"process {identity.pid}")
        if process and process.denied:
            raise PermissionError(errno.EPERM, "not permitted", f"process {identity.pid}")
        return process


class FakePortTable:
    def __init__(self, system: FakeSystem, probe: FakeProbe) -> None:
        self._system = system
        self._probe = probe

    def facts(self, ports: Iterable[int]) -> Mapping[int, PortFact]:
        facts = {port: self._fact(port) for port in ports}
        self._system.answer("facts")
        return facts

    def match_listeners(self, ports: Iterable[int], among: Sequence[ProcessIdentity]) -> Mapping[int, ProcessIdentity]:
        wanted = frozenset(ports)
        listening = {
            port: identity
            for address, port, identity in self._system.listeners
            if port in wanted and address in SERVES_LOOPBACK and identity in among
        }
        self._system.answer("match_listeners")
        return listening

    def in_use(self, ports: Collection[int]) -> frozenset[int]:
        found = frozenset(port for _, port, _ in self._system.listeners if port in ports)
        self._system.answer("in_use")
        return found

    def held_by(self, identity: ProcessIdentity) -> frozenset[int]:
        rows = self._system.listeners if self._system.process(identity) else []
        return frozenset(port for address, port, held in rows if held == identity and address in SERVES_LOOPBACK)

    def addresses_of(self, identity: ProcessIdentity) -> frozenset[tuple[str, int]]:
        rows = self._system.listeners if self._system.process(identity) else []
        return frozenset((address, port) for address, port, held in rows if held == identity)

    def count_connections(self, port: int) -> int | None:
        count = self._system.connections.get(port, 0)
        self._system.answer("count_connections")
        return count

    def _fact(self, port: int) -> PortFact:
        rows = [row for row in self._system.listeners if row[1] == port]
        listeners = tuple(ListeningSocket(address, port, self._occupant(identity)) for address, _, identity in rows)
        if port in self._system.excluded:
            return PortFact(port, Bind.EXCLUDED, listeners, self._system.excluded[port])
        if any(address in SERVES_LOOPBACK for address, _, _ in rows):
            return PortFact(port, Bind.TAKEN, listeners, "Address already in use")
        return PortFact(port, Bind.FREE, listeners)

    def _occupant(self, identity: ProcessIdentity) -> Occupant:
        process = self._system.process(identity)
        return Occupant(user="another") if process and process.denied else self._probe.describe(identity.pid)


@dataclass
class FakePeerCheck:
    same: bool = True

    def same_user(self, connection: socket) -> bool:  # noqa: ARG002 (the Protocol's)
        return self.same


@dataclass
class FakeMarks:
    """The adoption marks of the fake system, which all daemons of a user see."""

    system: FakeSystem

    def note(self) -> None:
        """Return None: no folder of marks has a fault."""

    def prepare(self) -> None:
        """Do nothing, because these marks need no folder."""

    def put(self, process: ProcessIdentity, home: str) -> None:
        self.system.answer("marks")
        self.system.marks.setdefault(process, set()).add(home)

    def drop(self, process: ProcessIdentity, home: str) -> None:
        self.system.answer("marks")
        self.system.marks.get(process, set()).discard(home)

    def homes(self, process: ProcessIdentity) -> frozenset[str]:
        self.system.answer("marks")
        return frozenset(self.system.marks.get(process, ()))


class FakeFileWatcher:
    """A watcher of files to which no program writes."""

    def note(self) -> str | None:
        return None

    def watch(self, path: Path, on_write: Callable[[], None]) -> Watch:  # noqa: ARG002 (the Protocol's)
        return _Unarmed()


class _Unarmed:
    def close(self) -> None:
        pass


def fake_platform(system: FakeSystem) -> Platform:
    """Return a platform on this system."""
    probe = FakeProbe(system)
    return Platform(
        clock=system.clock,
        probe=probe,
        exits=FakeExitWatcher(system),
        processes=FakeProcessControl(system),
        ports=FakePortTable(system, probe),
        files=FakeFileWatcher(),
        peers=FakePeerCheck(),
        lanes=ThreadLanes(ProcessQueries(probe.identify)),
        marks=FakeMarks(system),
    )
