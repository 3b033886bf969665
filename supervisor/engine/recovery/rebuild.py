"""Rebuilds records of living servers after a loss of the registry, from their launch tokens and answers.

Such servers count as adopted.
"""

import re
from collections.abc import Collection
from functools import partial
from pathlib import Path

from ...core.model import Origin, Ports, ProcessIdentity, ServerRecord, ServerState
from ...core.processes.owners import ForeignOwner, NoOwner
from ...core.processes.token_carriers import TokenCarrier, launched_process, with_descendants
from ...errors import KindUnknown
from ...kinds.kind import Kind
from ...kinds.programs import is_command_of
from ...native.api import variable_if_told
from ...values import frozen
from ..identification.foreign_owner import owner_of, record_owner
from ..identification.recognise import launcher_of
from ..identification.server_client import ServerClient
from ..processes.spawn import url_and_connect
from ..state.context import PROJECT_VARIABLE, EngineContext


@frozen
class ServingProcess:
    """A process that listens as its kind does. `root` is what a daemon has spawned, None if that is not proven."""

    root: ProcessIdentity | None
    process: ProcessIdentity
    ports: Ports


class Rebuilder:
    """Adds a record for a server that carries a token of this home and listens as its kind does.

    Only a user can stop such a server, because its owners are unknown.
    """

    def __init__(self, context: EngineContext, server_client: ServerClient) -> None:
        self._context = context
        self._server_client = server_client

    async def rebuild(self, token: str, carriers: tuple[TokenCarrier, ...]) -> None:
        """Add the server behind these processes to the records, or warn with the reason why not.

        A process that carries the token need not belong to the server: an editor that the server has launched carries
        it, and so does a server that this editor has started. So the server is the process that a daemon can have
        spawned, with a command line of the kind, and the process that listens below that one. Otherwise it is a process
        with a command line of the kind that listens as the kind does, and counts as foreign.
        """
        _, _, rest = token.partition(".")
        server_id, _, launch = rest.rpartition(".")
        try:
            kind = self._kind_in(server_id)
        except KindUnknown as error:
            self._warn(token, str(error))
            return
        found = await self._find_serving(kind, carriers)
        if isinstance(found, str):
            self._warn(token, found)
            return
        root, process = found.root, found.process
        if self._context.platform.probe.same_user(process) is not True or Path(server_id).name != server_id:
            # Any user can put the token into a process, and the daemon of an administrator reads all environments.
            self._warn(token, "another user's process carries it, or it names no server")
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
            ports=found.ports,
            since=self._context.platform.clock.wall(),
            root=root or await launcher_of(self._context, process),
            owners_unknown=True,
            foreign=root is None,
            process=process,
        )
        said = await self._server_client.ask(record, kind) if kind.identify else None
        seen = await self._context.platform.lanes.look(owner_of, self._context, kind, process)
        self._add_record(record.with_(version=said.version if said and said.matches else None), kind, seen)

    def _kind_in(self, server_id: str) -> Kind:
        """Return the kind in a server id. The second server of a kind has a number behind the name of the kind."""
        name = server_id.partition("@")[0]
        if name not in self._context.catalog.kinds:
            name = re.sub(r"-[0-9]+$", "", name)
        return self._context.catalog.get(name)

    def _add_record(self, record: ServerRecord, kind: Kind, seen: ForeignOwner) -> None:
        url, connect = url_and_connect(kind, record, self._context.private_environment(kind, record.version))
        owner = record_owner(self._context, seen)
        owners = (owner,) if owner else ()
        would_name_owner = "{owner_pid}" in kind.env.values() and not record.foreign
        record = record.with_(url=url, connect=connect, owners=owners, ever_owned=bool(owners))
        self._context.records.put(record.with_(until_stopped=would_name_owner and isinstance(seen, NoOwner)))
        self._context.events.publish(
            "server.rebuilt", server=record.id, launch=record.launch, ports=dict(record.ports), version=record.version
        )

    async def _find_serving(self, kind: Kind, carriers: tuple[TokenCarrier, ...]) -> ServingProcess | str:
        """Return the process that serves as the kind does, else the reason why it is not known, for people."""
        fitting = [carrier for carrier in carriers if is_command_of(kind, carrier.command)]
        if not fitting:
            return f"no process that carries it runs {kind.name}"
        root = launched_process(carriers, partial(is_command_of, kind))
        among = with_descendants(carriers, root) if root else tuple(carrier.identity for carrier in fitting)
        held = await self._find_listeners(kind, among)
        if root is not None:
            # The process nearest to the root has each port, because `among` begins with the root.
            nearest: dict[str, ProcessIdentity] = {}
            for each in among:
                for name in held.get(each, ()):
                    nearest.setdefault(name, each)
            if nearest.keys() == kind.ports.keys():
                ports = {name: held[nearest[name]][name] for name in kind.ports}
                return ServingProcess(root, next((nearest[name] for name in kind.ports), root), ports)
        whole = [each for each in held if held[each].keys() == kind.ports.keys()]
        if len(whole) != 1:
            found = {name for ports in held.values() for name in ports}
            missing = ", ".join(name for name in kind.ports if name not in found)
            return f"it does not listen on a port for {missing}" if missing else "several processes may be the server"
        return ServingProcess(None, whole[0], {name: held[whole[0]][name] for name in kind.ports})

    async def _find_listeners(
        self, kind: Kind, among: Collection[ProcessIdentity]
    ) -> dict[ProcessIdentity, dict[str, int]]:
        """Return the first port of each name that a process listens on, by process."""
        numbers = {name: reach.numbers for name, reach in kind.ports.items()}
        wanted = {port for ports in numbers.values() for port in ports}
        facts = await self._context.platform.lanes.look(self._context.platform.ports.facts, wanted) if wanted else {}
        listeners: dict[ProcessIdentity, dict[str, int]] = {} if wanted else {process: {} for process in among}
        for name, ports in numbers.items():
            for port in ports:
                for listener in facts[port].listeners:
                    process = listener.occupant.identity
                    if process is not None and process in among:
                        listeners.setdefault(process, {}).setdefault(name, port)
        return listeners

    def _warn(self, token: str, reason: str) -> None:
        self._context.events.warn("server.not_rebuilt", token=token, reason=reason)
