"""Recognises foreign servers on the ports of a kind: by the command line first, then by the answer. Changes nothing."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

from ...core.foreign import ForeignServer
from ...core.model import Occupant, PortFact, Ports, ProcessIdentity, ProcessRow
from ...core.processes.owners import ForeignOwner, UnknownOwner
from ...core.processes.proof import ListenerFacts, Recognised, judge_listener
from ...core.processes.trees import ancestors, topmost_launcher
from ...kinds.kind import Kind
from ...kinds.programs import is_command_of
from ...kinds.queries.identify import Identification
from ...native.facts import SERVES_LOOPBACK
from ..state.context import EngineContext
from .adoption_marks import find_other_adoption
from .bridges import is_started_by_bridge
from .foreign_owner import ENVIRONMENT_UNREADABLE, owner_of, token_and_home_of
from .server_client import ServerClient


class Recogniser:
    """Finds out whether a process is a server of a kind, and whose."""

    def __init__(self, context: EngineContext, server_client: ServerClient) -> None:
        self._context = context
        self._platform = context.platform
        self._server_client = server_client

    async def find_servers(self, kind: Kind, facts: Mapping[int, PortFact]) -> dict[int, ForeignServer]:
        """Return by port which foreign process serves 127.0.0.1 on it. Some of them may not be recognised.

        `facts` are the facts about ports, by port.
        """
        holders: dict[ProcessIdentity, tuple[Occupant, set[int]]] = {}
        for fact in facts.values():
            for listener in fact.listeners:
                identity = listener.occupant.identity
                if identity is not None and listener.address in SERVES_LOOPBACK:
                    holders.setdefault(identity, (listener.occupant, set()))[1].add(fact.port)
        for own in self._context.records.server_processes():
            holders.pop(own, None)
        attempts = [self._recognise_or_log(kind, occupant, next(iter(ports))) for occupant, ports in holders.values()]
        found = await asyncio.gather(*attempts)
        return {
            port: foreign_server
            for foreign_server, (_, ports) in zip(found, holders.values(), strict=True)
            if foreign_server is not None
            for port in ports
        }

    async def _recognise_or_log(self, kind: Kind, occupant: Occupant, port: int) -> ForeignServer | None:
        """Recognise one process of several. A failure is logged, because it must not hide the other processes."""
        try:
            return await self.recognise(kind, occupant, port)
        except Exception as error:  # noqa: BLE001 (logged, and repeated at the next look)
            self._context.events.report_failure("stranger.failed", error, kind=kind.name, pid=occupant.pid, port=port)
            return None

    async def recognise(self, kind: Kind, occupant: Occupant, port: int) -> ForeignServer | None:
        """Return what the listening process on a port is, recognised or not.

        Return None if it carries the launch token of a server that has a record.
        """
        process = occupant.identity
        assert process is not None  # noqa: S101 (the caller has checked)
        fits = is_command_of(kind, occupant.command)
        if not fits:
            seen = self._listener_facts(kind, process, None, command_fits=False, complete=False)
            return ForeignServer(kind.name, process, process, occupant, {}, judge_listener(seen))
        owner: ForeignOwner | None = None
        try:
            token, home = await self._platform.lanes.look(token_and_home_of, self._context, process)
        except OSError:
            # The owner counts as unknown from here on, even if the environment becomes readable in a moment.
            token, home, owner = None, None, UnknownOwner(ENVIRONMENT_UNREADABLE)
        is_of_this_home = home == self._context.home_id
        if is_of_this_home and token in {
            self._context.launch_token(record) for record in self._context.records.servers.values()
        }:
            return None
        held = await self._platform.lanes.look(self._platform.ports.held_by, process)
        ports = ports_by_name(kind, held, port)
        said = await self._server_client.ask_foreign(kind, process, ports)
        complete = ports.keys() == kind.ports.keys()
        proof = judge_listener(self._listener_facts(kind, process, said, command_fits=True, complete=complete))
        without_details = ForeignServer(kind.name, process, process, occupant, ports, proof)
        if said is None or not isinstance(proof, Recognised):
            return without_details
        if owner is None:
            owner = await self._platform.lanes.look(owner_of, self._context, kind, process)
        other_adoption = await self._platform.lanes.look(find_other_adoption, self._context, process)
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
            other_home=None if is_of_this_home else home,
            stray=is_of_this_home,
            other_adoption=other_adoption,
            started_by_bridge=other_adoption is None
            and await self._platform.lanes.look(is_started_by_bridge, self._context, kind, occupant),
        )

    def _listener_facts(
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
            can_prove=kind.identify is not None and bool(kind.identify.match),
            matches=None if said is None else said.matches,
            complete=complete,
            detail="" if said is None else said.detail,
        )


async def launcher_of(context: EngineContext, process: ProcessIdentity) -> ProcessIdentity:
    """Return the topmost process that only runs this server: a launcher, or the server itself."""
    table, commands = await context.platform.lanes.look(_table_and_commands_above, context, process)
    return topmost_launcher(table, process, commands, context.records.owner_processes() | {context.me})


def _table_and_commands_above(
    context: EngineContext, process: ProcessIdentity
) -> tuple[Sequence[ProcessRow], Mapping[ProcessIdentity, tuple[str, ...]]]:
    """Return the process table, and the command lines of the ancestors of a process. Blocks."""
    table = context.platform.processes.table()
    return table, {above: context.platform.probe.describe(above.pid).command for above in ancestors(table, process)}


def ports_by_name(kind: Kind, held: Collection[int], port: int) -> Ports:
    """Return the ports that a process listens on by their names in the kind, without the names that are ambiguous.

    `held` are the numbers of these ports, `port` the one that the process was found on. A port that lies in the range
    of one name gets this name. Where that leaves open which port to ask who the server is, `port` is asked.
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
