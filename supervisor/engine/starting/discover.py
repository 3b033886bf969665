"""Finds foreign servers, so that the daemon can look after them. Cheap looks come first, and no request waits long."""

import asyncio
from collections.abc import Callable, Iterable, Mapping

from ...core.foreign import ForeignServer
from ...core.model import Bridge, PortFact, ServerRecord
from ...core.processes.owners import UnknownOwner
from ...core.processes.proof import Recognised
from ...kinds.kind import Kind
from ...native.lane import Lane, take
from ..identification.foreign_owner import ENVIRONMENT_UNREADABLE, owner_of, token_and_home_of
from ..identification.recognise import Recogniser
from ..state.context import EngineContext
from .takeover import Takeover

INTERVAL_S = 30.0
"""The time from the end of a look to the next one."""

QUIET_S = 5.0
"""The time after a look in which `look_soon` starts no other one."""

WAIT_S = 3.0
"""How long a request waits for a look, at most."""


class Discovery:
    """Looks at the start of the daemon, at an interval, and after reads. With `discover = "off"` it does nothing.

    `on_found` gets the record of each server that is found, or whose owner has become known; `engine.assembly` sets it.
    """

    def __init__(self, context: EngineContext, recogniser: Recogniser, takeover: Takeover) -> None:
        self._context = context
        self._records = context.records
        self._recogniser = recogniser
        self._takeover = takeover
        self._timer: asyncio.TimerHandle | None = None
        self._background_look: asyncio.Task[None] | None = None
        self._quiet_until = 0.0
        self._unread: dict[str, str] = {}
        """The ids of the servers whose environment could not be read, by launch."""
        self._bridges: frozenset[int] = frozenset()
        """The pids of the bridges whose server was stopped. Each may start a server of its own."""
        self._closed = False
        self.on_found: Callable[[ServerRecord], None]

    def begin(self) -> None:
        """Start the first look; each look plans the next one."""
        if self._context.discover != "off":
            self._start_look()

    def look_soon(self) -> None:
        """Start a look because a client has read the servers, so that its next read shows more."""
        if self._context.discover == "off" or self._context.platform.clock.monotonic() < self._quiet_until:
            return
        self._start_look()

    def expect_servers_of(self, bridges: Iterable[Bridge]) -> None:
        """Have reads look before they answer, for as long as one of these bridges lives."""
        self._bridges |= {bridge.pid for bridge in bridges}

    def expects_servers(self) -> bool:
        """Return whether one of the expected bridges lives, and so may have started a server since the last look."""
        self._bridges = frozenset(pid for pid in self._bridges if self._pid_may_be_in_use(pid))
        return bool(self._bridges)

    def _pid_may_be_in_use(self, pid: int) -> bool:
        """Return whether a process has the pid, or the system does not tell."""
        try:
            return self._context.platform.probe.identify(pid) is not None
        except OSError:
            return True

    async def look_and_wait(self) -> None:
        """Look now, and wait for the result for `WAIT_S` at most. Does nothing where discovery is off."""
        if self._context.discover == "off" or self._closed:
            return
        self._start_look()
        task = self._background_look
        if task is not None:
            await asyncio.wait({task}, timeout=WAIT_S)

    def close(self) -> None:
        """Stop looking."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._background_look is not None:
            self._background_look.cancel()

    async def look(self) -> list[ServerRecord]:
        """Look now, and return the records of servers that were not known before. `on_found` gets each of them at once.

        Raises:
            OSError: the system does not say which processes listen.
        """
        await self._reread_environments()
        kinds = [kind for kind in self._context.catalog.kinds.values() if kind.identify and kind.identify.match]
        ports = {kind.name: _ports_of(kind) - self._known_ports() for kind in kinds}
        wanted = frozenset[int]().union(*ports.values())
        listening = await self._context.platform.lanes.look(self._context.platform.ports.in_use, wanted)
        if not listening:
            return []
        facts = await self._context.platform.lanes.look(self._context.platform.ports.facts, listening)
        found: list[ServerRecord] = []
        for kind in kinds:
            facts_of_kind = {port: fact for port, fact in facts.items() if port in ports[kind.name]}
            try:
                found += await self._look_for(kind, facts_of_kind) if facts_of_kind else []
            except Exception as error:  # noqa: BLE001 (logged; the look continues with the other kinds)
                self._context.events.report_failure("discovery.failed", error, kind=kind.name)
        return found

    async def _look_for(self, kind: Kind, facts: Mapping[int, PortFact]) -> list[ServerRecord]:
        """Add a record for each new server of a kind on these ports, and return the records."""
        foreign_servers = await self._recogniser.find_servers(kind, facts)
        found = []
        for foreign_server in foreign_servers.values():
            if self._is_new(foreign_server):
                record = self._takeover.record_found(kind, foreign_server)
                found.append(record)
                if foreign_server.owner == UnknownOwner(ENVIRONMENT_UNREADABLE):
                    self._unread[record.launch] = record.id
                self.on_found(record)
        return found

    async def _reread_environments(self) -> None:
        """Read again the environments that could not be read, because a process is unreadable during an execve.

        Other unknown owners stay unknown: if the environment names a thread as the owner, its end would look like the
        end of an owner.
        """
        for launch, server_id in list(self._unread.items()):
            record = self._records.servers.get(server_id)
            known = record is not None and record.launch == launch and record.kind in self._context.catalog.kinds
            if record is None or record.process is None or not (known and record.observed_only):
                del self._unread[launch]
                continue
            try:
                _, home = await self._context.platform.lanes.look(token_and_home_of, self._context, record.process)
            except OSError:
                continue
            owner = await self._context.platform.lanes.look(
                owner_of, self._context, self._context.kind_of(record), record.process
            )
            if owner == UnknownOwner(ENVIRONMENT_UNREADABLE):
                continue
            del self._unread[launch]
            current = self._records.servers.get(server_id)
            is_settled = not isinstance(owner, UnknownOwner) and home != self._context.home_id
            if is_settled and current is not None and (current.launch, current.observed_only) == (launch, True):
                self.on_found(self._takeover.note_owner(current, owner, other_home=home))

    def _is_new(self, foreign_server: ForeignServer) -> bool:
        """Return whether the server is recognised, and got no record while it was asked."""
        known = bool(self._records.find_by_process(foreign_server.process))
        taken = not self._known_ports().isdisjoint(foreign_server.ports.values())
        return isinstance(foreign_server.recognition, Recognised) and not known and not taken

    def _known_ports(self) -> frozenset[int]:
        return frozenset(self._records.reserved_ports())

    def _start_look(self) -> None:
        if self._background_look is None and not self._closed:
            self._background_look = asyncio.get_running_loop().create_task(self._look_in_background(), name="discovery")

    async def _look_in_background(self) -> None:
        take(Lane.DISCOVERY)
        try:
            await self.look()
        except Exception as error:  # noqa: BLE001 (a look that failed is logged, and repeated)
            self._context.events.report_failure("discovery.failed", error)
        finally:
            self._background_look = None
            self._plan_next_look()

    def _plan_next_look(self) -> None:
        self._quiet_until = self._context.platform.clock.monotonic() + QUIET_S
        if self._timer is not None:
            self._timer.cancel()
        if not self._closed:
            self._timer = asyncio.get_running_loop().call_later(INTERVAL_S, self._start_look)


def _ports_of(kind: Kind) -> frozenset[int]:
    return frozenset(port for each in kind.ports.values() for port in each.numbers)
