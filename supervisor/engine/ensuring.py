"""`server.ensure`: choose the server, admit the request, register its owner, and wait until the server is ready."""

import contextlib
from dataclasses import dataclass, replace
from functools import partial

from ..core.deadlines import start_deadline
from ..core.lifecycle import SERVING
from ..core.model import Editor, ServerRecord, ServerState, VersionSource
from ..core.reconcile import Replace
from ..core.single_flight import Operation, OperationRequest, requester_name
from ..errors import Busy, InstallFailed, StartFailed
from .claims.registration import Registrar
from .ending.automatic_restart import AutomaticRestarter
from .ending.replace import Replacer
from .ending.termination import Termination
from .monitor import Monitor, stop_reason
from .operations.coordinator import Operations
from .operations.operation import RunningOperation
from .operations.requester import Requester
from .operations.waiters import do_nothing
from .starting.placement import Placement
from .starting.resolve import EnsureRequest, ResolvedRequest
from .starting.reuse import Reuser
from .starting.start import Starter
from .starting.takeover import Takeover
from .state.context import EngineContext
from .state.standing import Standing, may_live

_AT_REST = (ServerState.FAILED, ServerState.BACKOFF, ServerState.STOPPED)
"""States in which a start may begin, because no launch of the server is under way."""


@dataclass(eq=False)
class Ensurer:
    """Performs `server.ensure`, from the request to the answer. One object performs all requests."""

    context: EngineContext
    operations: Operations
    placement: Placement
    registrar: Registrar
    reuser: Reuser
    starter: Starter
    replacer: Replacer
    takeover: Takeover
    termination: Termination
    automatic_restarter: AutomaticRestarter
    standing: Standing
    monitor: Monitor

    async def perform(self, request: EnsureRequest, requester: Requester | None = None) -> ServerRecord:
        """Return the record of the server, once it is ready.

        Raises:
            SupervisorError: why it is not.
        """
        request = await self.placement.versions.with_project_versions(request)
        resolved = await self.placement.place(request)
        editor_id = request.editor.id if request.editor else None
        admitted = self.operations.admit(
            resolved.server,
            OperationRequest(
                Operation.ENSURE, requester_name(editor_id, requester), resolved.required, resolved.explicit_ports
            ),
            requester,
            request_id=request.request_id,
            editor_id=editor_id,
            deadline_s=start_deadline(resolved.kind.ready_timeout_s, resolved.kind.stop_timeout_s),
        )
        undo = do_nothing
        if admitted.repeats is None:
            while admitted.waits_for is not None:
                await self.operations.wait_for_operation(admitted)
                resolved = self.placement.resolve_after_waiting(resolved, request)
                self.operations.decide(admitted, resolved.server)
            with self.operations.refuse_on_error(admitted):
                self._refuse_mismatch(resolved)
                undo = self.registrar.register(resolved, request.editor)
        return await self.operations.perform(
            admitted,
            partial(self._perform_admitted, request, resolved),
            undo=undo,
            keep_if=partial(self._editor_may_live, request.editor),
        )

    def _editor_may_live(self, editor: Editor | None) -> bool:
        return editor is not None and may_live(self.context.platform.probe, editor.process)

    def _refuse_mismatch(self, resolved: ResolvedRequest) -> None:
        """Refuse a request that its server rules out, before the editor becomes an owner of that server.

        Raises:
            Busy: the id has become the server of another project.
            InvalidParams: the server runs on other ports.
        """
        record = self.context.records.servers.get(resolved.server)
        if record is None:
            return
        if record.project != resolved.project and not record.observed_only:
            raise Busy(f"{resolved.server} is the server of another project", hint="ask again", retry_after_ms=100)
        if record.state in SERVING and not self.standing.process_ended(record):
            self.reuser.refuse_mismatch(resolved, record)

    async def _perform_admitted(
        self, request: EnsureRequest, resolved: ResolvedRequest, operation: RunningOperation
    ) -> ServerRecord:
        """Settle the last launch and start the server; in another version if the index lacks that of the addon."""
        records = self.context.records
        last = await self._settle_last_launch(resolved.server, operation)
        if last.state in _AT_REST:
            self.placement.refuse_second_server(resolved, request)
        if resolved.server not in records.servers:
            # The record was dropped with the last launch. Callers that joined since then are owners too.
            self.registrar.begin_record(resolved, last.owners)
        record = records.server(resolved.server)
        before = record if record.state in _AT_REST else None
        try:
            return await self._start_server(resolved, operation, before)
        except InstallFailed as problem:
            fallback = self.placement.versions.without_addon(request, resolved, problem)
            if fallback is None:
                if resolved.chosen is not None and resolved.chosen.source is VersionSource.ADDON:
                    problem.hint = f"{problem.hint} (the version is {resolved.chosen.why}: --version asks for another)"
                raise
        return await self._fall_back(fallback, resolved, operation, before)

    async def _settle_last_launch(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """See that the last launch of a server is ready, or has ended. Return the server's record."""
        record = self.context.records.server(server_id)
        if record.state is ServerState.STARTING and record.root is not None:
            with contextlib.suppress(StartFailed):
                return await self.monitor.finish_start(server_id, operation)
        elif record.state in SERVING and self.standing.process_ended(record):
            return await self.termination.follow_up_exit(server_id, operation)
        elif record.state is ServerState.STOPPING or (
            record.state is ServerState.FAILED and not self.standing.all_processes_ended(record)
        ):
            # A process of the launch may still run, and has to end first, or two servers would run side by side.
            return await self.termination.end_launch(server_id, operation, stop_reason(record))
        return self.context.records.server(server_id)

    async def _start_server(
        self, resolved: ResolvedRequest, operation: RunningOperation, before: ServerRecord | None
    ) -> ServerRecord:
        """Start, reuse or replace the server.

        `before` is the record at rest that the start began with, None if there was none or if the server runs.
        """
        records = self.context.records
        if records.server(resolved.server).state in _AT_REST:
            self.automatic_restarter.forget(resolved.server)
            # Admission compares later requests with this version, not with that of the last launch.
            records.move(resolved.server, ServerState.STARTING, version=resolved.version, chosen=resolved.chosen)
        outcome: ServerRecord | Replace
        if records.server(resolved.server).state in SERVING:
            operation.progress("deciding", f"looking at {resolved.server}")
            outcome = await self.reuser.reuse(resolved)
        else:
            outcome = await self.starter.start(resolved, operation, before)
        if isinstance(outcome, Replace):
            outcome = await self.replacer.replace_server(resolved, outcome, operation)
        if resolved.intended_owner is None:
            return self.takeover.keep_without_owner(outcome.id, None)
        return records.server(outcome.id)

    async def _fall_back(
        self,
        fallback: EnsureRequest,
        resolved: ResolvedRequest,
        operation: RunningOperation,
        before: ServerRecord | None,
    ) -> ServerRecord:
        """Start the server without the addon's version, which the package index does not have."""
        records = self.context.records
        resolved_again = await self.placement.place(fallback)
        reason = resolved_again.chosen.passed_over if resolved_again.chosen is not None else None
        self.context.events.warn(
            "server.version_missing",
            server=resolved.server,
            version=resolved.version,
            instead=resolved_again.version,
            reason=reason,
        )
        operation.progress("deciding", f"{resolved_again.server} {resolved_again.version or ''} instead: {reason}")
        operation.restart_deadline()
        if resolved_again.server == resolved.server:
            return await self._start_server(resolved_again, operation, before)
        found = await self.perform(replace(fallback, request_id=None))
        record = records.servers.get(resolved.server)
        if record is not None and record.state is ServerState.FAILED and not record.launch:
            for owner in record.owners:
                # Callers that joined this request get the other server as well.
                if (editor := records.editors.get(owner.editor)) is not None and not owner.leaving:
                    self.registrar.add_owner(found.id, editor)
            records.drop(record.id)
            self.monitor.follow_up(found.id)
        return records.server(found.id)
