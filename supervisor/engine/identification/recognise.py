"""Recognises foreign servers on the ports of a kind: by the command line first, then by the answer. Changes nothing."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from ...core.foreign import ForeignServer
from ...core.model import Occupant, PortFact, Ports, ProcessIdentity, ProcessRow
from ...core.processes.owners import OwnerSeen, UnknownOwner
from ...core.processes.proof import ListenerFacts, Recognised, judge_listener
from ...core.processes.trees import ancestors, topmost_launcher
from ...kinds.kind import Kind
from ...kinds.programs import is_of
from ...kinds.queries.identify import Identification
from ...native.facts import SERVES_LOOPBACK
from ..state.context import EngineContext
from .adoption_marks import find_claim
from .bridges import client_started
from .foreign_owner import HIDDEN, home_of, owner_of
from .server_client import ServerClient


class Recogniser:
    """Tells whether a process is a server of a kind. Calls that block run outside the loop."""

    def __init__(self, context: EngineContext, server_client: ServerClient) -> None:
        self._context = context
        self._platform = context.platform
        self._server_client = server_client

    async def among(self, kind: Kind, facts: Mapping[int, PortFact]) -> dict[int, ForeignServer]:
        """Return the foreign servers that serve 127.0.0.1 on these ports, by port."""
        holders: dict[ProcessIdentity, tuple[Occupant, set[int]]] = {}
        for fact in facts.values():
            for listener in fact.listeners:
                identity = listener.occupant.identity
                if identity is not None and listener.address in SERVES_LOOPBACK:
                    holders.setdefault(identity, (listener.occupant, set()))[1].add(fact.port)
        for ours in self._context.records.server_processes():
            holders.pop(ours, None)
        looks = [self._look_alone(kind, occupant, next(iter(ports))) for occupant, ports in holders.values()]
        found = await asyncio.gather(*looks)
        return {
            port: foreign_server
            for foreign_server, (_, ports) in zip(found, holders.values(), strict=True)
            if foreign_server is not None
            for port in ports
        }

    async def _look_alone(self, kind: Kind, occupant: Occupant, port: int) -> ForeignServer | None:
        """Look at one process of several; a look that fails must not hide the other processes."""
        try:
            return await self.look(kind, occupant, port)
        except Exception as error:  # noqa: BLE001 (logged, and repeated at the next look)
            self._context.events.failed("stranger.failed", error, kind=kind.name, pid=occupant.pid, port=port)
            return None

    async def look(self, kind: Kind, occupant: Occupant, port: int) -> ForeignServer | None:
        """Return what a process that listens on a port is, None if it belongs to the process tree of a known server."""
        process = occupant.identity
        assert process is not None  # noqa: S101 (the caller has checked)
        fits = is_of(kind, occupant.command)
        if not fits:
            seen = self._appearance(kind, process, None, command_fits=False, complete=False)
            return ForeignServer(kind.name, process, process, occupant, {}, judge_listener(seen))
        owner: OwnerSeen | None = None
        try:
            token, home = await self._platform.lanes.look(home_of, self._context, process)
        except OSError:
            # The owner counts as unknown from here on, even if the environment becomes readable in a moment.
            token, home, owner = None, None, UnknownOwner(HIDDEN)
        ours = home == self._context.home_id
        if ours and token in {self._context.token(record) for record in self._context.records.servers.values()}:
            return None
        held = await self._platform.lanes.look(self._platform.ports.held_by, process)
        ports = ports_by_name(kind, held, port)
        said = await self._server_client.ask_foreign(kind, process, ports)
        complete = ports.keys() == kind.ports.keys()
        proof = judge_listener(self._appearance(kind, process, said, command_fits=True, complete=complete))
        bare = ForeignServer(kind.name, process, process, occupant, ports, proof)
        if said is None or not isinstance(proof, Recognised):
            return bare
        if owner is None:
            owner = await self._platform.lanes.look(owner_of, self._context, kind, process)
        taken = await self._platform.lanes.look(find_claim, self._context, process)
        return ForeignServer(
            kind.name,
            process,
            await launcher_of(self._context, process),
            occupant,
            ports,
            proof,
            version=said.version,
            owner=owner,
            leases=said.leases if kind.identify and kind.identify.leases else 0,
            sessions=await self._server_client.count_foreign_sessions(kind, ports),
            other_home=None if ours else home,
            stray=ours,
            claimed=taken,
            by_client=taken is None and await self._platform.lanes.look(client_started, self._context, kind, occupant),
        )

    def _appearance(
        self,
        kind: Kind,
        process: ProcessIdentity,
        said: Identification | None,
        *,
        command_fits: bool,
        complete: bool,
    ) -> ListenerFacts:
        return ListenerFacts(
            kind.name,
            self._platform.probe.same_user(process),
            command_fits=command_fits,
            strong=kind.identify is not None and bool(kind.identify.match),
            matches=None if said is None else said.matches,
            complete=complete,
            detail="" if said is None else said.detail,
        )


async def launcher_of(context: EngineContext, process: ProcessIdentity) -> ProcessIdentity:
    """Return the topmost process that does nothing but run this server, or the server itself."""
    table, commands = await context.platform.lanes.look(_above, context, process)
    return topmost_launcher(table, process, commands, context.records.owner_processes() | {context.me})


def _above(
    context: EngineContext, process: ProcessIdentity
) -> tuple[Sequence[ProcessRow], Mapping[ProcessIdentity, tuple[str, ...]]]:
    """Return the process table, and the command lines of the ancestors of a process. Blocks."""
    table = context.platform.processes.table()
    return table, {above: context.platform.probe.describe(above.pid).command for above in ancestors(table, process)}


def ports_by_name(kind: Kind, held: Collection[int], port: int) -> Ports:
    """Return the ports that a process listens on by their names in the kind, without the names that are ambiguous.

    `port` is a port that the process was found on. Where no range says otherwise, that port is asked.
    """
    found: dict[str, int] = {}
    for name, reach in kind.ports.items():
        inside = [number for number in held if reach.low <= number <= reach.high]
        if len(inside) == 1:
            found[name] = inside[0]
    asked = kind.identify.port if kind.identify else None
    if asked is not None and asked not in found and port in held and port not in found.values():
        found[asked] = port
    rest = [number for number in held if number not in found.values()]
    missing = [name for name in kind.ports if name not in found]
    if len(rest) == 1 and len(missing) == 1:
        found[missing[0]] = rest[0]
    return {name: found[name] for name in kind.ports if name in found}
