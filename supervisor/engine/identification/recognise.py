"""Looks at strangers on the ports of a kind: their command lines first, then their answers. Touches nothing."""

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence

from ...core.foreign import ForeignServer
from ...core.model import Liveness, Occupant, PortFact, Ports, ProcessIdentity, ProcessRow
from ...core.processes.owners import OwnerSeen, UnknownOwner
from ...core.processes.proof import Appearance, Recognised, launcher, parents, recognised
from ...kinds.credentials import read_back
from ...kinds.kind import Kind
from ...kinds.programs import is_of
from ...kinds.queries.identify import Identification, identify
from ...kinds.queries.loopback import UnusableAnswerError
from ...native.facts import SERVES_LOOPBACK
from ..state.context import EngineContext
from .adoption_marks import claimed
from .bridges import client_started
from .foreign_owner import HIDDEN, environment_of, home_of, owner_of
from .server_client import sessions_of

PATIENCE_S = 1.0
"""How long a stranger may take to say who it is."""


class Recogniser:
    """Tells strangers from servers. Everything that blocks leaves the loop."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._platform = context.platform
        self._secrets: dict[ProcessIdentity, Mapping[str, str]] = {}

    async def among(self, kind: Kind, facts: Mapping[int, PortFact]) -> dict[int, ForeignServer]:
        """Those who serve 127.0.0.1 on these ports and are none of ours, by port."""
        holders: dict[ProcessIdentity, tuple[Occupant, set[int]]] = {}
        for fact in facts.values():
            for listener in fact.listeners:
                identity = listener.occupant.identity
                if identity is not None and listener.address in SERVES_LOOPBACK:
                    holders.setdefault(identity, (listener.occupant, set()))[1].add(fact.port)
        for ours in self._ours():
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
        """One of several: where a look at it fails, the others are seen all the same."""
        try:
            return await self.look(kind, occupant, port)
        except Exception as error:  # noqa: BLE001 (told, and looked at again the next time)
            self._context.events.failed("stranger.failed", error, kind=kind.name, pid=occupant.pid, port=port)
            return None

    async def look(self, kind: Kind, occupant: Occupant, port: int) -> ForeignServer | None:
        """One process that listens on a port. None: it is of the tree of a server that we know."""
        process = occupant.identity
        assert process is not None  # noqa: S101 (whoever asks has looked)
        fits = is_of(kind, occupant.command)
        if not fits:
            seen = self._appearance(kind, process, None, command_fits=False, complete=False)
            return ForeignServer(kind.name, process, process, occupant, {}, recognised(seen))
        owner: OwnerSeen | None = None
        try:
            token, home = await self._platform.lanes.look(home_of, self._context, process)
        except OSError:
            # Nobody knows whom it belongs to, whatever its environment may tell in a moment.
            token, home, owner = None, None, UnknownOwner(HIDDEN)
        ours = home == self._context.home_id
        if ours and token in {self._context.token(record) for record in self._context.records.servers.values()}:
            return None
        held = await self._platform.lanes.look(self._platform.ports.held_by, process)
        ports = ports_by_name(kind, held, port)
        said = await self._ask(kind, process, ports)
        complete = ports.keys() == kind.ports.keys()
        proof = recognised(self._appearance(kind, process, said, command_fits=True, complete=complete))
        bare = ForeignServer(kind.name, process, process, occupant, ports, proof)
        if said is None or not isinstance(proof, Recognised):
            return bare
        if owner is None:
            owner = await self._platform.lanes.look(owner_of, self._context, kind, process)
        taken = await self._platform.lanes.look(claimed, self._context, process)
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
            sessions=await self._sessions(kind, ports),
            other_home=None if ours else home,
            stray=ours,
            claimed=taken,
            by_client=taken is None and await self._platform.lanes.look(client_started, self._context, kind, occupant),
        )

    def secrets(self, foreign_server: ForeignServer) -> Mapping[str, str]:
        """What it was asked with, read from its own record."""
        return self._secrets.get(foreign_server.process, {})

    def _ours(self) -> set[ProcessIdentity]:
        rows = self._context.records.servers.values()
        return {process for row in rows for process in (row.root, row.process) if process is not None}

    def _appearance(
        self,
        kind: Kind,
        process: ProcessIdentity,
        said: Identification | None,
        *,
        command_fits: bool,
        complete: bool,
    ) -> Appearance:
        return Appearance(
            kind.name,
            self._platform.probe.same_user(process),
            command_fits=command_fits,
            strong=kind.identify is not None and bool(kind.identify.match),
            matches=None if said is None else said.matches,
            complete=complete,
            detail="" if said is None else said.detail,
        )

    async def _ask(self, kind: Kind, process: ProcessIdentity, ports: Ports) -> Identification | None:
        """Its answer, if it was its own. A secret is only ever sent to a process of this user."""
        if kind.identify is None or not kind.identify.match or kind.identify.port not in ports:
            return None
        if self._platform.probe.same_user(process) is not True:
            return None
        secrets = await self._platform.lanes.look(self._read_secrets, kind, process, ports)
        said = await identify(kind, ports, secrets, PATIENCE_S)
        port = ports[kind.identify.port]
        listening = await self._platform.lanes.look(self._platform.ports.listeners, (port,), (process,))
        if said is None or listening.get(port) != process:
            return None
        if said.matches:
            self._remember(process, secrets)
        return said

    def _remember(self, process: ProcessIdentity, secrets: Mapping[str, str]) -> None:
        """Until it is taken over, or has ended."""
        kept = {known: held for known, held in self._secrets.items() if self._lives(known)}
        self._secrets = {**kept, process: secrets}

    def _lives(self, process: ProcessIdentity) -> bool:
        return self._platform.probe.sample(process) is not Liveness.DEAD

    def _read_secrets(self, kind: Kind, process: ProcessIdentity, ports: Ports) -> Mapping[str, str]:
        return read_back(kind, ports, environment_of(self._context, kind, process))

    async def _sessions(self, kind: Kind, ports: Ports) -> int | None:
        with contextlib.suppress(UnusableAnswerError):
            return await sessions_of(self._platform, kind, ports, PATIENCE_S)
        return None


async def launcher_of(context: EngineContext, process: ProcessIdentity) -> ProcessIdentity:
    """The topmost process that only runs this server, or itself."""
    table, commands = await context.platform.lanes.look(_above, context, process)
    records = context.records
    forbidden = {editor.process for editor in records.editors.values()} | {context.me}
    forbidden |= {owner.process for record in records.servers.values() for owner in record.owners}
    return launcher(table, process, commands, forbidden)


def _above(
    context: EngineContext, process: ProcessIdentity
) -> tuple[Sequence[ProcessRow], Mapping[ProcessIdentity, tuple[str, ...]]]:
    """The process table, and the command lines of those above a process. Blocking."""
    table = context.platform.processes.table()
    return table, {above: context.platform.probe.describe(above.pid).command for above in parents(table, process)}


def ports_by_name(kind: Kind, held: Collection[int], port: int) -> Ports:
    """Which of the ports that a process listens on is which. A name that cannot be told is left out.

    `port` is one that it was found on: where no range says otherwise, it is the one that is asked.
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
