"""Rows for living servers whose registry was lost, from what they carry and say. They count as adopted."""

import asyncio
import re
from pathlib import Path

from ..core.model import Listener, Origin, ProcessIdentity, ProcessRow, ServerRecord, ServerState
from ..core.owners import NoOwner, OwnerSeen
from ..errors import KindUnknown
from ..frozen import frozen
from ..kinds.kind import Kind
from ..native.api import variable_if_told
from .belonging import owner_of, ownership_of
from .facilities import PROJECT_VARIABLE, Facilities
from .inquiry import Inquiry
from .spawner import addresses


@frozen
class Carrier:
    """A living process with a launch token of this home in its environment. `born`: as its `Probe` says."""

    row: ProcessRow
    token: str
    born: float | None


class Rebuilder:
    """Writes a row for what carries our token and listens as its kind does. Only a user's word can stop it then."""

    def __init__(self, facilities: Facilities, inquiry: Inquiry) -> None:
        self._facilities = facilities
        self._inquiry = inquiry

    async def rebuild(self, token: str, carriers: tuple[Carrier, ...], leader: ProcessIdentity | None) -> None:
        """Add the server behind these processes to the records, or tell why not."""
        _, _, rest = token.partition(".")
        server_id, _, launch = rest.rpartition(".")
        try:
            kind = self._kind(server_id)
        except KindUnknown as error:
            self._tell(token, str(error))
            return
        if leader is None:
            self._tell(token, "no process of it leads the others")
            return
        if self._facilities.wing.probe.same_user(leader) is not True or Path(server_id).name != server_id:
            # Anybody can have processes carry our token, and an administrator's daemon reads what everybody's carry.
            self._tell(token, "another user's process carries it, or it names no server")
            return
        ports = await self._ports(kind, {carrier.row.identity for carrier in carriers})
        missing = [name for name in kind.ports if name not in ports]
        if missing:
            self._tell(token, f"it does not listen on a port for {', '.join(missing)}")
            return
        processes = self._facilities.wing.processes
        project = await asyncio.to_thread(variable_if_told, processes, leader, PROJECT_VARIABLE)
        record = ServerRecord(
            id=server_id,
            kind=kind.name,
            version=None,
            project=project,
            state=ServerState.READY,
            origin=Origin.ADOPTED,
            launch=launch,
            ports={name: listener.port for name, listener in ports.items()},
            since=self._facilities.wing.clock.wall(),
            root=leader,
            owners_unknown=True,
            process=next(iter(ports.values())).occupant.identity if ports else leader,
        )
        said = await self._inquiry.ask(record, kind) if kind.identify else None
        seen = await asyncio.to_thread(owner_of, self._facilities, kind, leader)
        self._adopt(record.with_(version=said.version if said and said.matches else None), kind, seen)

    def _kind(self, server_id: str) -> Kind:
        """The kind in an id; the second server of a kind has a number behind its name."""
        name = server_id.partition("@")[0]
        if name not in self._facilities.catalog.kinds:
            name = re.sub(r"-[0-9]+$", "", name)
        return self._facilities.catalog.get(name)

    def _adopt(self, record: ServerRecord, kind: Kind, seen: OwnerSeen) -> None:
        url, connect = addresses(kind, record, self._facilities.private_of(kind, record.version))
        owner = ownership_of(self._facilities, seen)
        owners = (owner,) if owner else ()
        tells = "{owner_pid}" in kind.env.values()
        record = record.with_(url=url, connect=connect, owners=owners, ever_owned=bool(owners))
        self._facilities.records.put(record.with_(until_stopped=tells and isinstance(seen, NoOwner)))
        self._facilities.events.publish(
            "server.rebuilt", server=record.id, launch=record.launch, ports=dict(record.ports), version=record.version
        )

    async def _ports(self, kind: Kind, carriers: set[ProcessIdentity]) -> dict[str, Listener]:
        """The port of each name that one of these processes listens on."""
        numbers = {name: range(r.low, r.high + 1) for name, r in kind.ports.items()}
        wanted = {port for ports in numbers.values() for port in ports}
        facts = await asyncio.to_thread(self._facilities.wing.ports.facts, wanted) if wanted else {}
        found: dict[str, Listener] = {}
        for name, ports in numbers.items():
            for port in ports:
                own = [item for item in facts[port].listeners if item.occupant.identity in carriers]
                if own:
                    found[name] = own[0]
        return found

    def _tell(self, token: str, reason: str) -> None:
        self._facilities.events.warn("server.not_rebuilt", token=token, reason=reason)
