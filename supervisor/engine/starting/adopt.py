"""`server.adopt`: a user names a process or a port, and the daemon looks after the server that it recognises there."""

import asyncio
from collections.abc import Sequence

from ...core.foreign import ForeignServer
from ...core.model import Editor, Liveness, Occupant, ProcessIdentity, ServerRecord, Topology
from ...core.processes.owners import NoOwner
from ...core.processes.proof import Recognised, Unrecognised
from ...core.processes.runners import is_runner
from ...errors import Busy, InvalidParams, NotFound, NotOurs, SupervisorError
from ...kinds.kind import Kind
from ...kinds.programs import is_command_of
from ...native.facts import SERVES_LOOPBACK
from ...values import frozen
from ..identification.recognise import Recogniser
from ..operations.operation import RunningOperation
from ..state.context import EngineContext
from .resolve import ResolvedRequest, base_id, free_id
from .takeover import Takeover

RETRY_AFTER_MS = 1000
PORTS_HINT = "godot-supervisor ports tells who holds them"


@frozen
class AdoptRequest:
    """`server.adopt` as it was asked for: a process or a port, and the editor that is to own the server."""

    pid: int | None = None
    port: int | None = None
    kind: str | None = None
    editor: Editor | None = None
    request_id: str | None = None


@frozen
class Candidate:
    """The server that a request names. `server` is the id of the record that it has or gets.

    `foreign_server` is None if this daemon looks after the server already. `intended_owner` is the
    owner that the server is adopted for, None if the request names no editor.
    """

    server: str
    kind: Kind
    project: str | None
    foreign_server: ForeignServer | None
    intended_owner: ProcessIdentity | None = None

    @property
    def owned(self) -> bool:
        """Whether the environment of the foreign server names an owner, whatever editor the request names."""
        return self.foreign_server is not None and not isinstance(self.foreign_server.owner, NoOwner)


class Adopter:
    """Finds the server that a request names, and adopts it inside an operation."""

    def __init__(self, context: EngineContext, recogniser: Recogniser, takeover: Takeover) -> None:
        self._context = context
        self._records = context.records
        self._platform = context.platform
        self._recogniser = recogniser
        self._takeover = takeover

    async def find(self, request: AdoptRequest) -> Candidate:
        """Return the server that a request names. Nothing is changed.

        Raises:
            NotFound: no process has the pid, or none listens on the port.
            NotOurs: the process is not recognised, or belongs to another user or home.
            KindUnknown, InvalidParams: the request makes no sense.
        """
        if (request.pid is None) == (request.port is None):
            raise InvalidParams("pid", "give either pid or port")
        kinds = (
            [self._context.catalog.get(request.kind)] if request.kind else list(self._context.catalog.kinds.values())
        )
        process = await self._named_process(request)
        for record in self._records.find_by_process(process):
            if not record.observed_only:
                return Candidate(record.id, self._context.kind_of(record), record.project, None)
        reasons: list[str] = []
        for occupant in await self._context.platform.lanes.look(self._with_children, process, kinds):
            # Ask for all kinds at once. A process that does not answer costs a second for each kind, and the client
            # would give up first.
            seen = await asyncio.gather(*(self._recognise(kind, occupant, request.port) for kind in kinds))
            for kind, foreign_server in zip(kinds, seen, strict=True):
                if foreign_server is None or isinstance(foreign_server.recognition, Unrecognised):
                    if foreign_server is not None and is_command_of(kind, occupant.command):
                        reasons.append(foreign_server.recognition.reason)
                    continue
                if foreign_server.other_home is not None:
                    raise NotOurs(
                        f"pid {foreign_server.process.pid} belongs to another godot-supervisor home", hint=PORTS_HINT
                    )
                return self._candidate(kind, foreign_server, request)
        why = "; ".join(reasons) or f"its command line fits none of the kinds {', '.join(kind.name for kind in kinds)}"
        raise NotOurs(f"pid {process.pid} is not recognised: {why}", hint=PORTS_HINT)

    def refuse_reserved_ports(self, candidate: Candidate) -> None:
        """Refuse to adopt a server on ports that are reserved for a server that is being started.

        Raises:
            Busy: the starting server has to notice first that it has lost the ports.
        """
        clash = (
            self._why_reserved(candidate, candidate.foreign_server) if candidate.foreign_server is not None else None
        )
        if clash is not None:
            raise Busy(clash, hint="ask again", retry_after_ms=RETRY_AFTER_MS)

    def resolve(self, candidate: Candidate) -> ResolvedRequest:
        """Return the request with which a candidate is registered. A candidate without a record gets one by it."""
        version = candidate.foreign_server.version if candidate.foreign_server is not None else None
        return ResolvedRequest(
            candidate.kind,
            candidate.server,
            candidate.project,
            version,
            version,
            intended_owner=candidate.intended_owner,
        )

    async def adopt(self, candidate: Candidate, operation: RunningOperation) -> ServerRecord:
        """Look at the server again, adopt it, and return its record.

        Raises:
            NotOurs, NotFound: the server has ended, is not recognised any more, or has got another record.
        """
        if candidate.foreign_server is None:
            return self._records.server(candidate.server)
        process = candidate.foreign_server.process
        operation.progress("deciding", f"looking at pid {process.pid}")
        try:
            occupant = await self._context.platform.lanes.look(self._platform.probe.describe, process.pid)
            if occupant.identity != process:
                raise NotFound(f"process {process.pid} has ended")
            port = next(iter(candidate.foreign_server.ports.values()))
            foreign_server = await self._recognise(candidate.kind, occupant, port)
            if foreign_server is None or isinstance(foreign_server.recognition, Unrecognised):
                raise NotOurs(f"pid {process.pid} is not recognised any more", hint=PORTS_HINT)
            self._refuse_second_record(candidate, process)
            self._refuse_record_of_another(candidate.server, foreign_server)
            clash = self._why_reserved(candidate, foreign_server)
            if clash is not None:
                raise NotOurs(clash, hint="ask again")
        except SupervisorError:
            if self._records.server(candidate.server).process is None:
                self._records.drop(candidate.server)
            raise
        assert isinstance(foreign_server.recognition, Recognised)  # noqa: S101 (the only other class was refused above)
        return self._takeover.adopt(
            candidate.server,
            candidate.kind,
            foreign_server,
            candidate.intended_owner,
            named=True,
            why=f"a user named it; {foreign_server.recognition.reason}",
        )

    def _refuse_second_record(self, candidate: Candidate, process: ProcessIdentity) -> None:
        """Refuse a process that has got a record of its own while the request was queued."""
        for record in self._records.find_by_process(process):
            if record.id != candidate.server and not record.observed_only:
                raise NotOurs(f"pid {process.pid} was adopted as {record.id} in between", hint="ask again")

    def _refuse_record_of_another(self, server_id: str, foreign_server: ForeignServer) -> None:
        """Refuse a record that has become that of another living server while the request was queued."""
        own = self._records.server(server_id).process
        if own not in (None, foreign_server.process) and self._platform.probe.sample(own) is not Liveness.DEAD:
            raise NotOurs(f"{server_id} has become another server, which runs", hint="ask again")

    def _why_reserved(self, candidate: Candidate, foreign_server: ForeignServer) -> str | None:
        """Return which port of a foreign server is reserved for another server, and for which; None if none is."""
        reserved = self._records.reserved_ports(candidate.server)
        port = next((port for port in foreign_server.ports.values() if port in reserved), None)
        return None if port is None else f"port {port} is promised to {reserved[port]}"

    def _candidate(self, kind: Kind, foreign_server: ForeignServer, request: AdoptRequest) -> Candidate:
        project = request.editor.project if request.editor and kind.topology is Topology.PER_EDITOR else None
        records = self._records.servers.values()
        known = next((record.id for record in records if record.process == foreign_server.process), None)
        server = known or free_id(self._context, base_id(kind, project))
        return Candidate(server, kind, project, foreign_server, request.editor.process if request.editor else None)

    async def _named_process(self, request: AdoptRequest) -> ProcessIdentity:
        """Return the process that a request names by its pid, or by a port that the process listens on."""
        if request.pid is not None:
            try:
                found = self._platform.probe.identify(request.pid)
                no_process = self._platform.probe.why_no_process(request.pid) if found is not None else None
            except OSError as error:
                raise NotOurs(f"the system does not tell about process {request.pid}: {error}") from error
            if found is None:
                raise NotFound(f"no process {request.pid} lives", hint=PORTS_HINT)
            if no_process is not None:
                raise InvalidParams("pid", no_process, hint=PORTS_HINT)
            return found
        port = request.port or 0
        facts = await self._context.platform.lanes.look(self._platform.ports.facts, [port])
        listeners = [item for item in facts[port].listeners if item.address in SERVES_LOOPBACK]
        if not listeners:
            raise NotFound(f"no process listens on 127.0.0.1:{port}", hint=PORTS_HINT)
        identity = listeners[0].occupant.identity
        if identity is None:
            raise NotOurs(
                f"port {port} is held by a process of {listeners[0].occupant.user or 'another user'}", hint=PORTS_HINT
            )
        return identity

    def _with_children(self, process: ProcessIdentity, kinds: Sequence[Kind]) -> Sequence[Occupant]:
        """Return the process; after a launcher also its children, because a launcher does not listen itself. Blocks.

        Runners and programs of the kinds count as launchers. The children of any other process do not count, because
        every process descends from the first process of the system. On Windows the launcher of a virtual environment
        and the server have the same command line.
        """
        children: dict[int, list[ProcessIdentity]] = {}
        for row in self._platform.processes.table():
            children.setdefault(row.parent, []).append(row.identity)
        family: list[Occupant] = []
        seen, queue = set[ProcessIdentity](), [process]
        while queue:
            identity = queue.pop(0)
            occupant = self._platform.probe.describe(identity.pid)
            if identity in seen or occupant.identity != identity:
                continue
            seen.add(identity)
            family.append(occupant)
            if is_runner(occupant.command) or any(is_command_of(kind, occupant.command) for kind in kinds):
                queue += children.get(identity.pid, [])
        return family

    async def _recognise(self, kind: Kind, occupant: Occupant, port: int | None) -> ForeignServer | None:
        """Return what a process is as a server of a kind, None if its command line does not fit or it has a record.

        `port` is a port that the process listens on, None for its lowest.
        """
        if not is_command_of(kind, occupant.command) or occupant.identity is None:
            return None
        if port is None:
            held = await self._context.platform.lanes.look(self._platform.ports.held_by, occupant.identity)
            port = min(held, default=0)
        return await self._recogniser.recognise(kind, occupant, port)
