"""Gives foreign servers records: when they are found, when they are adopted, and before they are replaced."""

from ...core.foreign import ForeignServer
from ...core.model import Liveness, Origin, Ownership, ProcessIdentity, ServerRecord, ServerState
from ...core.processes.owners import DeadOwner, ForeignOwner, NoOwner, UnknownOwner
from ...kinds.kind import Kind
from ..identification.adoption_marks import keep_mark
from ..identification.foreign_owner import record_owner
from ..identification.server_client import ServerClient
from ..processes.spawn import url_and_connect
from ..state.context import EngineContext
from .resolve import free_id


class Takeover:
    """The only class that gives foreign servers records. Every method returns the record."""

    def __init__(self, context: EngineContext, server_client: ServerClient) -> None:
        self._context = context
        self._records = context.records
        self._server_client = server_client

    def record_found(self, kind: Kind, foreign_server: ForeignServer) -> ServerRecord:
        """Add a record for a foreign server that was found, and return the record.

        No request was made for the server, so it is never restarted, and never signalled without proof.
        """
        owned = not isinstance(foreign_server.owner, NoOwner) and foreign_server.other_home is None
        record = ServerRecord(
            id=free_id(self._context, kind.name),
            kind=kind.name,
            version=foreign_server.version,
            project=None,
            state=ServerState.READY,
            origin=Origin.DISCOVERED if owned else Origin.EXTERNAL,
            launch="",
            ports={},
            since=0.0,
        )
        record = self._write_facts(self._records.put(record), kind, foreign_server)
        if owned:
            record = self._add_owner(record, foreign_server)
        self._publish_found(record, foreign_server.owner)
        return record

    def note_owner(self, record: ServerRecord, owner: ForeignOwner, *, other_home: str | None) -> ServerRecord:
        """Record the owner of an observed server, once the environment that names the owner could be read."""
        owned = not isinstance(owner, NoOwner) and other_home is None
        record = self._records.change(
            record.id,
            origin=Origin.DISCOVERED if owned else Origin.EXTERNAL,
            other_home=other_home,
            owners_unknown=False,
            ever_owned=isinstance(owner, DeadOwner),
        )
        ownership = record_owner(self._context, owner) if owned else None
        record = self._records.set_claims(record.id, owners=(ownership,)) if ownership else record
        self._publish_found(record, owner)
        return record

    def adopt(
        self,
        server_id: str,
        kind: Kind,
        foreign_server: ForeignServer,
        intended_owner: ProcessIdentity | None,
        *,
        named: bool,
        why: str,
    ) -> ServerRecord:
        """Adopt a foreign server under an id whose record has no process, or is the server's own. Return the record.

        The server is READY from then on. `intended_owner` is the owner that the server is adopted for. `named`: a user
        has named the server. Otherwise a server without an owner counts as one whose owners are unknown.
        """
        self._record_adoption(server_id, kind, foreign_server, named=named, why=why)
        self.keep_without_owner(server_id, intended_owner)
        self._records.flush()
        return self._records.server(server_id)

    def record_for_replacement(
        self, server_id: str, kind: Kind, foreign_server: ForeignServer, *, why: str
    ) -> ServerRecord:
        """Adopt a foreign server that is to be replaced, and return its record.

        Its owners stay as they were, so if the server is not replaced after all, it is as much an orphan as before.
        """
        self._record_adoption(server_id, kind, foreign_server, named=False, why=why)
        self._records.flush()
        return self._records.server(server_id)

    def _record_adoption(
        self, server_id: str, kind: Kind, foreign_server: ForeignServer, *, named: bool, why: str
    ) -> None:
        """Make a record that of an adopted server, and drop the record that the server had while it was observed."""
        for other in list(self._records.servers.values()):
            if other.id != server_id and other.process == foreign_server.process and other.observed_only:
                self._records.drop(other.id)
        record = self._records.server(server_id)
        if record.process != foreign_server.process:
            record = self._write_facts(record, kind, foreign_server)
        record = self._add_owner(record, foreign_server)
        unexplained = isinstance(foreign_server.owner, NoOwner) and not (named or foreign_server.started_by_bridge)
        unknown = record.owners_unknown or unexplained
        record = self._records.change(server_id, origin=Origin.ADOPTED, owners_unknown=unknown, stop_requested=False)
        self._put_mark(record)
        self._publish_adopted(record, foreign_server.owner, why)
        if record.state is not ServerState.READY:
            self._records.move(server_id, ServerState.READY)

    def adopt_observed(
        self, server_id: str, project: str | None, intended_owner: ProcessIdentity | None, *, why: str
    ) -> ServerRecord:
        """Adopt an observed server, because a request was made for it. Return its record."""
        record = self._records.server(server_id)
        unknown = record.owners_unknown or (record.origin is Origin.EXTERNAL and not record.started_by_bridge)
        self._records.change(server_id, origin=Origin.ADOPTED, owners_unknown=unknown, project=project)
        record = self.keep_without_owner(server_id, intended_owner)
        self._put_mark(record)
        self._publish_adopted(record, NoOwner(), why)
        self._records.flush()
        return record

    def keep_without_owner(self, server_id: str, intended_owner: ProcessIdentity | None) -> ServerRecord:
        """Let a server run until it is stopped, if it was requested without an owner and all its owners are dead.

        Nothing is changed for an `intended_owner`: if it has ended since, the reaper acts. Returns the record.
        """
        record = self._records.server(server_id)
        probe = self._context.platform.probe
        if intended_owner is not None or (record.until_stopped and not record.owners):
            return record
        if any(probe.sample(owner.process) is not Liveness.DEAD for owner in record.owners):
            return record
        self._records.set_claims(server_id, owners=())
        record = self._records.change(server_id, ever_owned=False, until_stopped=True)
        # Write at once, so that the server outlives this daemon, as the caller was promised.
        self._records.flush()
        return record

    def _put_mark(self, record: ServerRecord) -> None:
        """Put the adoption mark, which shows the other daemons of this user which home looks after the server."""
        problem = keep_mark(self._context, record, needed=True)
        if problem is not None:
            self._context.events.warn("adoption.not_marked", server=record.id, reason=str(problem))

    def _publish_found(self, record: ServerRecord, owner: ForeignOwner) -> None:
        self._publish("server.discovered", record, owner, origin=record.origin, other_home=record.other_home)

    def _publish_adopted(self, record: ServerRecord, owner: ForeignOwner, why: str) -> None:
        self._publish("server.adopted", record, owner, reason=why)

    def _publish(self, event: str, record: ServerRecord, owner: ForeignOwner, **details: object) -> None:
        self._context.events.publish(
            event,
            server=record.id,
            launch=record.launch,
            pid=record.process.pid if record.process else None,
            version=record.version,
            ports=dict(record.ports),
            owner=_owner_text(owner),
            **details,
        )

    def _write_facts(self, record: ServerRecord, kind: Kind, foreign_server: ForeignServer) -> ServerRecord:
        """Write the facts of a foreign server, its process included, into a record, and return the record."""
        record = self._records.change(
            record.id,
            version=foreign_server.version,
            launch=self._context.random.token(4),
            ports=dict(foreign_server.ports),
            process=foreign_server.process,
            root=foreign_server.root,
            foreign=True,
            other_home=foreign_server.other_home,
            since=foreign_server.occupant.since or self._context.platform.clock.wall(),
            failure=None,
            relocated=(),
            log=None,
            recipe=None,
            started_by_bridge=foreign_server.started_by_bridge,
        )
        url, connect = url_and_connect(kind, record, self._context.private_environment(kind, record.version))
        record = self._records.change(record.id, url=url, connect=connect)
        self._server_client.take_over_secrets(record, foreign_server.process)
        return record

    def _add_owner(self, record: ServerRecord, foreign_server: ForeignServer) -> ServerRecord:
        """Add the owner that the environment of the server names to its recorded owners, and return the record."""
        ownership = record_owner(self._context, foreign_server.owner)
        owners: tuple[Ownership, ...] = record.owners
        if ownership is not None and all(owner.process != ownership.process for owner in owners):
            owners = (*owners, ownership)
        unknown = foreign_server.stray or isinstance(foreign_server.owner, UnknownOwner)
        if owners != record.owners:
            record = self._records.set_claims(record.id, owners=owners)
        return self._records.change(
            record.id,
            ever_owned=record.ever_owned or isinstance(foreign_server.owner, DeadOwner | UnknownOwner),
            owners_unknown=record.owners_unknown or unknown,
        )


def _owner_text(owner: ForeignOwner) -> str | None:
    """Return an owner as events name it, None if the environment of the server names no owner."""
    match owner:
        case NoOwner():
            return None
        case DeadOwner(pid):
            return f"pid {pid}, dead"
        case UnknownOwner(reason):
            return reason
    return f"pid {owner.process.pid}"
