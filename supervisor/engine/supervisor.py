"""What clients ask of the engine: `Supervisor` performs operations on servers, `Inspector` answers questions."""

from dataclasses import dataclass
from functools import partial

from ..core.deadlines import start_deadline, stop_deadline
from ..core.model import ServerRecord
from ..core.reaping import Reap, Verdict
from ..core.single_flight import Operation, OperationRequest, requester_name
from .claims.editors import Editors
from .claims.registration import Registrar
from .ending.reap import Reaper
from .ending.requested_restart import RequestedRestarter
from .ending.shutdown import Shutdown
from .ending.termination import Termination
from .ensuring import Ensurer
from .identification.health import Health
from .monitor import Monitor
from .operations.admitted_request import AdmittedRequest
from .operations.coordinator import Operations
from .operations.operation import Work
from .operations.requester import Requester
from .processes.stop import StopReason
from .starting.adopt import Adopter, AdoptRequest
from .starting.discover import Discovery
from .starting.port_report import PortReporter
from .starting.resolve import EnsureRequest
from .starting.versions.addon_versions import AddonVersions
from .state.context import EngineContext

CLOSING_PATIENCE_S = 10.0
"""How long operations that have acted may take to end when the daemon exits."""


@dataclass(eq=False)
class Supervisor:
    """Admits each operation that a client asks for, and has it performed. Begins and ends the work of the engine."""

    context: EngineContext
    operations: Operations
    editors: Editors
    registrar: Registrar
    ensuring: Ensurer
    adopter: Adopter
    requested_restarter: RequestedRestarter
    termination: Termination
    shutdown: Shutdown
    monitor: Monitor
    discovery: Discovery

    def begin(self) -> None:
        """Watch and follow up on everything that a recovery has found."""
        self.monitor.begin()
        self.discovery.begin()

    def follow_up_on_all(self) -> None:
        """Follow up on every server, because the recipes have changed."""
        for server_id in list(self.context.records.servers):
            self.monitor.follow_up(server_id)

    async def ensure(self, request: EnsureRequest, requester: Requester | None = None) -> ServerRecord:
        """Return the record of a server, once it is ready.

        Raises:
            SupervisorError: why it is not.
        """
        return await self.ensuring.perform(request, requester)

    async def adopt(self, request: AdoptRequest, requester: Requester | None = None) -> ServerRecord:
        """Look after a foreign server from now on.

        Raises:
            NotFound: there is no such process or listener.
            NotOurs: the server is not recognised.
            Busy: another operation holds it.
        """
        candidate = await self.adopter.find(request)
        editor = request.editor.id if request.editor else None
        admitted = self.operations.admit(
            candidate.server,
            OperationRequest(Operation.ADOPT, requester_name(editor, requester)),
            requester,
            request_id=request.request_id,
            deadline_s=start_deadline(candidate.kind.ready_timeout_s, candidate.kind.stop_timeout_s),
        )
        adopt = partial(self.adopter.adopt, candidate)
        if admitted.repeats is not None:
            return await self.operations.perform(admitted, adopt)
        with self.operations.refuse_on_error(admitted):
            self.adopter.refuse_reserved_ports(candidate)
        await self.operations.wait_until_runnable(admitted)
        with self.operations.refuse_on_error(admitted):
            resolved = self.adopter.resolve(candidate)
            undo = self.registrar.register(resolved, request.editor, until_stopped=not candidate.owned)
        return await self.operations.perform(admitted, adopt, undo=undo)

    async def stop(
        self,
        server_id: str,
        requester: Requester | None = None,
        *,
        editor: str | None = None,
        force: bool = False,
        request_id: str | None = None,
    ) -> ServerRecord:
        """Stop a server that a user named, and forget it.

        `editor` is the id of the editor that asks, None if none does. `force` also stops a server whose owner is busy.

        Raises:
            NotFound: there is no such server or editor.
            Busy: another operation holds the server, or an owner does not want to be disturbed.
            StopFailed, NotOurs: the server still runs.
        """
        if server_id not in self.context.records.servers:
            # A bridge may have started it a moment ago.
            await self.discovery.look_and_wait()
        record = self.context.records.server(server_id)
        admitted = self.operations.admit(
            server_id,
            OperationRequest(Operation.STOP, requester_name(editor, requester)),
            requester,
            request_id=request_id,
            deadline_s=stop_deadline(self.context.kind_of(record).stop_timeout_s),
        )
        stop = partial(self.termination.stop, server_id, reason=StopReason.USER)
        stopped = await self._disturb(admitted, stop, editor, force=force)
        self.discovery.expect_servers_of(stopped.bridges)
        return stopped

    async def restart(
        self,
        server_id: str,
        requester: Requester | None = None,
        *,
        editor: str | None = None,
        force: bool = False,
        request_id: str | None = None,
    ) -> ServerRecord:
        """Stop a server and start it again, on the same ports if they are free. `editor` and `force` as in `stop`.

        Raises:
            NotFound: there is no such server or editor.
            KindUnknown: the kind was taken out of the configuration; the server goes on as it is.
            Busy: another operation holds the server, or an owner does not want to be disturbed.
            SupervisorError: the server goes on as it was, because it could not have been started again; or it was
                stopped and did not start again.
        """
        record = self.context.records.server(server_id)
        kind = self.context.catalog.get(record.kind)
        admitted = self.operations.admit(
            server_id,
            OperationRequest(Operation.RESTART, requester_name(editor, requester)),
            requester,
            request_id=request_id,
            deadline_s=stop_deadline(self.context.kind_of(record).stop_timeout_s)
            + start_deadline(kind.ready_timeout_s, kind.stop_timeout_s),
        )
        return await self._disturb(admitted, partial(self.requested_restarter.restart, server_id), editor, force=force)

    async def close(self, *, servers: bool) -> None:
        """Start nothing more, and end what is running. With `servers`, stop the servers that are left then."""
        self.monitor.close()
        self.discovery.close()
        await self.operations.close(CLOSING_PATIENCE_S)
        if servers:
            await self.shutdown.stop_servers()
        self.context.records.close()

    async def _disturb(self, admitted: AdmittedRequest, work: Work, editor: str | None, *, force: bool) -> ServerRecord:
        """Perform work that disturbs the owners of a server, because it ends the server.

        Raises:
            Busy: an owner is busy, and the request does not `force` the work.
        """
        if admitted.repeats is None:
            with self.operations.refuse_on_error(admitted):
                if editor is not None:
                    self.context.records.editor(editor)
                if not force:
                    server = self.context.records.server(admitted.server_id)
                    self.editors.refuse_to_disturb(server, editor, admitted.request)
            await self.operations.wait_until_runnable(admitted)
            with self.operations.refuse_on_error(admitted):
                self.context.records.commit()
        return await self.operations.perform(admitted, work)


@dataclass(eq=False)
class Inspector:
    """Answers what clients ask about servers, and performs no operation on them."""

    context: EngineContext
    monitor: Monitor
    reaper: Reaper
    health: Health
    versions: AddonVersions
    discovery: Discovery
    port_reporter: PortReporter

    async def check(self, server_id: str) -> ServerRecord:
        """Ask a server for its health, count its sessions, and return its record.

        Raises:
            NotFound: there is no such server.
        """
        await self.versions.note_addon_version(self.context.records.server(server_id))
        await self.health.check(server_id)
        await self.reaper.sampler.count_sessions(server_id)
        return self.context.records.server(server_id)

    async def judge(self, server_id: str, *, act: bool) -> Verdict | None:
        """Judge now whether a server is an orphan. With `act`, the daemon starts to stop one whose grace is over.

        Returns None if the server is in a state in which it is not judged.
        """
        verdict = await self.reaper.judge_now(server_id)
        if act and isinstance(verdict, Reap):
            self.monitor.request_reap(server_id)
        return verdict
