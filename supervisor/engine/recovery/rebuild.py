"""Rows for living servers whose registry was lost, from what they carry and say. They count as adopted."""

import re
from collections.abc import Collection
from functools import partial
from pathlib import Path

from ...core.model import Origin, Ports, ProcessIdentity, ServerRecord, ServerState
from ...core.processes.owners import NoOwner, OwnerSeen
from ...core.processes.token_carriers import Carrier, below, first_of
from ...errors import KindUnknown
from ...kinds.kind import Kind
from ...kinds.programs import is_of
from ...native.api import variable_if_told
from ..identification.foreign_owner import owner_of, ownership_of
from ..identification.recognise import launcher_of
from ..identification.server_client import ServerClient
from ..processes.spawn import addresses
from ..state.context import PROJECT_VARIABLE, EngineContext

Serving = tuple[ProcessIdentity | None, ProcessIdentity, Ports]
"""What a daemon has spawned (None: not proven), what listens, and its ports."""


class Rebuilder:
    """Writes a row for what carries our token and listens as its kind does. Only a user's word can stop it then."""

    def __init__(self, context: EngineContext, server_client: ServerClient) -> None:
        self._context = context
        self._server_client = server_client

    async def rebuild(self, token: str, carriers: tuple[Carrier, ...]) -> None:
        """Add the server behind these processes to the records, or tell why not.

        What carries the token need not be the server's: an editor that it has launched does, and the server that this
        editor has started by itself. So the server is what a daemon can have spawned, with a command line of the kind,
        and what listens below it; else what listens as the kind does with a command line of it, which then counts as
        started by somebody else.
        """
        _, _, rest = token.partition(".")
        server_id, _, launch = rest.rpartition(".")
        try:
            kind = self._kind(server_id)
        except KindUnknown as error:
            self._tell(token, str(error))
            return
        found = await self._serving(kind, carriers)
        if isinstance(found, str):
            self._tell(token, found)
            return
        root, process, ports = found
        if self._context.platform.probe.same_user(process) is not True or Path(server_id).name != server_id:
            # Anybody can have processes carry our token, and an administrator's daemon reads what everybody's carry.
            self._tell(token, "another user's process carries it, or it names no server")
            return
        processes = self._context.platform.processes
        project = await self._context.platform.lanes.look(variable_if_told, processes, process, PROJECT_VARIABLE)
        record = ServerRecord(
            id=server_id,
            kind=kind.name,
            version=None,
            project=project,
            state=ServerState.READY,
            origin=Origin.ADOPTED,
            launch=launch,
            ports=ports,
            since=self._context.platform.clock.wall(),
            root=root or await launcher_of(self._context, process),
            owners_unknown=True,
            foreign=root is None,
            process=process,
        )
        said = await self._server_client.ask(record, kind) if kind.identify else None
        seen = await self._context.platform.lanes.look(owner_of, self._context, kind, process)
        self._adopt(record.with_(version=said.version if said and said.matches else None), kind, seen)

    def _kind(self, server_id: str) -> Kind:
        """The kind in an id; the second server of a kind has a number behind its name."""
        name = server_id.partition("@")[0]
        if name not in self._context.catalog.kinds:
            name = re.sub(r"-[0-9]+$", "", name)
        return self._context.catalog.get(name)

    def _adopt(self, record: ServerRecord, kind: Kind, seen: OwnerSeen) -> None:
        url, connect = addresses(kind, record, self._context.private_of(kind, record.version))
        owner = ownership_of(self._context, seen)
        owners = (owner,) if owner else ()
        tells = "{owner_pid}" in kind.env.values() and not record.foreign
        record = record.with_(url=url, connect=connect, owners=owners, ever_owned=bool(owners))
        self._context.records.put(record.with_(until_stopped=tells and isinstance(seen, NoOwner)))
        self._context.events.publish(
            "server.rebuilt", server=record.id, launch=record.launch, ports=dict(record.ports), version=record.version
        )

    async def _serving(self, kind: Kind, carriers: tuple[Carrier, ...]) -> Serving | str:
        """What serves as the kind does; else why it cannot be told, for people."""
        fitting = [carrier for carrier in carriers if is_of(kind, carrier.command)]
        if not fitting:
            return f"no process that carries it runs {kind.name}"
        root = first_of(carriers, partial(is_of, kind))
        among = below(carriers, root) if root else tuple(carrier.identity for carrier in fitting)
        held = await self._held(kind, among)
        if root is not None:
            nearest: dict[str, ProcessIdentity] = {}
            for each in among:
                nearest = {**dict.fromkeys(held.get(each, ()), each), **nearest}
            if nearest.keys() == kind.ports.keys():
                ports = {name: held[nearest[name]][name] for name in kind.ports}
                return root, next((nearest[name] for name in kind.ports), root), ports
        whole = [each for each in held if held[each].keys() == kind.ports.keys()]
        if len(whole) != 1:
            found = {name for ports in held.values() for name in ports}
            missing = ", ".join(name for name in kind.ports if name not in found)
            return f"it does not listen on a port for {missing}" if missing else "it cannot be told which serves"
        return None, whole[0], {name: held[whole[0]][name] for name in kind.ports}

    async def _held(self, kind: Kind, among: Collection[ProcessIdentity]) -> dict[ProcessIdentity, dict[str, int]]:
        """By process, the first port of each name that it listens on."""
        numbers = {name: range(r.low, r.high + 1) for name, r in kind.ports.items()}
        wanted = {port for ports in numbers.values() for port in ports}
        facts = await self._context.platform.lanes.look(self._context.platform.ports.facts, wanted) if wanted else {}
        found: dict[ProcessIdentity, dict[str, int]] = {} if wanted else {process: {} for process in among}
        for name, ports in numbers.items():
            for port in ports:
                for listener in facts[port].listeners:
                    holder = listener.occupant.identity
                    if holder is not None and holder in among:
                        found.setdefault(holder, {}).setdefault(name, port)
        return found

    def _tell(self, token: str, reason: str) -> None:
        self._context.events.warn("server.not_rebuilt", token=token, reason=reason)
