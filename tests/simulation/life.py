"""The life of one daemon: the real engine on a platform that fails as the seed says. Any call can kill the daemon."""

import asyncio
import errno
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from supervisor.core.model import Liveness, Occupant, PortFact, ProcessIdentity, ProcessRow, RegistryContents
from supervisor.daemon.home_checks import CheckedStore, checked_platform
from supervisor.daemon.home_ownership import HomeOwnership
from supervisor.engine.assembly import Site, assemble
from supervisor.engine.identification.queries import OVER_LOOPBACK
from supervisor.errors import StateNotWritable
from supervisor.kinds.catalog import Catalog
from supervisor.kinds.queries.loopback import HttpAnswer
from supervisor.native.api import ChildCommand, Platform, Watch
from supervisor.native.shared.exit_watch import ArmedWatch, PollingExitWatcher
from supervisor.native.shared.lanes import ThreadLanes
from supervisor.native.shared.process_queries import ProcessQueries
from supervisor.registry.codec import Encoder, UnreadableError, decode
from supervisor.registry.store import Found, Loaded
from tests.fake_home import FakeHome
from tests.fakes import FakeFileWatcher, FakeMarks, FakePeerCheck, FakePortTable, FakeProbe, FakeProcessControl
from tests.simulation.faults import InjectedError
from tests.simulation.loop import DaemonKilledError, SimulatedLoop
from tests.simulation.world import HOME, World

Judge = Callable[[ProcessIdentity, str], None]


class Disk:
    """The disk with the registry. `full`: every write fails."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.full = False

    def load(self) -> Loaded:
        if self.data is None:
            return Loaded(RegistryContents(), Found.MISSING)
        try:
            return Loaded(decode(self.data), Found.READ)
        except UnreadableError as error:
            self.data = None
            return Loaded(RegistryContents(), Found.SET_ASIDE, None, str(error))


class SeededRandomSource:
    """Ids and pauses that are the same each time that a seed is played."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def token(self, count: int) -> str:
        return f"{self._rng.getrandbits(8 * count):0{2 * count}x}"

    def fraction(self) -> float:
        return self._rng.random()


async def _speaks_no_tls(_port: int, _timeout_s: float) -> bool:
    return False


class EventListener:
    """The log of the engine: passes each event, with its level, to a function."""

    def __init__(self, listener: Callable[[str, str, Mapping[str, Any]], None]) -> None:
        self._listener = listener

    def info(self, event: str, **fields: Any) -> None:
        self._listener("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._listener("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._listener("error", event, fields)


class Life:
    """The engine between a start and its end. Once it is dead, none of its calls reaches the world."""

    def __init__(
        self,
        world: World,
        disk: Disk,
        catalog: Catalog,
        folder: Path,
        rng: Random,
        judge: Judge,
        event_listener: EventListener,
    ) -> None:
        self.world = world
        self.disk = disk
        self.alive = True
        self.rng = rng
        self.judge = judge
        self.loop = SimulatedLoop(world.clock, self._thread_delay_s)
        self._encoder = Encoder()
        self.fake_home = FakeHome(world.folder, world.machine)
        self.home_ownership = HomeOwnership(self.fake_home)
        self.home_ownership.on_lost = lambda: world.plan(0.0, self.withdraw)
        self.me = world.start("daemon")
        world.me = self.me
        world.touch = self.touch
        self.exits = _Exits(self)
        world.on_end = self.exits.ended
        probe = _Probe(self)
        platform = Platform(
            clock=world.clock,
            probe=probe,
            exits=self.exits,
            processes=_Processes(self),
            ports=_Ports(self, probe),
            files=FakeFileWatcher(),
            peers=FakePeerCheck(),
            lanes=ThreadLanes(ProcessQueries(probe.identify)),
            marks=FakeMarks(world),
        )
        site = Site(HOME, folder / "logs", folder / "environments", {"PATH": "/bin"}, discover="watch")
        with self.loop.running():
            checked, store = checked_platform(platform, self.home_ownership), CheckedStore(self, self.home_ownership)
            queries = replace(OVER_LOOPBACK, speaks_tls=_speaks_no_tls)
            self.engine = assemble(
                checked, store, event_listener, catalog, self.me, site, queries, SeededRandomSource(rng)
            )
        self.records = self.engine.context.records
        self.supervisor = self.engine.supervisor
        self.attachments = self.engine.attachments
        self.operations = self.supervisor.operations
        self.ready = False
        self.on_act: Callable[[str], None] = lambda what: None  # noqa: ARG005 (until a ledger is attached)

    def touch(self, *faults: str) -> None:
        """Let a call of the engine reach the world, unless the daemon dies before it has an effect, or a fault comes.

        Raises:
            DaemonKilledError: the daemon is dead, or dies now.
            InjectedError: one of the faults comes now.
        """
        if not self.alive:
            raise DaemonKilledError
        if self.world.faults.hit("daemon killed in a call"):
            self.die()
            raise DaemonKilledError
        for fault in faults:
            self.world.faults.maybe_refuse(fault)

    def done(self) -> None:
        """Mark the end of a call: it has had its effect, and the daemon may die before it gets the answer."""
        if self.world.faults.hit("daemon killed in a call"):
            self.die()
            raise DaemonKilledError

    def act(self, what: str) -> None:
        """Report that the daemon is about to change the world or the registry; `on_act` checks that it may."""
        self.on_act(what)

    def withdraw(self) -> None:
        """End the daemon, because another daemon has taken its home."""
        self.die()

    def die(self) -> None:
        """End the daemon as by SIGKILL."""
        if self.alive:
            self.alive = False
            self.home_ownership.release()
            self.world.on_end = lambda identity: None  # noqa: ARG005
            self.world.end(self.me, -9)

    async def begin(self) -> None:
        """Do what the daemon does before it publishes its endpoint."""
        await self.engine.recovery.run(self.disk.load())
        self.supervisor.begin()
        self.attachments.begin()
        self.ready = True

    def write(self, state: RegistryContents) -> None:
        """Replace the registry atomically; `Life` is the store of its engine."""
        self.touch()
        if self.disk.full or self.world.faults.hit("write refused"):
            raise InjectedError("No space left on device")
        self.act("writes the registry")
        self.disk.data = self._encoder.encode(state)
        self.done()

    async def ask(self, port: int, path: str, bearer: str | None, timeout_s: float) -> HttpAnswer | None:  # noqa: ARG002 (the product's)
        """Ask the server on a port, in the place of HTTP; return None if no answer comes in time."""
        self.touch()
        after_s, answer = self.world.answer_on(port)
        before = self.world.listener_on(port)
        await asyncio.sleep(min(after_s, timeout_s))
        self.touch()
        return answer if after_s <= timeout_s and before == self.world.listener_on(port) else None

    def log_for(self, server_id: str, launch: str) -> Path:
        """Return the path of a log. The real method makes the folder, so this one may fail as that does."""
        self.touch()
        if self.world.faults.hit("log folder refused"):
            raise StateNotWritable("no folder for the server's log")
        return Path(f"/logs/{server_id}/{launch}.log")

    def _thread_delay_s(self) -> float:
        roll = self.world.faults.roll("thread slow")
        return 0.0 if roll is None else roll * roll * 2.0


class _Probe(FakeProbe):
    def __init__(self, life: Life) -> None:
        super().__init__(life.world)
        self._life = life

    def identify(self, pid: int) -> ProcessIdentity | None:
        self._life.touch("probe denied")
        return super().identify(pid)

    def sample(self, identity: ProcessIdentity) -> Liveness:
        self._life.touch()
        faults = self._life.world.faults
        if faults.hit("probe denied"):
            return Liveness.UNKNOWN if self._life.rng.random() < 0.5 else Liveness.ALIVE
        return Liveness.ALIVE if self._life.world.lives(identity) else Liveness.DEAD

    def same_user(self, identity: ProcessIdentity) -> bool | None:
        self._life.touch()
        return None if self._life.world.faults.hit("probe denied") else super().same_user(identity)

    def same_namespace(self, identity: ProcessIdentity) -> bool | None:
        self._life.touch()
        return None if self._life.world.faults.hit("probe denied") else super().same_namespace(identity)

    def started_at(self, identity: ProcessIdentity) -> float | None:
        self._life.touch()
        return None if self._life.world.faults.hit("probe denied") else super().started_at(identity)

    def creation_order(self, identity: ProcessIdentity) -> float | None:
        self._life.touch()
        return None if self._life.world.faults.hit("probe denied") else super().creation_order(identity)

    def describe(self, pid: int) -> Occupant:
        self._life.touch()
        # As in `variable`: a recovery can read the processes that it looks at.
        denied = self._life.ready and self._life.world.faults.hit("probe denied")
        return Occupant() if denied else super().describe(pid)


class _Watch:
    def __init__(self, exits: "_Exits", identity: ProcessIdentity, on_exit: Callable[[], None]) -> None:
        self._exits, self.identity, self._on_exit = exits, identity, on_exit
        self._armed = True

    def close(self) -> None:
        self._armed = False
        watches = self._exits.watches.get(self.identity, [])
        if self in watches:
            watches.remove(self)

    def fire(self) -> None:
        if self._armed:
            self.close()
            self._on_exit()


class _Exits:
    """Exit events of the kernel, which come in time, late, without a death, or never.

    `unreported`: the processes whose event was lost.
    """

    def __init__(self, life: Life) -> None:
        self._life = life
        self.watches: dict[ProcessIdentity, list[_Watch]] = {}
        self.polling = PollingExitWatcher(_Probe(life), lambda _: None, take_over=self._take_over)
        self.unreported: set[ProcessIdentity] = set()

    def watch(self, identity: ProcessIdentity, on_exit: Callable[[], None]) -> Watch:
        self._life.touch()
        if self._life.world.exit_events_stopped_at is not None:
            return self.polling.watch(identity, on_exit)
        return self._watch(identity, on_exit)

    def _take_over(self, polled: ArmedWatch) -> None:
        if self._life.world.exit_events_stopped_at is not None:
            raise InjectedError("Too many open files")
        watch = self._watch(polled.identity, polled.fire)
        polled.set_disarm(lambda _: watch.close())

    def _watch(self, identity: ProcessIdentity, on_exit: Callable[[], None]) -> _Watch:
        watch = _Watch(self, identity, on_exit)
        self.watches.setdefault(identity, []).append(watch)
        if not self._life.world.lives(identity):
            self._life.loop.call_soon(watch.fire)
        elif self._life.world.faults.hit("event without a cause"):
            self._life.loop.call_later(self._life.rng.random(), watch.fire)
        return watch

    def note(self) -> str | None:
        return self.polling.note()

    def ended(self, identity: ProcessIdentity) -> None:
        """Report the end of a process to its watches, unless the event is lost."""
        faults, loop = self._life.world.faults, self._life.loop
        if identity in self.watches and faults.hit("event lost"):
            self.unreported.add(identity)
            return
        for watch in self.watches.get(identity, []):
            late = faults.roll("event late")
            loop.call_later(3 * late, watch.fire) if late else loop.call_soon(watch.fire)


class _Processes(FakeProcessControl):
    def __init__(self, life: Life) -> None:
        super().__init__(life.world)
        self._life = life

    def spawn(self, command: ChildCommand) -> ProcessIdentity:
        self._life.touch("spawn refused")
        self._life.act("starts a process")
        identity = super().spawn(command)
        self._life.done()
        return identity

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        self._life.touch()
        return super().exit_status(identity)

    async def ask_to_end(self, identity: ProcessIdentity) -> bool:
        self._life.touch()
        self._life.act("asks a process to end")
        self._life.judge(identity, "asked to end")
        self._life.touch("signal refused")
        asked = await super().ask_to_end(identity)
        self._life.done()
        return asked

    def kill(self, identity: ProcessIdentity) -> bool:
        self._life.touch()
        self._life.act("kills a process")
        self._life.judge(identity, "killed")
        self._life.touch("signal refused")
        killed = super().kill(identity)
        self._life.done()
        return killed

    def table(self) -> tuple[ProcessRow, ...]:
        self._life.touch("table refused")
        return super().table()

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        self._life.touch()
        # A recovery looks at processes that a daemon of this user started, and these can be read (docs/reliability.md,
        # Assumptions).
        if self._life.ready and self._life.world.faults.hit("variable hidden"):
            raise PermissionError(errno.EACCES, "hidden")
        return super().variable(identity, name)


class _Ports(FakePortTable):
    def __init__(self, life: Life, probe: FakeProbe) -> None:
        super().__init__(life.world, probe)
        self._life = life

    def facts(self, ports: Iterable[int]) -> Mapping[int, PortFact]:
        self._life.touch("ports refused")
        return super().facts(ports)

    def match_listeners(self, ports: Iterable[int], among: Sequence[ProcessIdentity]) -> Mapping[int, ProcessIdentity]:
        self._life.touch("ports refused")
        return super().match_listeners(ports, among)

    def in_use(self, ports: Collection[int]) -> frozenset[int]:
        self._life.touch("ports refused")
        return super().in_use(ports)

    def held_by(self, identity: ProcessIdentity) -> frozenset[int]:
        self._life.touch()
        return frozenset() if self._life.world.faults.hit("probe denied") else super().held_by(identity)

    def count_connections(self, port: int) -> int | None:
        self._life.touch()
        faults = self._life.world.faults
        if faults.hit("sessions hidden"):
            return None
        if faults.hit("sessions wrong once"):
            return 1
        return super().count_connections(port)
