"""Gathers the facts that a plan is made from: own servers, ports and foreign servers."""

from collections.abc import Mapping, Sequence

from ...core.foreign import ForeignServers, Outage, Use, compatible, judge_stop
from ...core.lifecycle import SERVING
from ...core.model import Liveness, Ownership, PortFact, Ports, ProcessIdentity, ServerRecord
from ...core.ports import obstacles
from ...core.processes.proof import Held
from ...core.reconcile import Answer, OwnServer, Snapshot, unreserved
from ...kinds.kind import Kind
from ...kinds.versions import kind_for_version
from ..state.context import EngineContext
from .adoption_marks import find_claim_on_server
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

    async def own(
        self, record: ServerRecord, kind: Kind, version: str | None, asker: ProcessIdentity | None, *, fresh: bool
    ) -> OwnServer:
        """Return the facts about a server that has been ready. `fresh`: the asker did not own this server before.

        The users of the server are only looked up where the server does not fit as it is.
        """
        kind = kind_for_version(kind, record.version)
        answer = await self._server_client.answer(record, kind)
        outage = self._server_client.outage(record) if answer is Answer.NO_ANSWER else Outage()
        record = self._records.servers.get(record.id, record)
        if answer is Answer.RIGHT and compatible(version, record.version):
            return OwnServer(record, answer)
        owners = [owner for owner in record.owners if not (fresh and owner.process == asker)]
        dead = all(self._platform.probe.sample(owner.process) is Liveness.DEAD for owner in owners)
        use = await self.use(record, kind, asker, deserted=dead and outage.unresponsive)
        reason = await self._platform.lanes.look(find_claim_on_server, self._context, record)
        right = Held(reason) if reason else judge_stop(record, owners_dead=dead)
        return OwnServer(record, answer, use, right, outage)

    def owners(self, record: ServerRecord, kind: Kind, asker: ProcessIdentity | None) -> tuple[str, ...]:
        """Return the owners of a server, other than the asker, that still keep it alive."""
        now = self._platform.clock.monotonic()

        def keeps(owner: Ownership) -> bool:
            gone = owner.leaving_since is not None and now >= owner.leaving_since + kind.linger_s
            return not gone and self._platform.probe.sample(owner.process) is not Liveness.DEAD

        known = tuple(owner.editor for owner in record.owners if owner.process != asker and keeps(owner))
        return (*known, "an owner that is not known") if record.owners_unknown else known

    async def use(self, record: ServerRecord, kind: Kind, asker: ProcessIdentity | None, *, deserted: bool) -> Use:
        """Return the owners, leases and sessions that use a server, besides the asker.

        `deserted`: the server does not answer, and all its owners are dead. Leases and sessions that only the server
        could report count as none then.
        """
        owners = self.owners(record, kind, asker)
        now = self._platform.clock.monotonic()
        leases: int | None = sum(lease.expires > now for lease in record.leases)
        if owners or leases or record.state not in SERVING:
            return Use(owners, leases)
        if kind.identify is not None and kind.identify.leases:
            said = await self._server_client.ask(record, kind)
            leases = said.leases if said is not None else None
        sessions = await self._server_client.count_sessions(record, kind)
        if deserted:
            return Use(owners, leases or 0, sessions or 0)
        return Use(owners, leases, sessions)

    async def ports(self, server: str, kind: Kind, wanted: Sequence[Ports]) -> Snapshot:
        """Return the facts about the ports that a new server may get: of the best set, or of all if that is taken."""
        if not any(wanted):
            return Snapshot()
        facts: Mapping[int, PortFact] = {}
        foreign_servers: ForeignServers = {}
        # Do not look at ports of own servers: with a hundred servers each start would look at two hundred ports.
        own = self._records.own_ports(server)
        wanted = unreserved(wanted, own)
        if not wanted:
            return Snapshot({}, self._records.reserved(server), {}, own)
        for sets in (wanted[:1], wanted):
            numbers = {port for ports in sets for port in ports.values()}
            facts = await self._platform.lanes.look(self._platform.ports.facts, numbers)
            reserved = self._records.reserved(server)
            if any(not obstacles(ports, facts, reserved) for ports in sets):
                break
        if any(fact.listeners for fact in facts.values()):
            foreign_servers = await self._recogniser.among(kind, facts)
        # Read the reservations last, because nothing else runs on the loop between this and the new reservation.
        own |= self._records.own_ports(server)
        return Snapshot(facts, self._records.reserved(server), foreign_servers, own)
