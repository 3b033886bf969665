"""The promises that are checked after every step."""

from collections import Counter
from dataclasses import dataclass, field

from supervisor.core.lifecycle import SERVING
from supervisor.core.model import ProcessIdentity, ServerRecord, ServerState
from supervisor.native.shared.exit_watch import TRY_AGAIN_EVERY_S
from tests.simulation.faults import ViolationError
from tests.simulation.ledger import LINGER_S, Ledger
from tests.simulation.life import Life
from tests.simulation.world import HOME, OURS, TOKEN, World

ORPHAN_BOUND_S = 5.0 + 1.0 + 1.0 + 4.0 + 2.0 + 4.0 + 5.0 + 2.0
"""Seconds for the grace, noticing the death, counting sessions, the stop of the server, the stop of its children, the
kill, and slow threads."""

BACK_BOUND_S = TRY_AGAIN_EVERY_S + 2.0
"""How long the daemon may still poll for exits after the kernel's exit events work again."""

OPERATION_BOUND_S = 250.0
PROJECT = "GODOT_SUPERVISOR_PROJECT"


@dataclass
class Checks:
    """Compares the records of the engine with the true state of the world. Every check raises `ViolationError`."""

    world: World
    ledger: Ledger
    excused: set[ProcessIdentity] = field(default_factory=set)
    """Live servers that need no record: the registry was lost before they could be recognised."""
    _orphan_since: dict[str, tuple[str, float]] = field(default_factory=dict)
    _faults_before: int = 0

    def after_step(self, life: Life | None) -> None:
        """Check every promise about servers, ports, operations, orphans and event sources."""
        self._one_each()
        if life is None or not life.ready:
            self._orphan_since.clear()
            return
        self._known(life)
        self._ports(life)
        self._operations_end(life)
        self._orphans(life)
        self._sources(life)

    def _sources(self, life: Life) -> None:
        world = self.world
        if world.exit_events_stopped_at is not None or not life.exits.polling.polled:
            return
        back = max(world.exit_events_restored_at, self.ledger.recovered_at, self.ledger.gap_at)
        if world.clock.now - back > BACK_BOUND_S:
            raise ViolationError("a source that is back is used again: exits are still polled")

    def alone(self, life: Life, what: str) -> None:
        """Check that no other daemon holds the home of a daemon that is about to act."""
        holder = self.world.folder.lock
        if holder not in (None, life.fake_home):
            raise ViolationError(f"never two daemons that both act: this one {what}, and another one has its home")

    def _living_roots(self) -> list[ProcessIdentity]:
        return [
            process.identity
            for process in self.world.processes.values()
            if not process.zombie
            and (truth := self.world.lineage[process.identity]).what == OURS
            and truth.root == process.identity
            and process.identity not in self.excused
        ]

    def _one_each(self) -> None:
        keys: Counter[tuple[str, str | None, str]] = Counter()
        ports: Counter[str] = Counter()
        for root in self._living_roots():
            process = self.world.processes[root.pid]
            program, version, *numbers = process.command
            server = process.environment[TOKEN].split(".", 1)[1].rpartition(".")[0]
            if server not in self.ledger.adopted:
                keys[(program, process.environment.get(PROJECT), version)] += 1
            ports.update(numbers)
        twice = [key for key, number in keys.items() if number > 1]
        if twice:
            raise ViolationError(f"one server for each key and version: {twice}")
        shared = [port for port, number in ports.items() if number > 1]
        if shared:
            raise ViolationError(f"no port twice: {shared}")

    def _known(self, life: Life) -> None:
        rows = {row.root for row in life.records.servers.values()}
        unknown = [root for root in self._living_roots() if root not in rows]
        if unknown:
            what = [(root.pid, self.world.processes[root.pid].command) for root in unknown]
            raise ViolationError(f"every live server of ours is known: {what} is not")

    def _ports(self, life: Life) -> None:
        over = (ServerState.STOPPED, ServerState.FAILED)
        promised = Counter(
            port for row in life.records.servers.values() if row.state not in over for port in row.ports.values()
        )
        twice = [port for port, number in promised.items() if number > 1]
        if twice:
            raise ViolationError(f"no port twice: {twice} are promised twice")

    def _operations_end(self, life: Life) -> None:
        now = self.world.clock.now
        for server_id, operation in life.operations._operations.items():
            if operation.task.done() and not life.loop.busy:
                raise ViolationError(f"the server accepts requests again: the ended operation still blocks {server_id}")
            if now - max(operation.running.since, self.ledger.gap_at) > OPERATION_BOUND_S:
                raise ViolationError(f"every operation ends: {operation.running} has not")

    def _orphans(self, life: Life) -> None:
        disturbed = self.world.faults.last != self._faults_before
        self._faults_before = self.world.faults.last
        now = self.world.clock.now
        before, self._orphan_since = self._orphan_since, {}
        for record in life.records.servers.values():
            if not self._orphan(life, record):
                continue
            launch, since = before.get(record.id, ("", now))
            # A lease may have come and gone within one step, and a daemon: the next one lets owners linger anew.
            lingered = [
                owner.leaving_since + LINGER_S
                for owner in record.owners
                if owner.leaving_since is not None and self.world.lives(owner.process)
            ]
            since = max(since, self.ledger.recovered_at, *lingered, *(lease.expires for lease in record.leases))
            if disturbed or launch != record.launch:
                since = now
            if now - since > ORPHAN_BOUND_S:
                raise ViolationError(
                    f"an orphan goes in time: {record.id} lives {now - since:.1f} s after its last user"
                )
            self._orphan_since[record.id] = (record.launch, since)

    def _orphan(self, life: Life, record: ServerRecord) -> bool:
        """Return whether nothing can keep the server any more, and the daemon has to end it."""
        if (
            record.state not in SERVING
            or record.observed_only
            or record.owners_unknown
            or not record.ever_owned
            or record.until_stopped
        ):
            return False
        if self.world.marks.get(record.process, set()) - {HOME}:  # type: ignore[arg-type]
            return False
        if life.operations.running(record.id) is not None or record.process in life.exits.unreported:
            return False
        silent = (manners := self.world.manners.get(record.process)) and self.world.clock.now < manners.silent_until  # type: ignore[arg-type]
        if silent or not record.owners or any(owner.process in life.exits.unreported for owner in record.owners):
            return False
        now = self.world.clock.now
        is_leased = any(lease.expires > now for lease in record.leases)
        if is_leased or self.ledger.holders(record) or self.ledger.is_awaited(record, life.records.editors):
            return False
        return not any(
            self.world.lives(owner.process) and (owner.leaving_since is None or now < owner.leaving_since + LINGER_S)
            for owner in record.owners
        )
