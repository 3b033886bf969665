"""The promises that the engine made to clients, kept apart from the engine; every signal is judged by them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from supervisor.core.model import Editor, Origin, ProcessIdentity, ServerRecord, ServerState
from supervisor.errors import SupervisorError
from tests.simulation.faults import ViolationError
from tests.simulation.life import Life
from tests.simulation.world import FOREIGN, OURS, World

LINGER_S = 15.0
UNSEEN_S = 3.0
"""A session that is younger than this may have come after the daemon's last count."""

GAP_S = 5.0

STARTING_S = 120.0
"""How long an editor that is starting keeps servers."""


@dataclass(slots=True)
class Claim:
    """An editor's ownership of a server. `leaving_since`: when the editor has detached."""

    leaving_since: float | None = None


@dataclass(slots=True)
class Grant:
    """A lease, as the answer to its holder described it."""

    server: str
    ttl_s: float
    expires: float


@dataclass(slots=True, eq=False)
class Asking:
    """An `ensure` of an editor that is not answered yet."""

    kind: str
    editor: ProcessIdentity
    withdrawn: bool = False
    """The editor has detached or released a server since it asked."""


@dataclass(frozen=True, slots=True)
class Starting:
    """An editor that opens a project, and attaches later or never."""

    project: str
    since: float


@dataclass
class Ledger:
    """What clients were promised, by server id. The methods `note_…` are called by the driver and its actions."""

    world: World
    claims: dict[str, dict[ProcessIdentity, Claim]] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    asking: list[Asking] = field(default_factory=list)
    wanted_stopped: set[ProcessIdentity] = field(default_factory=set)
    """Root processes of servers that a user asked to stop."""
    signalled: set[ProcessIdentity] = field(default_factory=set)
    """Root processes that this daemon was right to signal, so that it may signal them again."""
    proven: set[str] = field(default_factory=set)
    """Launches that were ready once."""
    attached: set[ProcessIdentity] = field(default_factory=set)
    starting: dict[ProcessIdentity, Starting] = field(default_factory=dict)
    """Editors that were started by others which open their project again."""
    clock_was_set: bool = False
    """The wall clock was set: the age of a process is not known to a daemon."""
    adopted: set[str] = field(default_factory=set)
    """Foreign servers that were adopted or found: they may run beside another server of their version."""
    unwanted: set[str] = field(default_factory=set)
    """Servers that a user has asked to be stopped, and that have not come back since."""
    served: set[str] = field(default_factory=set)
    """Servers that have been ready."""
    found: set[str] = field(default_factory=set)
    """Servers that were only found: no client has asked for them, so none was promised."""
    gone: list[tuple[str, dict[ProcessIdentity, Claim]]] = field(default_factory=list)
    """Server records that have gone in this step, and the owners of the servers."""
    until_stopped: set[str] = field(default_factory=set)
    """Servers that were asked for without an owner: they run until they are stopped."""
    until_stopped_but_gone: set[str] = field(default_factory=set)
    """Servers of `until_stopped` that have gone in this step although no user stopped them."""
    adopted_by_user: set[str] = field(default_factory=set)
    """Servers that a user adopted: if they do not tell their owner, they belong to the adopter."""
    life: Life | None = None
    recovered_at: float = 0.0
    died_at: float = 0.0
    gap_at: float = 0.0
    """When time jumped last: a waiting client cannot be blamed for what came before."""

    def own(self, server_id: str, editor: ProcessIdentity) -> None:
        self.claims.setdefault(server_id, {})[editor] = Claim()

    def answered(self, what: str, asking: Asking | None, record: ServerRecord) -> None:
        """Note that a request was answered with a server.

        A promise that could not be written to the registry does not count, because the next daemon cannot know it.
        """
        untroubled = self.life is not None and self.life.records.trouble is None
        if what == "ensure" and asking is None and record.until_stopped and untroubled:
            self.until_stopped.add(record.id)

    def release(self, server_id: str, editor: ProcessIdentity) -> None:
        self._withdraw(editor)
        for name, owners in (*self.claims.items(), *self.gone):
            if name == server_id:
                owners.pop(editor, None)

    def _withdraw(self, editor: ProcessIdentity) -> None:
        for request in self.asking:
            request.withdrawn = request.withdrawn or request.editor == editor

    def detach(self, editor: ProcessIdentity, *, at_once: bool) -> None:
        self._withdraw(editor)
        for owners in (*self.claims.values(), *(owners for _, owners in self.gone)):
            if editor in owners and at_once:
                del owners[editor]
            elif editor in owners and owners[editor].leaving_since is None:
                owners[editor].leaving_since = self.world.clock.now

    def note_stop_request(self, record: ServerRecord) -> None:
        """Note that a user asked to stop this server."""
        self.wanted_stopped |= {identity for identity in (record.root, record.process) if identity}

    def note_gap(self, before: float) -> None:
        """Note that time has jumped: a lease holder has not had the time to renew its lease."""
        self.gap_at = self.world.clock.now
        for grant in self.grants.values():
            if grant.expires > before:
                grant.expires = self.world.clock.now + grant.ttl_s

    def note_new_daemon(self, life: Life) -> None:
        """Note that another daemon has started: leases, and editors that have detached, get their full time again."""
        self.life = life
        now = self.recovered_at = self.world.clock.now
        self.asking.clear()
        self.signalled.clear()
        for grant in self.grants.values():
            if grant.expires > self.died_at:
                grant.expires = now + grant.ttl_s

    def forget_everything(self) -> None:
        """Drop every promise, because the registry was lost, or no server is left."""
        self.claims.clear()
        self.grants.clear()
        self.until_stopped.clear()

    def forget_all_but(self, servers: Mapping[str, ServerRecord]) -> None:
        """Forget servers that were only found, because they do not outlive a daemon.

        Their ids may be reused. A server that was ready and could not be written down as such is half-done to the next
        daemon: finished, or stopped.
        """
        self.proven -= {row.launch for row in servers.values() if row.state is ServerState.STARTING}
        self.claims = {name: owners for name, owners in self.claims.items() if name in servers}
        self.adopted &= set(servers)
        # A registry that could not be written brings back what was stopped.
        self.adopted |= {name for name, row in servers.items() if row.origin is Origin.ADOPTED}
        # An adoption that could not be written down is none to the next daemon.
        self.found = self.found & set(servers) | {name for name, row in servers.items() if row.observed_only}
        self.served &= {name for name, row in servers.items() if row.root or row.state is not ServerState.STARTING}
        self.adopted_by_user &= set(servers)

    def note_event(self, event: str, fields: Mapping[str, Any]) -> None:
        """Follow an event of the engine: which records have gone, and which launches serve."""
        server = fields.get("server", "")
        if event == "server.gone":
            asking = {request.editor for request in self.asking}
            owners = {editor: claim for editor, claim in self.claims.pop(server, {}).items() if editor not in asking}
            if server in self.served - self.unwanted - self.found and not self._ended_with_editors(server, owners):
                self.gone.append((server, owners))
            if server in self.until_stopped - self.unwanted:
                self.until_stopped_but_gone.add(server)
            for servers in (self.unwanted, self.found, self.served, self.until_stopped):
                servers.discard(server)
            self.adopted.discard(server)
            self.adopted_by_user.discard(server)
            self.grants = {name: grant for name, grant in self.grants.items() if grant.server != server}
        elif (event == "server.state" and fields["now"] == "ready") or event in ("server.adopted", "server.rebuilt"):
            self.proven.add(fields["launch"])
            self.served.add(server)
        if event == "flight.started" and fields["method"] in ("server.stop", "server.restart"):
            self._begin_ending(server, fields["method"], fields["holder"])
        if event in ("server.adopted", "server.discovered"):
            self.adopted.add(server)
            (self.found.add if event == "server.discovered" else self.found.discard)(server)
        if event == "server.adopted" and fields["reason"].startswith("a user named it"):
            self.adopted_by_user.add(server)

    def _ended_with_editors(self, server: str, owners: Mapping[ProcessIdentity, Claim]) -> bool:
        """Return whether an adopted server that is gone had only owners that leave. Its starter may have ended it."""
        now = self.world.clock.now
        is_leased = any(grant.server == server and grant.expires > now for grant in self.grants.values())
        leave = all(claim.leaving_since is not None or not self.world.lives(each) for each, claim in owners.items())
        return server in self.adopted and leave and not is_leased

    def _begin_ending(self, server: str, method: str, holder: str) -> None:
        """Note that a stop or restart of a user begins; the request may have waited, and means the present launch."""
        record = self.life.records.servers.get(server) if self.life else None
        if record is not None and holder != "the daemon":
            self.note_stop_request(record)
            if method == "server.stop":
                self.unwanted.add(server)

    def judge_losses(self) -> None:
        """Check that every holder of a server keeps it, or is shown the reason.

        Raises:
            ViolationError: a server record has gone although its owner lives and has not released the server.
        """
        if self.until_stopped_but_gone:
            raise ViolationError(
                f"what was asked for without an owner runs until it is stopped: {self.until_stopped_but_gone} is gone"
            )
        now, gone = self.world.clock.now, self.gone
        self.gone = []
        for server, owners in gone:
            left = [e.pid for e, claim in owners.items() if self.world.lives(e) and self._stays(claim, now)]
            if left:
                raise ViolationError(f"who has a server keeps it: {server} is gone, and its owners {left} live")

    def holders(self, record: ServerRecord, *, unseen_s: float = 0.0) -> list[str]:
        """Return the true holders of a server. Holders that are asking for something else now do not count."""
        now = self.world.clock.now
        asking = {request.editor for request in self.asking if request.kind == record.kind}
        found = [
            f"owner {editor.pid}"
            for editor, claim in self.claims.get(record.id, {}).items()
            if self.world.lives(editor) and editor not in asking and self._stays(claim, now)
        ]
        found += [f"lease {n}" for n, g in self.grants.items() if g.server == record.id and g.expires > now]
        port = record.ports.get("sessions")
        since = self.world.opened.get(port) if port else None
        if since is not None and now - since >= unseen_s and self._serves(record, port):
            found.append(f"a session on {port}")
        return found

    def is_awaited(self, record: ServerRecord, editors: Mapping[str, Editor]) -> bool:
        """Return whether an editor may be starting in the place of one of the server's owners."""
        known = {editor.process for editor in editors.values()}
        projects = {editors[owner.editor].project for owner in record.owners if owner.editor in editors}
        return any(
            self.world.lives(process)
            and process not in known
            and starting.project in projects
            and (self.clock_was_set or self.world.clock.now - starting.since < STARTING_S)
            for process, starting in self.starting.items()
        )

    def judge(self, target: ProcessIdentity, how: str) -> None:
        """Judge a signal that is about to reach this process. `how`: the signal, in words.

        Raises:
            ViolationError: the signal must not be sent.
        """
        truth = self.world.lineage.get(target)
        process = self.world.process(target)
        if truth is None or process is None:
            return
        what = f"pid {target.pid} ({truth.what}, {' '.join(process.command)}) was {how}"
        if target in self.attached or target == self.world.me:
            raise ViolationError(f"no signal to what is not stoppable: {what}: it is an editor or the daemon")
        if truth.what not in (OURS, FOREIGN):
            raise ViolationError(f"no signal to what is not stoppable: {what}")
        if truth.root in self.wanted_stopped or target in self.wanted_stopped or truth.root in self.signalled:
            return
        record = self._record(truth.root, target)
        if truth.what == FOREIGN:
            self._judge_foreign(truth.root, record, what)
        if record is None or record.launch not in self.proven or not self._whole(record):
            return
        if target in (record.root, record.process) and (held := self.holders(record, unseen_s=UNSEEN_S)):
            raise ViolationError(f"what is in use is not reaped: {what}, {record.id} {record.state}: {held}")
        if target in (record.root, record.process):
            self.signalled.add(truth.root)

    def _judge_foreign(self, root: ProcessIdentity, record: ServerRecord | None, what: str) -> None:
        owner = self.world.owner_of.get(root)
        if "second" in self.world.marks.get(root, ()):
            raise ViolationError(f"no signal to what is not stoppable: {what}: another home has adopted it")
        if record is None:
            raise ViolationError(f"no signal to what is not stoppable: {what}: no row knows it")
        told = any(name.endswith("_OWNER") for name in self.world.processes[root.pid].environment)
        if record.id in self.adopted_by_user and owner is not None and not told:
            return
        released = owner is not None and owner in self.attached and owner not in self.claims.get(record.id, {})
        if owner is None or (self.world.lives(owner) and not released and not self._left(record, owner)):
            raise ViolationError(f"no signal to what is not stoppable: {what}: its owner is not proven dead")

    def _left(self, record: ServerRecord, owner: ProcessIdentity) -> bool:
        claim = self.claims.get(record.id, {}).get(owner)
        asks = any(request.editor == owner for request in self.asking)
        return asks or (claim is not None and not self._stays(claim, self.world.clock.now))

    def _stays(self, claim: Claim, now: float) -> bool:
        return claim.leaving_since is None or now < claim.leaving_since + LINGER_S

    def _whole(self, record: ServerRecord) -> bool:
        return self.world.lives(record.root) and self.world.lives(record.process)

    def _serves(self, record: ServerRecord, port: int) -> bool:
        holder = self.world.listener_on(port)
        return holder is not None and self.world.lineage[holder].root in (record.root, record.process)

    def _record(self, root: ProcessIdentity, target: ProcessIdentity) -> ServerRecord | None:
        rows = self.life.records.servers.values() if self.life else ()
        return next((row for row in rows if {row.root, row.process} & {root, target}), None)


def harmless(error: BaseException) -> bool:
    """Return whether a client may get this error."""
    return isinstance(error, SupervisorError)
