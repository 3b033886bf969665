"""Writes records for foreign servers: found, adopted, or about to be replaced."""

from ...core.foreign import ForeignServer
from ...core.model import Liveness, Origin, Ownership, ProcessIdentity, ServerRecord, ServerState
from ...core.processes.owners import DeadOwner, NoOwner, OwnerSeen, UnknownOwner
from ...kinds.kind import Kind
from ..identification.adoption_marks import keep_mark
from ..identification.foreign_owner import record_owner
from ..identification.server_client import ServerClient
from ..processes.spawn import url_and_connect
from ..state.context import EngineContext
from .resolve import free_id


class Takeover:
    """The only place where a foreign server gets a record."""

    def __init__(self, context: EngineContext, server_client: ServerClient) -> None:
        self._context = context
        self._records = context.records
        self._server_client = server_client

    def show(self, kind: Kind, foreign_server: ForeignServer) -> ServerRecord:
        """Add a record for a server that was found.

        No request was made for the server, so it is never restarted, and never touched without proof.
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
        record = self._fill(self._records.put(record), kind, foreign_server)
        if owned:
            record = self._with_owner(record, foreign_server)
        self._tell_found(record, _owner_text(foreign_server.owner))
        return record

    def learn(self, record: ServerRecord, owner: OwnerSeen, *, other_home: str | None) -> ServerRecord:
        """Update the record of an observed server once its environment could be read."""
        owned = not isinstance(owner, NoOwner) and other_home is None
        record = self._records.change(
            record.id,
            origin=Origin.DISCOVERED if owned else Origin.EXTERNAL,
            other_home=other_home,
            owners_unknown=False,
            ever_owned=isinstance(owner, DeadOwner),
        )
        found = record_owner(self._context, owner) if owned else None
        record = self._records.set_claims(record.id, owners=(found,)) if found else record
        self._tell_found(record, _owner_text(owner))
        return record

    def adopt(
        self,
        server_id: str,
        kind: Kind,
        foreign_server: ForeignServer,
        asker: ProcessIdentity | None,
        *,
        named: bool,
        why: str,
    ) -> ServerRecord:
        """Give a foreign server a record that has no process, or its own record. The server is READY from then on.

        `asker` is the owner that the server is adopted for. `named`: a user has named the server. Otherwise a server
        without an owner may have owners that are unknown.
        """
        self._take(server_id, kind, foreign_server, named=named, why=why)
        self.wanted_without_owner(server_id, asker)
        self._records.flush()
        return self._records.server(server_id)

    def condemn(self, server_id: str, kind: Kind, foreign_server: ForeignServer, *, why: str) -> ServerRecord:
        """Give a foreign server that is to be replaced a record. If it is spared, it is as much an orphan as before."""
        self._take(server_id, kind, foreign_server, named=False, why=why)
        self._records.flush()
        return self._records.server(server_id)

    def _take(self, server_id: str, kind: Kind, foreign_server: ForeignServer, *, named: bool, why: str) -> None:
        for other in list(self._records.servers.values()):
            if other.id != server_id and other.process == foreign_server.process and other.observed_only:
                self._records.drop(other.id)
        record = self._records.server(server_id)
        fresh = record.process != foreign_server.process
        if fresh:
            record = self._fill(record, kind, foreign_server)
        record = self._with_owner(record, foreign_server)
        nobodys = isinstance(foreign_server.owner, NoOwner) and not (named or foreign_server.by_client)
        unknown = record.owners_unknown or nobodys
        record = self._records.change(server_id, origin=Origin.ADOPTED, owners_unknown=unknown, stop_requested=False)
        self._mark(record)
        self._events_adopted(record, _owner_text(foreign_server.owner), why)
        if record.state is not ServerState.READY:
            self._records.move(server_id, ServerState.READY)

    def keep(self, server_id: str, project: str | None, asker: ProcessIdentity | None, *, why: str) -> ServerRecord:
        """Look after an observed server from now on, because a request was made for it."""
        record = self._records.server(server_id)
        unknown = record.owners_unknown or (record.origin is Origin.EXTERNAL and not record.by_client)
        self._records.change(server_id, origin=Origin.ADOPTED, owners_unknown=unknown, project=project)
        record = self.wanted_without_owner(server_id, asker)
        self._mark(record)
        self._events_adopted(record, None, why)
        self._records.flush()
        return record

    def wanted_without_owner(self, server_id: str, asker: ProcessIdentity | None) -> ServerRecord:
        """Mark a server as unowned if it was requested without an owner and all its owners are dead.

        An unowned server runs until it is stopped. An `asker` is an owner: if it has ended since, the reaper acts.
        """
        record = self._records.server(server_id)
        probe = self._context.platform.probe
        if asker is not None or (record.until_stopped and not record.owners):
            return record
        if any(probe.sample(owner.process) is not Liveness.DEAD for owner in record.owners):
            return record
        self._records.set_claims(server_id, owners=())
        record = self._records.change(server_id, ever_owned=False, until_stopped=True)
        # Write at once, so that the promise to the caller holds even if this daemon dies.
        self._records.flush()
        return record

    def _mark(self, record: ServerRecord) -> None:
        """Put the mark that shows the other daemons of this user which home looks after the server."""
        problem = keep_mark(self._context, record, needed=True)
        if problem is not None:
            self._context.events.warn("adoption.not_marked", server=record.id, reason=str(problem))

    def _tell_found(self, record: ServerRecord, owner: str | None) -> None:
        self._context.events.publish(
            "server.discovered",
            server=record.id,
            launch=record.launch,
            origin=record.origin,
            pid=record.process.pid if record.process else None,
            version=record.version,
            ports=dict(record.ports),
            owner=owner,
            other_home=record.other_home,
        )

    def _events_adopted(self, record: ServerRecord, owner: str | None, why: str) -> None:
        self._context.events.publish(
            "server.adopted",
            server=record.id,
            launch=record.launch,
            pid=record.process.pid if record.process else None,
            version=record.version,
            ports=dict(record.ports),
            owner=owner,
            reason=why,
        )

    def _fill(self, record: ServerRecord, kind: Kind, foreign_server: ForeignServer) -> ServerRecord:
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
            by_client=foreign_server.by_client,
        )
        url, connect = url_and_connect(kind, record, self._context.private_of(kind, record.version))
        record = self._records.change(record.id, url=url, connect=connect)
        self._server_client.take_over_secrets(record, foreign_server.process)
        return record

    def _with_owner(self, record: ServerRecord, foreign_server: ForeignServer) -> ServerRecord:
        """Add the owner that the environment of the server names to the owners that asked for it."""
        found = record_owner(self._context, foreign_server.owner)
        owners: tuple[Ownership, ...] = record.owners
        if found is not None and all(owner.process != found.process for owner in owners):
            owners = (*owners, found)
        unknown = foreign_server.stray or isinstance(foreign_server.owner, UnknownOwner)
        if owners != record.owners:
            record = self._records.set_claims(record.id, owners=owners)
        return self._records.change(
            record.id,
            ever_owned=record.ever_owned or isinstance(foreign_server.owner, DeadOwner | UnknownOwner),
            owners_unknown=record.owners_unknown or unknown,
        )


def _owner_text(owner: OwnerSeen) -> str | None:
    match owner:
        case NoOwner():
            return None
        case DeadOwner(pid):
            return f"pid {pid}, dead"
        case UnknownOwner(reason):
            return reason
    return f"pid {owner.process.pid}"
