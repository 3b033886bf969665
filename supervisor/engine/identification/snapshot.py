"""Reads the facts that a plan is made from: the daemon's own servers, ports, and foreign servers."""

from collections.abc import Mapping, Sequence

from ...core.foreign import ForeignServers, Outage, Use, compatible, judge_stop
from ...core.lifecycle import SERVING
from ...core.model import Liveness, Ownership, PortFact, Ports, ProcessIdentity, ServerRecord
from ...core.ports import obstacles
from ...core.processes.proof import Held
from ...core.reconcile import Answer, OwnServer, Snapshot, without_own_ports
from ...kinds.kind import Kind
from ...kinds.versions import kind_for_version
from ..state.context import EngineContext
from .adoption_marks import find_other_adoption_of_server
from .recognise import Recogniser
from .server_client import ServerClient


class SnapshotReader:
    """Looks at ports, processes and servers. Decides nothing."""

    def __init__(self, context: EngineContext, server_client: ServerClient, recogniser: Recogniser) -> None:
        self._platform = context.platform
        self._context = context
        self._records = context.records
        self._server_client = server_client
        self._recogniser = recogniser

    async def read_own_server(
        self,
        record: ServerRecord,
        kind: Kind,
        version: str | None,
        intended_owner: ProcessIdentity | None,
        *,
        newly_owned: bool,
    ) -> OwnServer:
        """Return the facts about an own server that has been ready. `version` is the one that the request requires.

        `newly_owned`: the intended owner did not own this server before. The users of a server that fits as it is are
        not looked up.
        """
        kind = kind_for_version(kind, record.version)
        answer = await self._server_client.check_answer(record, kind)
        outage = self._server_client.outage(record) if answer is Answer.NO_ANSWER else Outage()
        record = self._records.servers.get(record.id, record)
        if answer is Answer.RIGHT and compatible(version, record.version):
            return OwnServer(record, answer)
        owners = [owner for owner in record.owners if not (newly_owned and owner.process == intended_owner)]
        owners_dead = all(self._platform.probe.sample(owner.process) is Liveness.DEAD for owner in owners)
        use = await self._read_use(record, kind, intended_owner, unknown_is_none=owners_dead and outage.unresponsive)
        reason = await self._platform.lanes.look(find_other_adoption_of_server, self._context, record)
        proof = Held(reason) if reason else judge_stop(record, owners_dead=owners_dead)
        return OwnServer(record, answer, use, proof, outage)

    def other_owners(self, record: ServerRecord, kind: Kind, intended_owner: ProcessIdentity | None) -> tuple[str, ...]:
        """Return the owners, other than the intended owner, that keep a server: ids, and a text for unknown owners."""
        now = self._platform.clock.monotonic()

        def keeps(owner: Ownership) -> bool:
            released = owner.leaving_since is not None and now >= owner.leaving_since + kind.linger_s
            return not released and self._platform.probe.sample(owner.process) is not Liveness.DEAD

        known = tuple(owner.editor for owner in record.owners if owner.process != intended_owner and keeps(owner))
        return (*known, "an owner that is not known") if record.owners_unknown else known

    async def _read_use(
        self, record: ServerRecord, kind: Kind, intended_owner: ProcessIdentity | None, *, unknown_is_none: bool
    ) -> Use:
        """Return the owners, leases and sessions that use a server, other than the intended owner.

        `unknown_is_none`: leases and sessions that only the server could report count as none, because it does not
        answer, and all its owners are dead.
        """
        owners = self.other_owners(record, kind, intended_owner)
        now = self._platform.clock.monotonic()
        leases: int | None = sum(lease.expires > now for lease in record.leases)
        if owners or leases or record.state not in SERVING:
            return Use(owners, leases)
        if kind.identify is not None and kind.identify.leases:
            said = await self._server_client.ask(record, kind)
            leases = said.leases if said is not None else None
        sessions = await self._server_client.count_sessions(record, kind)
        if unknown_is_none:
            return Use(owners, leases or 0, sessions or 0)
        return Use(owners, leases, sessions)

    async def read_ports(self, server_id: str, kind: Kind, wanted: Sequence[Ports]) -> Snapshot:
        """Return the facts about the ports that a new server may get.

        `wanted` are sets of ports, the best one first. The others are looked at only if a port of the best is taken.
        """
        if not any(wanted):
            return Snapshot()
        facts: Mapping[int, PortFact] = {}
        foreign_servers: ForeignServers = {}
        # Do not look at ports of own servers: with a hundred servers each start would look at two hundred ports.
        own = self._records.own_ports(server_id)
        wanted = without_own_ports(wanted, own)
        if not wanted:
            return Snapshot({}, self._records.reserved_ports(server_id), {}, own)
        for sets in (wanted[:1], wanted):
            numbers = {port for ports in sets for port in ports.values()}
            facts = await self._platform.lanes.look(self._platform.ports.facts, numbers)
            reserved = self._records.reserved_ports(server_id)
            if any(not obstacles(ports, facts, reserved) for ports in sets):
                break
        if any(fact.listeners for fact in facts.values()):
            foreign_servers = await self._recogniser.find_servers(kind, facts)
        # Read the reservations last, because nothing else runs on the loop between this and the new reservation.
        own |= self._records.own_ports(server_id)
        return Snapshot(facts, self._records.reserved_ports(server_id), foreign_servers, own)
