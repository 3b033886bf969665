"""Writes rows for servers that somebody else started: found, adopted, or about to be replaced."""

import contextlib
from pathlib import Path
from secrets import token_hex

from ..core.model import Liveness, Origin, Ownership, ServerRecord, ServerState
from ..core.owners import DeadOwner, NoOwner, UnknownOwner
from ..core.strangers import Stranger
from ..errors import InvalidParams
from ..kinds.kind import Kind, expand
from .belonging import ownership_of
from .demands import free_id
from .environments import Environment
from .facilities import Facilities
from .inquiry import Inquiry
from .recognise import Recogniser


class Takeover:
    """The one place where a stranger becomes a row."""

    def __init__(self, facilities: Facilities, inquiry: Inquiry, recogniser: Recogniser) -> None:
        self._facilities = facilities
        self._records = facilities.records
        self._inquiry = inquiry
        self._recogniser = recogniser

    def show(self, kind: Kind, stranger: Stranger) -> ServerRecord:
        """A row for what was found. Nobody asked for it: it is never restarted, and never touched without proof."""
        owned = not isinstance(stranger.owner, NoOwner) and stranger.other_home is None
        record = ServerRecord(
            id=free_id(self._facilities, kind.name),
            kind=kind.name,
            version=stranger.version,
            project=None,
            state=ServerState.READY,
            origin=Origin.DISCOVERED if owned else Origin.EXTERNAL,
            launch="",
            ports={},
            since=0.0,
        )
        record = self._fill(self._records.put(record), kind, stranger)
        if owned:
            record = self._with_owner(record, stranger)
        self._facilities.events.publish(
            "server.discovered",
            server=record.id,
            launch=record.launch,
            origin=record.origin,
            pid=stranger.process.pid,
            version=record.version,
            ports=dict(record.ports),
            owner=_owner_text(stranger),
            other_home=stranger.other_home,
        )
        return record

    def adopt(self, server_id: str, kind: Kind, stranger: Stranger, *, named: bool, why: str) -> ServerRecord:
        """Make a stranger the server of a row that has no process, or of its own row. It serves from now on.

        `named`: a user pointed at it. Otherwise one without an owner may be somebody's whom nobody knows.
        """
        for other in list(self._records.servers.values()):
            if other.id != server_id and other.process == stranger.process and other.onlooked:
                self._records.drop(other.id)
        record = self._records.server(server_id)
        fresh = record.process != stranger.process
        if fresh:
            record = self._fill(record, kind, stranger)
        record = self._with_owner(record, stranger)
        unknown = record.owners_unknown or (isinstance(stranger.owner, NoOwner) and not named)
        self._records.change(server_id, origin=Origin.ADOPTED, owners_unknown=unknown, named=False)
        record = self.wanted_without_owner(server_id)
        self._events_adopted(record, _owner_text(stranger), why)
        if record.state is not ServerState.READY:
            record = self._records.move(server_id, ServerState.READY)
        self._records.flush()
        return record

    def keep(self, server_id: str, project: str | None, *, why: str) -> ServerRecord:
        """A server that was merely found is looked after from now on, because it was asked for."""
        record = self._records.server(server_id)
        unknown = record.owners_unknown or record.origin is Origin.EXTERNAL
        self._records.change(server_id, origin=Origin.ADOPTED, owners_unknown=unknown, project=project)
        record = self.wanted_without_owner(server_id)
        self._events_adopted(record, None, why)
        self._records.flush()
        return record

    def wanted_without_owner(self, server_id: str) -> ServerRecord:
        """Somebody wants it who is no owner, and no owner of it lives: then it runs until it is stopped."""
        record = self._records.server(server_id)
        probe = self._facilities.wing.probe
        if any(probe.sample(owner.process) is not Liveness.DEAD for owner in record.owners):
            return record
        self._records.claim(server_id, ())
        return self._records.change(server_id, ever_owned=False)

    def _events_adopted(self, record: ServerRecord, owner: str | None, why: str) -> None:
        self._facilities.events.publish(
            "server.adopted",
            server=record.id,
            launch=record.launch,
            pid=record.process.pid if record.process else None,
            version=record.version,
            ports=dict(record.ports),
            owner=owner,
            reason=why,
        )

    def _fill(self, record: ServerRecord, kind: Kind, stranger: Stranger) -> ServerRecord:
        launch = token_hex(4)
        private = None
        if kind.package is not None and stranger.version is not None:
            # Its version is what it says: any text.
            with contextlib.suppress(InvalidParams):
                private = self._facilities.environments.ready(kind.package, stranger.version)
        url, connect = _addresses(kind, stranger, private)
        record = self._records.change(
            record.id,
            version=stranger.version,
            launch=launch,
            ports=dict(stranger.ports),
            process=stranger.process,
            root=stranger.root,
            foreign=True,
            other_home=stranger.other_home,
            since=stranger.occupant.since or self._facilities.wing.clock.wall(),
            failure=None,
            relocated=(),
            log=None,
            url=url,
            connect=connect,
        )
        self._inquiry.learn(record, self._recogniser.secrets(stranger))
        return record

    def _with_owner(self, record: ServerRecord, stranger: Stranger) -> ServerRecord:
        """The owner in its environment counts, beside those who asked for it."""
        found = ownership_of(self._facilities, stranger.owner)
        owners: tuple[Ownership, ...] = record.owners
        if found is not None and all(owner.process != found.process for owner in owners):
            owners = (*owners, found)
        unknown = stranger.stray or isinstance(stranger.owner, UnknownOwner)
        if owners != record.owners:
            record = self._records.claim(record.id, owners)
        return self._records.change(
            record.id,
            ever_owned=record.ever_owned or isinstance(stranger.owner, DeadOwner | UnknownOwner),
            owners_unknown=record.owners_unknown or unknown,
        )


def _owner_text(stranger: Stranger) -> str | None:
    match stranger.owner:
        case NoOwner():
            return None
        case DeadOwner(pid):
            return f"pid {pid}, dead"
        case UnknownOwner(reason):
            return reason
    return f"pid {stranger.owner.process.pid}"


def _addresses(kind: Kind, stranger: Stranger, private: Environment | None) -> tuple[str | None, tuple[str, ...]]:
    """The URL, and the bridge for AI clients where its environment is there already."""
    values = {name: str(port) for name, port in stranger.ports.items()}
    values |= {"version": stranger.version or "", "server_id": kind.name, "project": "", "log_dir": str(Path())}
    if private is not None:
        values["python"] = str(private.python)
    wants_python = any("{python}" in word for word in kind.connect)
    connect = tuple(expand(word, values) for word in kind.connect) if private or not wants_python else ()
    return expand(kind.url, values) if kind.url and stranger.ports else None, connect
