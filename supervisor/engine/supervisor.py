"""The front door: what clients ask for. Admission, records, and the operation handed to its module."""

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial

from ..core.foreign import left_to_others
from ..core.lifecycle import SERVING
from ..core.model import Bridge, Editor, Liveness, ServerRecord
from ..core.reaping import Reap, Verdict
from ..core.single_flight import Operation, OperationRequest
from ..errors import Busy, NotFound, SupervisorError
from ..values import frozen
from .ending.automatic_restart import Restarter
from .ending.reap import Reaper
from .ending.replace import Replacer
from .ending.requested_restart import Relauncher
from .ending.termination import Termination
from .ensuring import EnsureOperation
from .holders.editors import Editors
from .identification import bridges
from .identification.health import Health
from .monitor import Monitor
from .operations.coordinator import Operations
from .operations.operation import Work
from .operations.requester import Requester, holder_of
from .operations.waiters import Ticket
from .processes.stop import StopReason
from .starting.adopt import Adopter, AdoptRequest, Candidate
from .starting.discover import Discovery
from .starting.ensure import Ensurer, start_deadline
from .starting.placement import Placement
from .starting.port_report import PortReporter
from .starting.resolve import EnsureRequest, ResolvedRequest, begin_row
from .state.context import EngineContext

CLOSING_PATIENCE_S = 10.0
"""How long operations that have acted may take to end when the daemon goes."""


@frozen
class ForeignServers:
    """What deals with servers that others started, and with other versions of ours."""

    placement: Placement
    replacer: Replacer
    adopter: Adopter
    discovery: Discovery
    explainer: PortReporter


class Supervisor:
    """Decides who may act on which server."""

    def __init__(
        self,
        context: EngineContext,
        operations: Operations,
        editors: Editors,
        ensurer: Ensurer,
        relauncher: Relauncher,
        termination: Termination,
        restarter: Restarter,
        reaper: Reaper,
        monitor: Monitor,
        health: Health,
        foreign_servers: ForeignServers,
    ) -> None:
        self._context = context
        self._records = context.records
        self._events = context.events
        self._operations = operations
        self._editors = editors
        self._ensurer = ensurer
        self._termination = termination
        self._monitor = monitor
        self._health = health
        self._relauncher = relauncher
        self._placement = foreign_servers.placement
        self._fulfiller = EnsureOperation(
            context, editors, monitor, restarter, foreign_servers.placement, ensurer, foreign_servers.replacer
        )
        self._adopter = foreign_servers.adopter
        self.explainer = foreign_servers.explainer
        self.discovery = foreign_servers.discovery
        self.discovery.on_found = lambda record: monitor.settle(record.id)
        self.reaper = reaper

    def begin(self) -> None:
        """Watch and follow up on everything that a recovery has found."""
        self._monitor.begin()
        self.discovery.begin()

    def look_again(self) -> None:
        """The recipes have changed: what follows from them is looked at again, for every server."""
        for server_id in list(self._records.servers):
            self._monitor.settle(server_id)

    async def ensure(self, request: EnsureRequest, requester: Requester | None = None) -> ServerRecord:
        """The server, ready.

        Raises:
            SupervisorError: why it is not.
        """
        request = await self._placement.versions.informed(request)
        resolved = await self._placement.place(request)
        editor = request.editor
        before = self._records.servers.get(resolved.server)

        def moved() -> str:
            nonlocal resolved, before
            resolved = self._placement.after_waiting(resolved, request)
            before = self._records.servers.get(resolved.server)
            return resolved.server

        return await self._operations.fly(
            resolved.server,
            OperationRequest(
                Operation.ENSURE, holder_of(editor.id if editor else None, requester), resolved.required, resolved.ports
            ),
            lambda operation: self._fulfiller.run(request, resolved, operation, self.ensure),
            Ticket(
                requester,
                request.request_id,
                admitted=lambda: self._admit_ensure(resolved, editor),
                moved=moved,
                goes_on_alone=lambda: editor is not None and self._alive(editor),
                gave_up=lambda: self._disown(resolved.server, editor, before),
                owner=editor.id if editor else None,
            ),
            deadline_s=start_deadline(resolved.kind),
        )

    async def adopt(self, request: AdoptRequest, requester: Requester | None = None) -> ServerRecord:
        """Look after a server that somebody else started, from now on.

        Raises:
            NotFound, NotOurs: nobody is there, or it is not recognised.
            Busy: another operation holds it.
        """
        candidate = await self._adopter.find(request)
        editor = request.editor
        before = self._records.servers.get(candidate.server)
        return await self._operations.fly(
            candidate.server,
            OperationRequest(Operation.ADOPT, holder_of(editor.id if editor else None, requester)),
            partial(self._adopter.run, candidate),
            Ticket(
                requester,
                request.request_id,
                asked=lambda: self._adopter.refuse_the_promised(candidate),
                admitted=lambda: self._admit_adoption(candidate, editor),
                gave_up=lambda: self._disown(candidate.server, editor, before),
            ),
            deadline_s=start_deadline(candidate.kind),
        )

    async def stop(
        self,
        server_id: str,
        requester: Requester | None = None,
        *,
        editor: str | None = None,
        force: bool = False,
        request_id: str | None = None,
    ) -> ServerRecord:
        """Stop a server that a user named, and forget it. `editor` is who asks, if it is one; `force`: whoever is busy.

        Raises:
            NotFound: no such server or editor.
            Busy: another operation holds it, or an editor on it does not want to be disturbed.
            StopFailed, NotOurs: it still runs.
        """
        if server_id not in self._records.servers:
            # A bridge may have started another one just now.
            await self.discovery.look_once()
        record = self._records.server(server_id)
        request = OperationRequest(Operation.STOP, holder_of(editor, requester))
        return await self._operations.fly(
            server_id,
            request,
            self._stop_named(server_id),
            Ticket(
                requester, request_id, partial(self._may_end, server_id, editor, request, force), self._records.commit
            ),
            deadline_s=self._monitor.stop_deadline(record),
        )

    async def restart(
        self,
        server_id: str,
        requester: Requester | None = None,
        *,
        editor: str | None = None,
        force: bool = False,
        request_id: str | None = None,
    ) -> ServerRecord:
        """Stop a server and start it again, on the same ports if they are free. `editor` and `force` as for a stop.

        Raises:
            NotFound: no such server or editor.
            KindUnknown: its kind was taken out of the configuration; it goes on as it is.
            Busy: another operation holds it, or an editor on it does not want to be disturbed.
            SupervisorError: it goes on as it was, because it could not have been started again; or it was stopped and
                did not start again.
        """
        record = self._records.server(server_id)
        kind = self._context.catalog.get(record.kind)
        request = OperationRequest(Operation.RESTART, holder_of(editor, requester))
        return await self._operations.fly(
            server_id,
            request,
            partial(self._relauncher.run, server_id),
            Ticket(
                requester, request_id, partial(self._may_end, server_id, editor, request, force), self._records.commit
            ),
            deadline_s=self._monitor.stop_deadline(record) + start_deadline(kind),
        )

    async def check(self, server_id: str) -> ServerRecord:
        """A server's record, after it was asked whether it is well, and its sessions were counted.

        Raises:
            NotFound: no such server.
        """
        await self._placement.versions.look_again(self._records.server(server_id))
        await self._health.check(server_id)
        await self.reaper.count(server_id)
        return self._records.server(server_id)

    async def judge(self, server_id: str, *, act: bool) -> Verdict | None:
        """Judge one server now. With `act`, a verdict that is due is carried out. None: not in this state."""
        verdict = await self.reaper.sample(server_id)
        if act and isinstance(verdict, Reap):
            self._monitor.reap(server_id)
        return verdict

    async def result(self, request_id: str, requester: Requester | None = None) -> ServerRecord:
        """The outcome of a request, once it has one.

        Raises:
            NotFound: no such request, or it ended too long ago.
            SupervisorError: what it raised.
        """
        return await self._operations.result(request_id, requester)

    def cancel(self, request_id: str) -> bool:
        """Whoever made this request no longer wants it. Whether it goes on all the same.

        Raises:
            NotFound: no such request.
        """
        return self._operations.cancel(request_id)

    def knows(self, request_id: str) -> bool:
        """Whether a request of this name waits, is under way, or can be asked for again."""
        return self._operations.knows(request_id)

    def again(
        self, request_id: str, operation: Operation, server_id: str | None, requester: Requester
    ) -> Awaitable[ServerRecord] | None:
        """A request that is known, rejoined or answered again; None: it is not. Nothing is looked up for it."""
        return self._operations.again(request_id, operation, server_id, Ticket(requester, request_id))

    async def close(self, *, servers: bool) -> None:
        """Take no new work, end what is under way; with `servers`, stop all that is left then."""
        self._monitor.close()
        self.discovery.close()
        await self._operations.close(CLOSING_PATIENCE_S)
        if servers:
            await self.look_before_the_end()
            left = self.left_at_the_end()
            stops = [self._stop_at_the_end(r) for r in self._records.servers.values() if r.id not in left]
            await asyncio.gather(*stops)
        self._records.close()

    async def look_before_the_end(self) -> tuple[Bridge, ...]:
        """Find what bridges have started themselves, and prove it anew. The bridges that may start more of it."""
        await self.discovery.look_once()
        return await bridges.prove_again(self._context)

    def left_at_the_end(self) -> Mapping[str, str]:
        """The servers that `close` leaves even if it is to stop all, and why."""
        reasons = ((record.id, left_to_others(record)) for record in self._records.servers.values())
        return {server_id: reason for server_id, reason in reasons if reason is not None}

    async def _stop_at_the_end(self, record: ServerRecord) -> None:
        request = OperationRequest(Operation.STOP, "the daemon's shutdown")
        deadline_s = self._monitor.stop_deadline(record)
        try:
            await self._operations.last(record.id, request, self._stop_named(record.id), deadline_s=deadline_s)
        except NotFound:
            # It ended by itself meanwhile.
            return
        except SupervisorError as error:
            self._events.warn("server.not_stopped", server=record.id, reason=error.message)
        except Exception as error:  # noqa: BLE001 (a defect: logged here, and the others are stopped all the same)
            self._events.failed("server.not_stopped", error, server=record.id)

    def _stop_named(self, server_id: str) -> Work:
        return partial(self._termination.stop, server_id, reason=StopReason.USER)

    def _admit_adoption(self, candidate: Candidate, editor: Editor | None) -> None:
        self._adopter.begin_row(candidate)
        if editor is not None:
            self._editors.own(candidate.server, editor)
        self._records.commit()

    def _may_end(self, server_id: str, editor: str | None, request: OperationRequest, force: bool) -> None:  # noqa: FBT001 (the protocol's own flag)
        if editor is not None:
            self._records.editor(editor)
        if not force:
            self._editors.refuse_to_disturb(self._records.server(server_id), editor, request)

    def _admit_ensure(self, resolved: ResolvedRequest, editor: Editor | None) -> None:
        """The row and the owner are on the disk before anybody is told that the request was accepted."""
        before = self._records.servers.get(resolved.server)
        if before is not None and before.project != resolved.project and not before.observed_only:
            raise Busy(f"{resolved.server} is the server of another project", hint="ask again", retry_after_ms=100)
        if before is not None and before.state in SERVING and not self._termination.standing.dead(before):
            # One that will be refused must not become an owner of what it was refused.
            self._ensurer.refuse_mismatch(resolved, before)
        begin_row(self._context, resolved)
        if editor is not None:
            self._editors.own(resolved.server, editor)
        try:
            self._records.commit()
        except SupervisorError:
            if before is None:
                self._records.drop(resolved.server)
            else:
                self._records.put(before)
            raise

    def _disown(self, server_id: str, editor: Editor | None, before: ServerRecord | None) -> None:
        """It was refused, or no longer wants what it asked for: it leaves things as they were before it came."""
        record = self._records.servers.get(server_id)
        if editor is None and before is None and record is not None and record.owners:
            # Those who asked beside it have the server, and it ends with them.
            self._records.change(server_id, until_stopped=False)
        if editor is None or (before and any(owner.process == editor.process for owner in before.owners)):
            return
        # What others started had owners before anybody asked for it here.
        since_ever = before.ever_owned if before else record is not None and record.foreign and record.ever_owned
        self._editors.disown(server_id, editor, ever_owned=since_ever)
        self._monitor.settle(server_id)

    def _alive(self, editor: Editor) -> bool:
        return self._context.platform.probe.sample(editor.process) is not Liveness.DEAD
