"""Bridges of AI clients: which bridges a server has, which servers bridges have started, and how to hold bridges off.

A bridge whose server has gone starts another server. That has no owner, and runs from the environment of the bridge.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path

from ...core.model import Bridge, Liveness, Occupant, Ports, ProcessIdentity, ServerRecord
from ...core.processes.owners import NoOwner
from ...kinds.kind import Kind, bridge_locks
from ...kinds.programs import is_bridge_command, is_command_of
from ...native import private_files, trust
from ..state.context import TOKEN_VARIABLE, EngineContext
from ..state.names import name_of
from .foreign_owner import owner_of

FIND_TIMEOUT_S = 2.0
"""How long the look for bridges may take. The result is only shown to people."""

LOOK_AGAIN_S = 0.2
"""How often to look whether the server that a bridge is starting listens."""


async def find_bridges(context: EngineContext, record: ServerRecord) -> tuple[Bridge, ...]:
    """Return the bridges of AI clients that lead to a server, none if the look takes longer than `FIND_TIMEOUT_S`."""
    kind = context.kind_of(record)
    if not kind.connect or not record.ports:
        return ()
    try:
        async with asyncio.timeout(FIND_TIMEOUT_S):
            return await context.platform.lanes.look(_read_bridges, context, kind, record.ports)
    except TimeoutError:
        return ()


def is_started_by_bridge(context: EngineContext, kind: Kind, occupant: Occupant) -> bool:
    """Return whether it is proven that a bridge has started this server for its client, and for no owner. Blocks.

    The mark of the bridge alone proves nothing, because a process can inherit it. So the interpreter has to be that of
    an environment of this daemon, and no variable may name an owner or a launch.
    """
    process = occupant.identity
    if process is None or kind.client_mark is None or not is_command_of(kind, occupant.command):
        return False
    if context.platform.probe.same_user(process) is not True or not _from_our_environment(context, kind, occupant):
        return False
    try:
        mark = context.platform.processes.variable(process, kind.client_mark)
        token = context.platform.processes.variable(process, TOKEN_VARIABLE)
    except OSError:
        return False
    return mark is not None and mark != "" and token is None and _without_owner(context, kind, process)


async def is_still_started_by_bridge(context: EngineContext, record: ServerRecord) -> bool:
    """Return whether the server of a record that says so is still proven to have been started by a bridge."""
    kind, process = context.kind_of(record), record.process
    if not record.started_by_bridge or process is None:
        return False
    occupant = await context.platform.lanes.look(context.platform.probe.describe, process.pid)
    return occupant.identity == process and await context.platform.lanes.look(
        is_started_by_bridge, context, kind, occupant
    )


async def prove_servers_again(context: EngineContext) -> tuple[Bridge, ...]:
    """Prove again which servers were started by bridges, and correct their records.

    Returns:
        The bridges of all servers, because they may start more servers.
    """
    records = context.records
    for record in [each for each in records.servers.values() if each.started_by_bridge]:
        if not await is_still_started_by_bridge(context, record):
            records.change(record.id, started_by_bridge=False)
    found = [await find_bridges(context, record) for record in list(records.servers.values())]
    return tuple(dict.fromkeys(bridge for some in found for bridge in some))


async def wait_for_server_of_bridge(context: EngineContext, kind: Kind, ports: Ports) -> frozenset[int]:
    """Wait for a server that a bridge is starting on these ports, because a launch would compete with it for them.

    Returns:
        Those of the ports that the server listens on, none if no bridge is starting one.
    """
    if kind.client_mark is None or kind.package is None or not ports:
        return frozenset()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(kind.ready_timeout_s):
            while (
                starting := await context.platform.lanes.look(_server_being_started, context, kind, ports)
            ) is not None:
                listening = await context.platform.lanes.look(
                    context.platform.ports.match_listeners, tuple(ports.values()), (starting,)
                )
                if len(listening) == len(ports):
                    return frozenset(listening)
                await asyncio.sleep(LOOK_AGAIN_S)
    return frozenset()


@contextlib.asynccontextmanager
async def held_off(context: EngineContext, kind: Kind, ports: Ports) -> AsyncIterator[None]:
    """Keep bridges from starting a server on these ports while the context is open, by the lock that bridges take."""
    with contextlib.ExitStack() as held:
        for path in bridge_locks(kind, ports, context.variables):
            with contextlib.suppress(OSError):
                # A folder that is not there has no bridge. A folder that other users may write is not this user's.
                if path.parent.is_dir() and trust.problem_of_folder(path.parent) is None:
                    held.enter_context(private_files.locked(path))
        yield


def _read_bridges(context: EngineContext, kind: Kind, ports: Ports) -> tuple[Bridge, ...]:
    """Return the bridges that lead to a server of a kind on these ports. Blocks."""
    preferred = all(ports.get(name) == reach.low for name, reach in kind.ports.items())
    parents = {row.identity: row.parent for row in context.platform.processes.table()}
    found = []
    for identity, occupant in _living_processes(context, parents):
        if not is_bridge_command(kind, occupant.command, ports, preferred=preferred):
            continue
        client = context.platform.probe.describe(parents[identity])
        known = client.identity is not None
        found.append(Bridge(identity.pid, name_of(client) if known else None, client.pid if known else None))
    return tuple(found)


def _server_being_started(context: EngineContext, kind: Kind, ports: Ports) -> ProcessIdentity | None:
    """Return the server that a bridge has started on these ports, whether it listens or not. Blocks."""
    wanted = {str(port) for port in ports.values()}
    known = context.records.server_processes()
    table = [row.identity for row in context.platform.processes.table() if row.identity not in known]
    for identity, occupant in _living_processes(context, table):
        if wanted <= {*occupant.command} and is_started_by_bridge(context, kind, occupant):
            return identity
    return None


def _living_processes(
    context: EngineContext, among: Iterable[ProcessIdentity]
) -> Iterator[tuple[ProcessIdentity, Occupant]]:
    """Yield the living processes of this user, except the daemon, with their command lines. Blocks."""
    probe = context.platform.probe
    for identity in among:
        if identity == context.me or probe.same_user(identity) is not True:
            continue
        occupant = probe.describe(identity.pid)
        if occupant.identity == identity and probe.sample(identity) is not Liveness.DEAD:
            yield identity, occupant


def _from_our_environment(context: EngineContext, kind: Kind, occupant: Occupant) -> bool:
    """Return whether the program lies in a private environment of this daemon for the package of the kind."""
    program = Path(occupant.command[0]) if occupant.command else Path()
    return any(
        environment.package == kind.package and environment.path in program.parents
        for environment in context.environments.published()
    )


def _without_owner(context: EngineContext, kind: Kind, process: ProcessIdentity) -> bool:
    return isinstance(owner_of(context, kind, process), NoOwner)
