"""The gates of servers in time: calls that wait, their timer, and editors that say that they are busy."""

import asyncio
from typing import Protocol

from ....core.model import Liveness, ServerRecord
from ....core.tool_calls import (
    BusyEditor,
    CallQueue,
    Gate,
    MustWait,
    ReachedEditor,
    RunsNow,
    ToolCall,
    TurnedAway,
    busy_editor,
)
from ....errors import Cancelled, EditorBusy
from ...state.context import EngineContext
from .refusals import RETRY_AFTER_MS, call_is_blocked, editor_is_busy, queue_is_full
from .tracked import TrackedCall


class CallTable(Protocol):
    """The calls by number, as the gates need them, and what becomes of those that wait."""

    def find(self, number: int) -> TrackedCall:
        """Return a call."""
        ...

    def waiting_admitted(self, call: TrackedCall) -> None:
        """Note that a call that has waited runs."""
        ...

    def waiting_refused(self, call: TrackedCall, problem: EditorBusy | Cancelled) -> None:
        """Remove a call that has waited in vain."""
        ...


class CallGates:
    """The queue of each server, and a future for each call that waits. Without waiting calls there is no timer."""

    def __init__(self, context: EngineContext, table: CallTable) -> None:
        self._records = context.records
        self._clock = context.platform.clock
        self._probe = context.platform.probe
        self._table = table
        self._queues: dict[str, CallQueue] = {}
        self._outcomes: dict[int, asyncio.Future[None]] = {}
        """The futures of the calls that wait, by number."""
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, record: ServerRecord, call: TrackedCall, gate: Gate) -> asyncio.Future[None] | None:
        """Return None if a call runs now, or the future that it waits for.

        Raises:
            EditorBusy: it does neither.
        """
        now = self._clock.monotonic()
        busy = self._busy_editor(record, call.reached)
        if busy is not None:
            raise editor_is_busy(busy, now)
        match self._queue(record.id).begin(ToolCall(call.number, call.reached), gate, now):
            case RunsNow():
                return None
            case TurnedAway():
                raise queue_is_full(record.id)
            case MustWait():
                future = self._outcomes[call.number] = asyncio.get_running_loop().create_future()
                self._set_timer()
                return future

    def resume(self, call: TrackedCall) -> None:
        """Take over a call that runs already."""
        self._queue(call.server).resume(ToolCall(call.number, call.reached))

    def leave(self, call: TrackedCall) -> None:
        """Remove a call that has ended. If it waits, its future is cancelled. Call `advance` afterwards."""
        queue = self._queues.get(call.server)
        if queue is not None:
            queue.end(call.number)
        self._finish(call.number, Cancelled("the call was ended while it waited"))

    def advance(self, server_id: str) -> None:
        """Let calls of a server run that can now, and refuse those that have waited for too long."""
        queue = self._queues.get(server_id)
        if queue is None:
            return
        now = self._clock.monotonic()
        progress = queue.advance(now)
        for admitted in progress.admitted:
            self._table.waiting_admitted(self._table.find(admitted.number))
            self._finish(admitted.number, None)
        for expired, blocker in progress.expired:
            call = self._table.find(expired.number)
            self._refuse(call, call_is_blocked(call, self._table.find(blocker.number), now))
        if not queue:
            del self._queues[server_id]
        self._set_timer()

    def refuse_at_busy_editors(self) -> None:
        """Refuse the calls that wait for an editor which has said that it is busy."""
        servers: dict[str, None] = {}
        for number in list(self._outcomes):
            call = self._table.find(number)
            record = self._records.servers.get(call.server)
            busy = None if record is None else self._busy_editor(record, call.reached)
            if busy is not None:
                self._queue(call.server).end(number)
                self._refuse(call, editor_is_busy(busy, self._clock.monotonic()))
                servers[call.server] = None
        # Not before all are refused, because a call that waited for a refused one might be admitted to a busy editor.
        for server_id in servers:
            self.advance(server_id)

    def close(self, server_id: str) -> None:
        """Refuse the calls that wait for a server that has ended, and forget those that ran."""
        queue = self._queues.pop(server_id, None)
        for number in () if queue is None else list(queue.waiting):
            self._refuse(self._table.find(number), Cancelled(f"{server_id} has ended", retry_after_ms=RETRY_AFTER_MS))
        self._set_timer()

    def _refuse(self, call: TrackedCall, problem: EditorBusy | Cancelled) -> None:
        self._table.waiting_refused(call, problem)
        self._finish(call.number, problem)

    def _finish(self, number: int, problem: Exception | None) -> None:
        """Set the outcome of a call that waits, unless its connection has ended."""
        future = self._outcomes.pop(number, None)
        if future is None or future.done():
            return
        if problem is None:
            future.set_result(None)
        else:
            future.set_exception(problem)
            # Marks it as seen: if the connection has just ended, nothing awaits the future any more.
            future.exception()

    def _busy_editor(self, record: ServerRecord, reached: ReachedEditor) -> BusyEditor | None:
        """Return the busy editor that a call would meet. Editors that have ended do not count."""
        now = self._clock.monotonic()
        editors = (
            editor
            for editor in self._records.editors.values()
            if editor.busy(now) is None or self._probe.sample(editor.process) is not Liveness.DEAD
        )
        known = reached if record.project is None else ReachedEditor(project=record.project)
        return busy_editor(known, editors, [owner.editor for owner in record.owners], now)

    def _queue(self, server_id: str) -> CallQueue:
        return self._queues.setdefault(server_id, CallQueue())

    def _set_timer(self) -> None:
        """Wake up when the next waiting call has waited for too long."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadlines = [queue.deadline for queue in self._queues.values() if queue.deadline is not None]
        if deadlines:
            pause_s = max(0.0, min(deadlines) - self._clock.monotonic())
            self._timer = asyncio.get_running_loop().call_later(pause_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        for server_id in list(self._queues):
            self.advance(server_id)
