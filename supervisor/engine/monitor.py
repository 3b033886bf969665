"""The daemon's own work: exits, timers, and what an earlier daemon left unfinished.

The monitor starts operations through the same coordinator as the clients' requests.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from ..core.deadlines import stop_deadline
from ..core.lifecycle import SERVING
from ..core.model import Editor, Liveness, Ownership, ProcessIdentity, ServerFailure, ServerRecord, ServerState
from ..core.single_flight import Operation, OperationRequest
from ..errors import StartFailed, SupervisorError
from .claims.editors import Editors
from .ending.automatic_restart import AutomaticRestarter
from .ending.reap import Reaper
from .ending.termination import Termination
from .identification.health import Health
from .logs.cap import LogCap
from .operations.coordinator import Operations
from .operations.operation import RunningOperation
from .processes.stop import StopReason
from .starting.start import Starter
from .state.context import EngineContext
from .state.exit_watches import ExitWatches
from .state.standing import Standing

OwnWork = Callable[[str, RunningOperation], Awaitable[ServerRecord]]

RETRY_S = 60.0
"""How often a stop that failed is tried again."""

RELOOK_S = 1.0
"""How long to wait before a failed step, or a watch that reported too early, is looked at again."""


@dataclass(eq=False)
class Monitor:
    """Follows up on every server, so that none stays in a state that no operation will change."""

    context: EngineContext
    operations: Operations
    editors: Editors
    starter: Starter
    termination: Termination
    standing: Standing
    automatic_restarter: AutomaticRestarter
    reaper: Reaper
    exit_watches: ExitWatches
    log_cap: LogCap
    health: Health
    _retries: dict[str, asyncio.TimerHandle] = field(default_factory=dict, init=False)
    _closed: bool = field(default=False, init=False)

    def begin(self) -> None:
        """Set the watches after a recovery, and then finish what an earlier daemon left unfinished."""
        for editor in list(self.context.records.editors.values()):
            self.watch_editor(editor)
        for server_id in list(self.context.records.servers):
            self.follow_up(server_id)

    def close(self) -> None:
        """Stop following up."""
        self._closed = True
        for retry in self._retries.values():
            retry.cancel()
        self.reaper.close()
        self.automatic_restarter.close()
        self.exit_watches.close()
        self.log_cap.close()
        self.health.close()

    def follow_up(self, server_id: str) -> None:
        """Follow up on a server on which no operation runs."""
        if self._closed or self.operations.running(server_id) is not None:
            return
        retry = self._retries.pop(server_id, None)
        if retry is not None:
            retry.cancel()
        record = self.context.records.servers.get(server_id)
        if record is None:
            self._forget(server_id)
        elif record.state in SERVING:
            self._follow_up_serving(record)
        elif record.state is ServerState.FAILED:
            self._follow_up_failed(record)
        else:
            self._follow_up_unfinished(record)

    def _follow_up_unfinished(self, record: ServerRecord) -> None:
        """Take up what was begun, if no operation runs on it and no timer waits for it."""
        match record.state:
            case ServerState.STARTING if record.root is not None:
                self._start_operation(
                    record.id, Operation.RECOVER, self.finish_start, "an earlier daemon had begun to start it"
                )
            case ServerState.STARTING if record.restarts and self.standing.should_run(record):
                broken = ServerFailure(StartFailed.code, "its start was broken off")
                self.context.records.move(record.id, ServerState.BACKOFF, failure=broken)
                self._start_operation(
                    record.id, Operation.RECOVER, self.termination.follow_up_broken_start, broken.message
                )
            case ServerState.STOPPING if record.stop_requested:
                stop = partial(self.termination.stop, reason=StopReason.USER)
                self._start_operation(record.id, Operation.STOP, stop, "a stop had begun")
            case ServerState.STOPPING:
                self._judge_again(record)
            case ServerState.BACKOFF:
                if not (self.automatic_restarter.is_planned(record.id) and self.standing.is_wanted(record)):
                    self._start_operation(
                        record.id, Operation.RECOVER, self.termination.restart_after_pause, "its pause is over"
                    )
            case _:
                self.context.records.drop(record.id)
                self._forget(record.id)

    def _follow_up_failed(self, record: ServerRecord) -> None:
        if not self.standing.all_processes_ended(record):
            self._stop_later(record)
        elif self.standing.should_run(record):
            # The failure is shown until the server is asked for again or stopped.
            self.exit_watches.disarm(f"server {record.id}")
        else:
            self.termination.forget_failed(record)
            self._forget(record.id)

    def server_found(self, record: ServerRecord) -> None:
        """Follow up on a foreign server that was found, or whose owner has changed."""
        self.follow_up(record.id)

    def request_reap(self, server_id: str) -> None:
        """Start the operation for a verdict of the reaper; the operation judges the server again."""
        self._start_operation(server_id, Operation.REAP, self.termination.reap, "it was found an orphan twice")

    async def finish_start(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """Wait until a launch of an earlier daemon is ready, unless another operation has done so. Return its record.

        Raises:
            SupervisorError: the server did not become ready, and was stopped.
        """
        record = self.context.records.server(server_id)
        if record.state is not ServerState.STARTING or record.root is None:
            return record
        operation.committed = True
        return await self.starter.finish_start(record, self.context.kind_of(record))

    def watch_editor(self, editor: Editor) -> None:
        """Watch for the exit of an editor."""
        if not self._closed:
            self.exit_watches.arm(f"editor {editor.id}", editor.process, lambda: self._editor_ended(editor))

    def operation_ended(self, server_id: str, defect: BaseException | None) -> None:
        """Follow up on a server whose operation has ended.

        After a defect the follow-up waits, because the same defect would come again at once.
        """
        if defect is None:
            self.follow_up(server_id)
        elif not self._closed:
            self.context.events.report_failure("operation.broke", defect, server=server_id)
            asyncio.get_running_loop().call_later(RELOOK_S, self.follow_up, server_id)

    def _follow_up_serving(self, record: ServerRecord) -> None:
        if record.foreign:
            self._watch_owners(record)
        self._watch_process(record, record.process)
        if record.log is not None:
            self.log_cap.watch(record.id, Path(record.log))
        self.automatic_restarter.note_ready(record)
        self.health.start_checks(record)
        self.reaper.judge_soon(record.id)

    def watch_owner(self, owner: Ownership) -> None:
        """Re-arm the watch on an owner that still counts as alive.

        Its exit may have been reported before: then the probe was wrong at that time, or is wrong now.
        """
        editor = self.context.records.editors.get(owner.editor)
        if editor is not None and editor.process == owner.process:
            self.watch_editor(editor)
        elif not self._closed:
            # The editor died while its request was queued and its record was dropped, so its id may have been reused.
            self.exit_watches.arm(f"owner {owner.process}", owner.process, lambda: self._owner_ended(owner))

    def _owner_ended(self, owner: Ownership) -> None:
        if self.context.platform.probe.sample(owner.process) is not Liveness.DEAD:
            asyncio.get_running_loop().call_later(RELOOK_S, self.watch_owner, owner)
            return
        for record in self.context.records.owned_by(owner.editor):
            self.follow_up(record.id)

    def _watch_owners(self, record: ServerRecord) -> None:
        """Watch the owners of a foreign server, which its environment names: they need not have attached."""
        for owner in record.owners:
            editor = self.context.records.editors.get(owner.editor)
            # The exit of a dead owner has been followed up. A new watch would report the exit again and again.
            if editor is None:
                continue
            lives = self.exit_watches.is_watched(editor.process)
            if lives or self.context.platform.probe.sample(editor.process) is not Liveness.DEAD:
                self.watch_editor(editor)

    def _stop_later(self, record: ServerRecord) -> None:
        """Watch for the end of a server that could not be stopped, and try the stop again now and then."""
        living = record.root if self.standing.process_ended(record) else record.process
        self._watch_process(record, living)
        if record.stop_requested or not self.standing.is_wanted(record):
            loop = asyncio.get_running_loop()
            self._retries[record.id] = loop.call_later(RETRY_S, self._stop_again, record.id, record.launch)

    def _stop_again(self, server_id: str, launch: str) -> None:
        record = self.context.records.servers.get(server_id)
        if self._closed or record is None or (record.state, record.launch) != (ServerState.FAILED, launch):
            return
        if self.operations.running(server_id) is not None:
            # The end of that operation is followed by another look.
            return
        if record.foreign and not record.stop_requested:
            self._judge_again(record)
        elif record.stop_requested or not self.standing.is_wanted(record):
            stop = partial(self.termination.stop, reason=stop_reason(record))
            self._start_operation(server_id, Operation.STOP, stop, "a stop had failed")

    def _judge_again(self, record: ServerRecord) -> None:
        """Drop an interrupted stop that no user asked for: the server is READY until the reaper decides again."""
        self._follow_up_serving(self.context.records.move(record.id, ServerState.READY))

    def _forget(self, server_id: str) -> None:
        self.exit_watches.disarm(f"server {server_id}")
        self.log_cap.forget(server_id)
        self.health.stop_checks(server_id)
        self.reaper.forget(server_id)
        self.automatic_restarter.forget(server_id)
        self.editors.drop_dead_editors_soon()

    def _watch_process(self, record: ServerRecord, identity: ProcessIdentity | None) -> None:
        if identity is not None:
            ended = partial(self._server_ended, record.id, record.launch)
            self.exit_watches.arm(f"server {record.id}", identity, ended)

    def _editor_ended(self, editor: Editor) -> None:
        """Follow up on the exit of an editor. The event is a hint, which the probe has to confirm."""
        if self.context.platform.probe.sample(editor.process) is not Liveness.DEAD:
            asyncio.get_running_loop().call_later(RELOOK_S, self.watch_editor, editor)
            return
        known = self.context.records.editors.get(editor.id, editor)
        if known.client is None:
            self.context.events.publish("editor.ended", editor=editor.id, pid=editor.process.pid)
        else:
            self.context.events.publish("client.ended", client=editor.id, pid=editor.process.pid)
        for record in self.context.records.owned_by(editor.id):
            self.follow_up(record.id)
        self.editors.drop_dead_editors_soon()

    def _server_ended(self, server_id: str, launch: str) -> None:
        record = self.context.records.servers.get(server_id)
        if record is None or record.launch != launch or self._closed:
            return
        if record.state in SERVING and self.standing.process_ended(record):
            self._start_operation(
                server_id, Operation.RECOVER, self.termination.follow_up_exit, "its process has ended"
            )
        else:
            # The server still lives, or an operation runs on it, whose end is followed by another look.
            asyncio.get_running_loop().call_later(RELOOK_S, self.follow_up, server_id)

    def _start_operation(self, server_id: str, operation: Operation, work: OwnWork, why: str) -> None:
        """Start an operation now. Do nothing while another one runs, because its end is followed by a look."""
        record = self.context.records.servers.get(server_id)
        if record is None:
            return
        request = OperationRequest(operation, "the daemon", why=why)
        kind = self.context.kind_of(record)
        deadline_s = kind.ready_timeout_s + stop_deadline(kind.stop_timeout_s)
        running = self.operations.start_for_daemon(server_id, request, partial(work, server_id), deadline_s=deadline_s)
        if running is not None:
            running.task.add_done_callback(partial(self._log_failure, server_id, operation))

    def _log_failure(self, server_id: str, operation: Operation, task: asyncio.Task[ServerRecord]) -> None:
        """Log a failure, because no caller waits for it. Defects are logged by `operation_ended`."""
        error = None if task.cancelled() else task.exception()
        if isinstance(error, SupervisorError):
            self.context.events.warn("operation.failed", server=server_id, operation=operation, reason=error.message)


def stop_reason(record: ServerRecord) -> StopReason:
    """Return why the daemon goes on with the stop of a server."""
    return StopReason.USER if record.stop_requested else StopReason.DAEMON
