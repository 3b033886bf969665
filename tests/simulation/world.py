"""The true state of the simulated machine: processes, their origins, what they run, and what they answer."""

import heapq
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random

from supervisor.core.model import ProcessIdentity
from supervisor.kinds.queries.loopback import HttpAnswer, UnusableAnswerError
from supervisor.native.api import ChildCommand
from tests.fake_home import FakeFolder
from tests.fake_home import FakeSystem as Presences
from tests.fakes import SERVES_LOOPBACK, FakeClock, FakeProcess, FakeSystem
from tests.simulation.environments import InstalledEnvironments
from tests.simulation.faults import Faults

HOME = "home"
TOKEN = "GODOT_SUPERVISOR_SERVER_ID"
FAMILIES = {"toy": "toy", "solo": "solo", "plain": "plain"}
"""The program of each kind."""

PACKAGED = "toy"
"""The kind, package and program that runs from a private environment."""

BOOTED_AT = 1_700_000_000.0

OURS, FOREIGN, EDITOR, DAEMON, OTHER = "ours", "a foreign server", "an editor", "the daemon", "a bystander"


@dataclass(frozen=True, slots=True)
class Lineage:
    """The true origin of a process. `what`: a constant above. `root`: the first process of that server or editor."""

    what: str
    root: ProcessIdentity


@dataclass(slots=True)
class Manners:
    """How a server answers. `silent_until`: it gives no answer before that time. `slow_s`: the delay of each answer."""

    program: str
    version: str
    ports: Mapping[str, int]
    silent_until: float = 0.0
    slow_s: float = 0.0


@dataclass(order=True)
class _Planned:
    at: float
    number: int
    what: Callable[[], None] = field(compare=False)


class World(FakeSystem):
    """The part of the simulation that outlives a daemon.

    Its planned events have a heap of their own, because those on the daemon's loop are lost when the daemon is killed.
    """

    def __init__(self, rng: Random, faults: Faults) -> None:
        self.rng = rng
        self.faults = faults
        self.lineage: dict[ProcessIdentity, Lineage] = {}
        self.manners: dict[ProcessIdentity, Manners] = {}
        self.owner_of: dict[ProcessIdentity, ProcessIdentity | None] = {}
        """The true owners of foreign servers."""
        self.folder = FakeFolder(HOME)
        """The folder of the home, which the daemons use one after the other."""
        self.machine = Presences()
        self.opened: dict[int, float] = {}
        """Since when a port has had sessions."""
        self.on_end: Callable[[ProcessIdentity], None] = lambda identity: None  # noqa: ARG005 (until a life listens)
        self.touch: Callable[[], None] = lambda: None
        """Called for each call of the living daemon: raises if the daemon dies in it."""
        self.exit_events_stopped_at: float | None = None
        """Since when the kernel accepts no new exit watch; None: it accepts them."""
        self.exit_events_restored_at = 0.0
        self._free_pids: list[int] = []
        self._plans: list[_Planned] = []
        self._numbers = count()
        self._next_lineage: Lineage | None = None
        super().__init__(FakeClock())
        self.installed = InstalledEnvironments(rng, faults, self.clock)
        self.programs = dict.fromkeys(FAMILIES.values(), self._serve)

    def start(
        self,
        *command: str,
        parent: int = 1,
        session: int | None = None,
        environment: Mapping[str, str] | None = None,
        pid: int | None = None,
    ) -> ProcessIdentity:
        """Start a process; its pid may have been another's a moment ago."""
        if pid is None and self._free_pids and self.rng.random() < 0.5:
            pid = self._free_pids.pop(self.rng.randrange(len(self._free_pids)))
        if pid is None:
            pid = next(self._pids)
            while pid in self.processes:
                pid = next(self._pids)
        if pid in self._free_pids:
            self._free_pids.remove(pid)
        identity = super().start(*command, parent=parent, session=session, environment=environment, pid=pid)
        self.lineage[identity] = self._next_lineage or Lineage(DAEMON if command == ("daemon",) else OTHER, identity)
        # The kernel tells a start relative to its own, so setting the clock changes no order of age.
        self.processes[pid].since = BOOTED_AT + self.clock.now
        return identity

    def begin(self, what: str, *command: str, environment: Mapping[str, str] | None = None) -> ProcessIdentity:
        """Start a process that none of the known processes has started."""
        identity = self.start(*command, environment=environment)
        self.lineage[identity] = Lineage(what, identity)
        return identity

    def fork(self, parent: ProcessIdentity, *command: str, session: int | None = None) -> ProcessIdentity:
        identity = super().fork(parent, *command, session=session)
        self.lineage[identity] = self.lineage[parent]
        return identity

    def end(self, identity: ProcessIdentity, status: int = 0, *, zombie: bool = False) -> None:
        if self.process(identity) is None:
            return
        ports = [port for _, port, holder in self.listeners if holder == identity]
        super().end(identity, status, zombie=zombie)
        for port in ports:
            self.connections.pop(port, None)
            self.opened.pop(port, None)
        if not zombie:
            self._free_pids.append(identity.pid)
            del self._free_pids[:-6]
        self.on_end(identity)

    def open_sessions(self, port: int, number: int) -> None:
        """Set the number of open sessions on a port."""
        if number:
            self.opened.setdefault(port, self.clock.now)
            self.connections[port] = number
        else:
            self.opened.pop(port, None)
            self.connections.pop(port, None)

    def lives(self, identity: ProcessIdentity | None) -> bool:
        return identity is not None and self.process(identity) is not None

    def listener_on(self, port: int) -> ProcessIdentity | None:
        return next((i for address, p, i in self.listeners if p == port and address in SERVES_LOOPBACK), None)

    def plan(self, delay_s: float, what: Callable[[], None]) -> None:
        """Plan an event of the world: `what` is called after `delay_s` seconds."""
        heapq.heappush(self._plans, _Planned(self.clock.now + delay_s, next(self._numbers), what))

    def next_plan(self) -> float | None:
        return self._plans[0].at if self._plans else None

    def happen(self) -> None:
        """Call the planned events that are due."""
        while self._plans and self._plans[0].at <= self.clock.now:
            heapq.heappop(self._plans).what()

    def reboot(self) -> None:
        """End every process. Pids begin again, and then mean other processes."""
        for process in list(self.processes.values()):
            self.end(process.identity)
        self.processes.clear()
        self.listeners.clear()
        self.connections.clear()
        self.opened.clear()
        self.manners.clear()
        self._plans.clear()
        self._free_pids.clear()
        self._pids = count(100)

    def restore_exit_events(self) -> None:
        """Let the kernel accept exit watches again."""
        if self.exit_events_stopped_at is not None:
            self.exit_events_stopped_at, self.exit_events_restored_at = None, self.clock.now

    def serve(self, process: ProcessIdentity, manners: Manners, delay_s: float) -> None:
        """Let a server listen after a while, if its ports are free then; otherwise it ends."""
        self.plan(delay_s, lambda: self._bind(process, manners))

    def _bind(self, identity: ProcessIdentity, manners: Manners) -> None:
        if not self.lives(identity):
            return
        if any(self.listener_on(port) for port in manners.ports.values()):
            self.end(identity, 98)
            return
        self.manners[identity] = manners
        for port in manners.ports.values():
            self.listen(identity, port)
        if manners.program == PACKAGED:
            self.installed.serves(PACKAGED, manners.version)

    def _serve(self, system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:  # noqa: ARG002 (the Protocol's)
        """Choose how a new server behaves: most listen soon; some never do, end, or leave the work to a child."""
        identity = process.identity
        self.lineage[identity] = Lineage(OURS, identity)
        program, version, *numbers = command.argv
        names = ("http", "sessions")[: len(numbers)]
        manners = Manners(program, version, dict(zip(names, map(int, numbers), strict=True)))
        roll, delay_s = self.faults.roll("program"), 0.02 + 0.3 * self.rng.random()
        if program == PACKAGED and self.installed.broken(PACKAGED, version):
            self.plan(delay_s, lambda: self.end(identity, 1))
        elif roll is None or roll > 0.9:
            self.serve(identity, manners, delay_s)
        elif roll < 0.15:
            self.plan(delay_s, lambda: self.end(identity, 3))
        elif roll < 0.22:
            process.ignores_sigterm = True
        elif roll < 0.45:
            self.serve(self.fork(identity, *command.argv), manners, delay_s)
        elif roll < 0.6:
            self.serve(identity, manners, delay_s * 12)
        else:
            helper = self.fork(identity, "helper", session=None if roll < 0.75 else identity.pid + 100_000)
            self.processes[helper.pid].ignores_sigterm = roll > 0.7
            self.serve(identity, manners, delay_s)
            if roll > 0.85:
                process.ignores_sigterm = True

    def answer_on(self, port: int) -> tuple[float, HttpAnswer | None]:
        """Return the answer on a port, and its delay in seconds; None if there is never an answer.

        Raises:
            UnusableAnswerError: something, but nothing that can be used.
        """
        identity = self.listener_on(port)
        if identity is None:
            return 0.0, None
        manners = self.manners.get(identity)
        if manners is None or self.faults.hit("answer wrong once"):
            raise UnusableAnswerError("it speaks something else")
        if self.clock.now < manners.silent_until:
            return 3600.0, None
        body = json.dumps({"name": manners.program, "version": manners.version, "leases": 0}).encode()
        return manners.slow_s + 0.02 * self.rng.random(), HttpAnswer(200, body)
