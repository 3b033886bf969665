"""A launch that is not ready: what was seen of it, which processes took its ports, and what its own processes do."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

from ...core.log_text import names_taken, taken_ports
from ...core.model import PassedOverPort, Ports, ProcessIdentity, ServerRecord
from ...core.symptoms import Symptoms
from ...kinds.kind import Kind, mentions_ports
from ..identification.server_client import ServerClient
from ..logs.excerpt import read_both_ends
from ..processes.leftovers import LeftoverFinder
from ..processes.stop import Stopper
from ..processes.tree import Target
from ..state.context import EngineContext


@dataclass(slots=True)
class WatchedLaunch:
    """A launch that the daemon waits for, and what was seen of the launch so far.

    `awaited_ports`: the ports that the server has to listen on. `on_background` is called with the process that is the
    server, once that has put itself into the background. `ended` is set when the process that `target` names has ended.
    `seen_below`: the processes that the first process ran while it lived. `background`: the processes that carry the
    launch token after the first process has ended. `answer`: the last answer, in words. `hung_up_on`: the port on which
    the server ended the last connection without an answer. `why_no_listeners`: why the system does not say which
    process listens. `other_listeners`: the processes outside of the launch that were seen on its ports, by port.
    """

    record: ServerRecord
    kind: Kind
    target: Target
    awaited_ports: Ports
    leftovers: LeftoverFinder
    on_background: Callable[[ProcessIdentity], None]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    seen_below: set[ProcessIdentity] = field(default_factory=set)
    background: tuple[ProcessIdentity, ...] = ()
    answer: str | None = None
    hung_up_on: int | None = None
    why_no_listeners: str | None = None
    other_listeners: dict[int, PassedOverPort] = field(default_factory=dict)

    @property
    def port_numbers(self) -> tuple[int, ...]:
        """The numbers of the ports that the server has to listen on."""
        return tuple(self.awaited_ports.values())


class LaunchDiagnosis:
    """Looks at a launch that is late or has failed. Only notes on the `WatchedLaunch` what was seen."""

    def __init__(self, context: EngineContext, server_client: ServerClient, stopper: Stopper) -> None:
        self._platform = context.platform
        self._server_client = server_client
        self._stopper = stopper

    async def symptoms(self, launch: WatchedLaunch) -> Symptoms:
        """Return what can be seen of a launch that did not become ready in time."""
        own = {member.identity for member in await self._stopper.read_members(launch.target)} | set(launch.background)
        sockets = await self._platform.lanes.look(self._sockets, own)
        answer = launch.answer
        if launch.hung_up_on is not None:
            port = launch.hung_up_on
            if {address for address, bound in sockets if bound == port} == {"::"}:
                answer = "it listens on :: for IPv6 only, not on 127.0.0.1"
            elif await self._server_client.speaks_tls(port):
                answer = "the answer is not HTTP: it speaks TLS"
        if launch.why_no_listeners is not None:
            return Symptoms({}, (), f"the system does not tell who listens: {launch.why_no_listeners}")
        pids = pids_of(launch.background)
        return Symptoms(launch.awaited_ports, sockets, answer, pids, told_ports=mentions_ports(launch.kind))

    async def lost_ports(self, launch: WatchedLaunch) -> tuple[PassedOverPort, ...]:
        """Return the ports that other processes have now, else those seen earlier, else those in the server's log."""
        others = await self._find_other_listeners(launch)
        if others or launch.other_listeners:
            return others or tuple(launch.other_listeners.values())
        lines = read_both_ends(launch.record.log)
        taken = taken_ports(lines, launch.record.ports.values())
        named = "the server's log says that it was in use"
        unnamed = "the server's log says that a port was in use, and not which"
        return tuple(
            PassedOverPort(port, None, named if names_taken(lines, port) else unnamed) for port in sorted(taken)
        )

    async def note_other_listeners(self, launch: WatchedLaunch) -> None:
        """Note other processes on the ports, because they may have gone by the time that the server fails for them."""
        with contextlib.suppress(OSError):
            if await self._platform.lanes.look(self._platform.ports.in_use, launch.port_numbers):
                launch.other_listeners.update({found.port: found for found in await self._find_other_listeners(launch)})

    def _sockets(self, processes: set[ProcessIdentity]) -> frozenset[tuple[str, int]]:
        """Return the addresses and ports that these processes listen on. Blocks."""
        return frozenset(socket for process in processes for socket in self._platform.ports.addresses_of(process))

    async def _find_other_listeners(self, launch: WatchedLaunch) -> tuple[PassedOverPort, ...]:
        """Return the ports of the launch that processes outside of the launch listen on."""
        facts = await self._platform.lanes.look(self._platform.ports.facts, launch.record.ports.values())
        if not any(fact.listeners for fact in facts.values()):
            return ()
        own = {member.identity for member in await self._stopper.read_members(launch.target)}
        own.update((await launch.leftovers.find()).carriers)
        return tuple(
            PassedOverPort(fact.port, listener.occupant, f"another process listens on {listener.address} now")
            for fact in facts.values()
            for listener in fact.listeners
            if listener.occupant.identity not in own
        )


def pids_of(processes: tuple[ProcessIdentity, ...]) -> tuple[int, ...]:
    """Return the pids of processes."""
    return tuple(process.pid for process in processes)
