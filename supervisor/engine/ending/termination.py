"""Ends servers for a user or as orphans, and follows up on servers that have ended by themselves.

All asynchronous methods run inside an operation on the server.
"""

from collections.abc import Callable, Sequence
from functools import partial

from ...core.lifecycle import SERVING
from ...core.model import Bridge, ServerFailure, ServerRecord, ServerState
from ...core.reaping import Reap
from ...core.single_flight import Operation
from ...errors import NotOurs, StartFailed, StopFailed, SupervisorError, VersionConflict
from ..identification import bridges
from ..identification.server_client import ServerClient
from ..operations.operation import RunningOperation
from ..processes.stop import Stopper, StopReason
from ..processes.tree import target_of
from ..starting.resolve import ResolvedRequest
from ..state.context import EngineContext
from ..state.standing import Standing
from .aftermath import LaunchAftermath
from .automatic_restart import ENDED_BY_ITSELF, AutomaticRestarter
from .final_checks import refuse_adopted_elsewhere, refuse_other_program
from .reap import Reaper


class _ReprievedError(Exception):
    """The server got an owner or a lease after the verdict."""


class Termination:
    """Stops servers, and follows up on servers that have ended by themselves."""

    def __init__(
        self,
        context: EngineContext,
        standing: Standing,
        stopper: Stopper,
        server_client: ServerClient,
        reaper: Reaper,
        automatic_restarter: AutomaticRestarter,
    ) -> None:
        self._context = context
        self._records = context.records
        self._events = context.events
        self._standing = standing
        self._stopper = stopper
        self._server_client = server_client
        self._reaper = reaper
        self._automatic_restarter = automatic_restarter
        self._aftermath = LaunchAftermath(context, stopper, server_client)

    async def stop(
        self,
        server_id: str,
        operation: RunningOperation,
        reason: StopReason,
        before_signal: Callable[[], None] = lambda: None,
    ) -> ServerRecord:
        """Stop the process tree, and forget the server. Return its last record.

        `before_signal` is called immediately before the first signal, after the last check.

        Raises:
            NotOurs, StopFailed: the server still runs, and its record says so.
        """
        found: tuple[Bridge, ...] = ()
        if reason is StopReason.USER:
            # Only a user is shown the bridges.
            found = await bridges.find_bridges(self._context, self._records.server(server_id))
        record = await self._end_tree(
            server_id, operation, reason, before_signal, stop_requested=reason is StopReason.USER
        )
        self._events.publish("server.stopped", server=server_id, launch=record.launch)
        how = "reaped" if reason is StopReason.ORPHAN else "stopped"
        self._aftermath.add_failure_to_history(record, how, by=operation.running.request.requested_by)
        self._aftermath.drop_record(record)
        return record.with_(state=ServerState.STOPPED, root=None, process=None, bridges=found)

    async def end_launch(
        self,
        server_id: str,
        operation: RunningOperation,
        reason: StopReason = StopReason.USER,
        final_check: Callable[[ServerRecord, float], None] = lambda record, now: None,  # noqa: ARG005 (no check is wanted)
    ) -> ServerRecord:
        """Stop the process tree of a server that is to be started again. Return its record, which is kept.

        `final_check` gets the record and the monotonic time immediately before the first signal. An error
        from it aborts the stop.

        Raises:
            NotOurs, StopFailed, VersionConflict: the server still runs, and its record says so.
        """

        def before_signal() -> None:
            final_check(self._records.server(server_id), self._context.platform.clock.monotonic())

        # If the daemon dies here, the next daemon restarts the server instead of completing the stop.
        try:
            record = await self._end_tree(server_id, operation, reason, before_signal, stop_requested=False)
        except _ReprievedError as error:
            raise VersionConflict(f"{server_id} came into use", hint="ask again") from error
        self._server_client.forget(record)
        self._events.publish("server.stopped", server=server_id, launch=record.launch)
        request = operation.running.request
        how = "restarted" if request.operation is Operation.RESTART else "replaced"
        self._aftermath.add_to_history(record, how, by=request.requested_by)
        return self._records.change(server_id, root=None, process=None)

    def mark_starting(self, record: ServerRecord, becomes: ResolvedRequest | None = None) -> None:
        """Move the record of a server whose launch was ended to STARTING, and count a restart. Start nothing.

        `becomes` is the request whose version the record gets, where the version changes.
        """
        self._automatic_restarter.forget(record.id)
        if becomes is not None:
            self._records.change(record.id, version=becomes.version, chosen=becomes.chosen)
        if record.state is not ServerState.STARTING:
            # A record in STARTING is left from an operation that broke off before a process was there.
            self._records.move(record.id, ServerState.STARTING, restarts=record.restarts + 1)

    async def _end_tree(
        self,
        server_id: str,
        operation: RunningOperation,
        reason: StopReason,
        before_signal: Callable[[], None],
        *,
        stop_requested: bool,
    ) -> ServerRecord:
        """Stop the process tree, if there is one, and return the record: STOPPED, or unchanged if there was no tree.

        `stop_requested`: if this daemon dies in between, the next one completes the stop.

        Raises:
            NotOurs, StopFailed: the server still runs, and its record says so.
            _ReprievedError: an orphan got an owner or a lease since the verdict.
        """
        record = self._records.server(server_id)
        if record.other_home is not None:
            raise NotOurs(f"{server_id} belongs to another godot-supervisor home", hint="stop it from there")
        target = target_of(record, self._context.launch_token(record))
        if target is not None:
            operation.progress("stopping", f"{server_id}, pid {target.process.pid}")
            try:
                patience_s = self._context.kind_of(record).stop_timeout_s
                begin = partial(
                    self._begin_stop, record, operation, reason, before_signal, stop_requested=stop_requested
                )
                left = await self._stopper.stop(target, reason, patience_s, begin)
                await self._aftermath.check_ports_released(record)
                notes = await self._aftermath.warn_of_left_behind(target, left)
            except (StopFailed, NotOurs) as error:
                self._record_failure(server_id, error)
                raise
            record = self._records.move(server_id, ServerState.STOPPED).with_(left_behind=notes)
        self._reaper.forget(server_id)
        return record

    async def reap(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """Judge the server again inside the operation, immediately before the signal, and stop an orphan.

        Returns:
            The record; that of a server that is no orphan any more is unchanged.

        Raises:
            NotOurs, StopFailed: the orphan still runs.
        """
        verdict = await self._reaper.judge_now(server_id)
        record = self._records.server(server_id)
        if not isinstance(verdict, Reap):
            return record
        before_signal = partial(
            self._events.publish,
            "server.reaped",
            server=server_id,
            launch=record.launch,
            first_sample=verdict.suspicion.since,
            second_sample=self._context.platform.clock.monotonic(),
            reasons=verdict.reasons,
        )
        try:
            return await self.stop(server_id, operation, StopReason.ORPHAN, before_signal)
        except NotOurs:
            # No process was signalled. Begin with a new suspicion, which takes a grace, because the reaper would give
            # the same verdict at once, again and again.
            self._reaper.forget(server_id)
            raise
        except _ReprievedError:
            self._events.publish("server.reprieved", server=server_id, launch=record.launch)
            return self._records.server(server_id)

    async def follow_up_exit(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """Stop what a server that ended by itself has left. Then restart the server if it is needed, or forget it."""
        record = self._records.server(server_id)
        if record.state not in SERVING or not self._standing.process_ended(record):
            return record
        operation.committed = True
        target = target_of(record, self._context.launch_token(record))
        status = self._context.platform.processes.exit_status(record.process) if record.process else None
        # What a foreign server leaves behind belongs to the program that started it.
        if target is not None and not record.foreign:
            try:
                await self._stopper.end_leftovers(target, self._context.kind_of(record).stop_timeout_s)
            except StopFailed as error:
                self._records.move(server_id, ServerState.STOPPING)
                self._record_failure(server_id, error)
                raise
        # Read the record again, because owners may have come or gone during the sweep.
        record = self._records.server(server_id)
        self._events.publish("server.exited", server=server_id, launch=record.launch, exit=status)
        self._aftermath.add_to_history(record, "exited", status=status)
        if not self._standing.is_wanted(record) or self._standing.ended_with_its_editors(record):
            return self._forget_stopped(record)
        self._server_client.forget(record)
        failure = ServerFailure(StartFailed.code, ENDED_BY_ITSELF, status)
        record = self._records.move(server_id, ServerState.BACKOFF, failure=failure, root=None, process=None)
        return await self._automatic_restarter.restart_or_give_up(record, operation)

    async def restart_after_pause(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """Restart a server whose pause after an exit is over, or forget it if it is not needed any more."""
        record = self._records.server(server_id)
        if record.state is not ServerState.BACKOFF:
            return record
        if not self._standing.is_wanted(record):
            return self._forget_stopped(record)
        record = await self._automatic_restarter.restart(record, operation)
        return (
            await self._automatic_restarter.restart_or_give_up(record, operation)
            if record.state is ServerState.BACKOFF
            else record
        )

    async def follow_up_broken_start(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """Restart a server whose start broke off before a process was there, or forget it if it is not needed.

        Such a start counts as an exit, so that a start that keeps breaking off is given up.
        """
        record = self._records.server(server_id)
        if record.state is not ServerState.BACKOFF:
            return record
        if not self._standing.should_run(record):
            return self._forget_stopped(record)
        return await self._automatic_restarter.restart_or_give_up(record, operation)

    def forget_failed(self, record: ServerRecord) -> None:
        """Forget a server that has failed and is not needed any more."""
        self._aftermath.add_failure_to_history(record, "failed")
        self._records.drop(record.id)

    def _forget_stopped(self, record: ServerRecord) -> ServerRecord:
        """Forget a server that has no process and is not needed any more."""
        record = self._records.move(record.id, ServerState.STOPPED)
        self._aftermath.drop_record(record)
        return record

    def _begin_stop(
        self,
        judged: ServerRecord,
        operation: RunningOperation,
        reason: StopReason,
        before_signal: Callable[[], None],
        command: Sequence[str],
        *,
        stop_requested: bool,
    ) -> None:
        """Make the final checks before the first signal, and move the record to STOPPING.

        `judged` is the record as it was at the verdict. `command` is the command line that a foreign server has now; it
        was read together with the process tree, off the loop, because the kernel may take its time over a command line.

        Raises:
            _ReprievedError: the server got an owner or a lease since the verdict.
            NotOurs: the foreign server is not recognised any more, or another home has adopted it.
        """
        record = self._records.server(judged.id)
        orphan = reason is StopReason.ORPHAN
        if orphan and (record.launch, record.generation) != (judged.launch, judged.generation):
            raise _ReprievedError
        if (orphan or record.started_by_bridge) and record.foreign:
            refuse_other_program(self._context, record, command)
            refuse_adopted_elsewhere(self._context, record)
        operation.committed = True
        before_signal()
        if record.state is not ServerState.STOPPING:
            self._records.move(record.id, ServerState.STOPPING, stop_requested=stop_requested)
        self._records.flush()

    def _record_failure(self, server_id: str, error: SupervisorError) -> None:
        """Record that a server could not be stopped. The record of a server that got no signal stays as it is."""
        if self._records.server(server_id).state is ServerState.STOPPING:
            self._records.move(server_id, ServerState.FAILED, failure=ServerFailure(error.code, error.message))
