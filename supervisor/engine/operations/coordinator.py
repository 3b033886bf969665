"""Coordinates the operations: at most one runs on each server, and each request starts, joins or awaits one."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ...core import single_flight
from ...core.model import ServerRecord
from ...core.single_flight import Joined, OperationRequest, Refused, Running
from ...errors import Cancelled, Fault, ShuttingDown, SupervisorError
from ...native.api import Clock
from ..state.events import Events
from .admitted_request import AdmittedRequest, busy, cancelled_before_it_began
from .operation import RunningOperation, Work
from .outcomes import Outcomes
from .requester import Requester
from .waiters import QueuedRequest, Waiter, do_nothing, never

QUEUED = "queued"
"""The stage of a request whose operation waits for another one to end. Its deadline has not begun."""


class Operations:
    """Runs at most one operation on each server.

    A request takes these steps. Nothing is awaited between the last decision and `perform`, because another request
    could start its operation in between:

        admitted = operations.admit(...)            # or raises Busy
        while admitted.waits_for is not None:
            await operations.wait_for_operation(admitted)
            operations.decide(admitted, ...)
        ...                                          # register what the operation needs
        return await operations.perform(admitted, work)

    A request whose id is known `repeats` an earlier one: it goes to `perform` at once. `wait_until_runnable` is the
    loop above for a request that stays with its server. The daemon's own operations take no such steps:
    `start_for_daemon` starts one or does not.

    `on_ended` gets the id of the server, and the defect: an error that is no SupervisorError, None if the operation
    did not end by one. `engine.assembly` sets it.
    """

    def __init__(self, clock: Clock, events: Events) -> None:
        self._clock = clock
        self._events = events
        self.outcomes = Outcomes(clock)
        self._operations: dict[str, RunningOperation] = {}
        self._queued: dict[str, QueuedRequest] = {}
        self._closing = False
        self.on_ended: Callable[[str, BaseException | None], None]

    def running(self, server_id: str) -> Running | None:
        """Return the operation that runs on a server, as admission sees it; None if none runs."""
        operation = self._operations.get(server_id)
        return operation.running if operation else None

    def admit(
        self,
        server_id: str,
        request: OperationRequest,
        requester: Requester | None = None,
        *,
        request_id: str | None = None,
        editor_id: str | None = None,
        deadline_s: float,
    ) -> AdmittedRequest:
        """Decide whether a request runs, joins the running operation, or waits for its end.

        The requester is not answered yet, so the request can still be refused. `editor_id` is the editor that the
        request is for. `deadline_s` counts from the start of the operation.

        Raises:
            Busy: another operation holds the server.
            InvalidParams: the id was used for another request.
            ShuttingDown: the daemon is stopping.
        """
        repeats = None if request_id is None else self.outcomes.find_repeated(request_id, request.operation, server_id)
        deadline_s = deadline_s if repeats is None else repeats.deadline_s
        admitted = AdmittedRequest(
            server_id, request, request_id or self.outcomes.new_id(), deadline_s, requester, editor_id, repeats
        )
        if repeats is None:
            self.decide(admitted, server_id)
        return admitted

    def decide(self, admitted: AdmittedRequest, server_id: str) -> None:
        """Decide whether a request starts an operation on this server, joins the running one, or waits for its end.

        `admit` decides first. After each wait the decision is made again, perhaps for another server. A request that
        was accepted is never refused as Busy.

        Raises:
            Busy, ShuttingDown: as `admit`.
        """
        if self._closing:
            raise ShuttingDown("the daemon is stopping", hint="godot-supervisor start")
        admitted.server_id = server_id
        operation = self._operations.get(server_id)
        decision = single_flight.admit(operation.running if operation else None, admitted.request)
        if isinstance(decision, Refused) and not admitted.accepted:
            raise self._refuse(admitted, busy(decision.running, admitted.request, self._clock.monotonic()))
        joins = isinstance(decision, Joined) and operation is not None and not operation.abandoned
        admitted.joins, admitted.waits_for = (operation, None) if joins else (None, operation)

    @contextmanager
    def refuse_on_error(self, admitted: AdmittedRequest) -> Iterator[None]:
        """Publish a SupervisorError that the block raises as the refusal of the request, and raise it."""
        try:
            yield
        except SupervisorError as error:
            raise self._refuse(admitted, error) from None

    async def wait_until_runnable(self, admitted: AdmittedRequest) -> None:
        """Wait until a request can be performed on its server, however many operations come before it.

        Raises:
            Cancelled: the request was cancelled before it began.
            ShuttingDown: the daemon is stopping.
        """
        while admitted.waits_for is not None:
            await self.wait_for_operation(admitted)
            self.decide(admitted, admitted.server_id)

    async def wait_for_operation(self, admitted: AdmittedRequest) -> None:
        """Wait until the operation `admitted.waits_for` has ended. The requester first gets `accepted`.

        Raises:
            Cancelled: the request was cancelled before it began.
        """
        operation = admitted.waits_for
        assert operation is not None  # noqa: S101 (the caller has looked)
        if not admitted.accepted:
            self._publish("flight.waits", admitted, behind=operation.running.request_id)
        admitted.send_accepted(joined=False)
        if admitted.requester is not None:
            admitted.requester.progress(QUEUED, f"waiting for {operation.running.request.what} to finish")
        request_id = admitted.request_id
        queued = self._queued.setdefault(request_id, QueuedRequest(operation.server_id, admitted.deadline_s))
        queued.connections += 1
        ends: set[asyncio.Future[Any]] = {operation.task, queued.cancelled}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            queued.connections -= 1
            if not queued.connections:
                del self._queued[request_id]
                queued.over.set()
        if queued.cancelled.done():
            raise cancelled_before_it_began()

    async def perform(
        self,
        admitted: AdmittedRequest,
        work: Work,
        *,
        undo: Callable[[], None] = do_nothing,
        keep_if: Callable[[], bool] = never,
    ) -> ServerRecord:
        """Perform an admitted request, or share the outcome of the operation that it joins or repeats.

        `undo` takes back what the request has changed, if it is cancelled, or if the operation fails by its callers'
        fault. `keep_if` tells whether the operation is still wanted after the requester's connection was lost.

        Raises:
            SupervisorError: what the operation raised.
        """
        operation = admitted.repeats or admitted.joins
        joined = operation is not None
        if operation is None:
            running = Running(admitted.request, admitted.request_id, self._clock.monotonic())
            operation = self._begin(admitted.server_id, running, work, admitted.deadline_s)
        elif admitted.joins is not None:
            self._publish("flight.joined", admitted, flight=operation.running.request_id)
        admitted.send_accepted(joined=joined)
        waiter = Waiter(admitted.request_id, admitted.requester, admitted.editor_id, undo, keep_if)
        return await self.wait_for_outcome(operation, waiter)

    async def wait_for_outcome(self, operation: RunningOperation, waiter: Waiter) -> ServerRecord:
        """Wait for the outcome of an operation. If this call is cancelled, only its waiter leaves the operation.

        Raises:
            Cancelled: the request or the operation was cancelled.
            ShuttingDown: the operation was cancelled because the daemon is stopping.
            SupervisorError: what the operation raised.
        """
        self.outcomes.remember(waiter.request_id, operation)
        try:
            record = await operation.wait_for_end(waiter)
        except asyncio.CancelledError:
            self._events.publish("request.dropped", server=operation.server_id, request=waiter.request_id)
            operation.disconnect(waiter)
            raise
        if record is not None:
            return record
        if self._closing:
            raise ShuttingDown("the daemon stopped before this was done")
        raise Cancelled("the operation was cancelled")

    def queued(self, request_id: str) -> QueuedRequest | None:
        """Return a request that waits for another operation to end, None if it does not wait."""
        return self._queued.get(request_id)

    def start_for_daemon(
        self, server_id: str, request: OperationRequest, work: Work, *, deadline_s: float
    ) -> RunningOperation | None:
        """Start an operation that the daemon itself requests, at once.

        Returns None, and starts nothing, if another operation runs on the server or the daemon is closing.
        """
        if self._closing or server_id in self._operations:
            return None
        return self._begin_for_daemon(server_id, request, work, deadline_s)

    async def perform_after_close(
        self, server_id: str, request: OperationRequest, work: Work, *, deadline_s: float
    ) -> ServerRecord:
        """Perform the daemon's last operation on a server, when `close` has ended all others.

        Raises:
            SupervisorError: what the operation raised.
        """
        return await self._begin_for_daemon(server_id, request, work, deadline_s).task

    async def close(self, patience_s: float) -> None:
        """Start no more operations. Let those that have acted end within `patience_s`, and cancel the others."""
        self._closing = True
        for operation in self._operations.values():
            if not operation.committed:
                operation.task.cancel()
        tasks = [operation.task for operation in self._operations.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _begin_for_daemon(
        self, server_id: str, request: OperationRequest, work: Work, deadline_s: float
    ) -> RunningOperation:
        running = Running(request, self.outcomes.new_id(), self._clock.monotonic(), by_daemon=True)
        operation = self._begin(server_id, running, work, deadline_s)
        self.outcomes.remember(running.request_id, operation)
        return operation

    def _begin(self, server_id: str, running: Running, work: Work, deadline_s: float) -> RunningOperation:
        """Begin an operation on a server on which none runs, whether a client or the daemon requested it."""
        operation = RunningOperation(server_id, running, deadline_s)
        self._operations[server_id] = operation
        operation.task = asyncio.create_task(operation.run(work), name=f"{running.request.operation} {server_id}")
        self._events.publish(
            "flight.started",
            server=server_id,
            method=running.request.operation.value,
            request=running.request_id,
            holder=running.request.requested_by,
            why=running.request.why,
        )
        operation.task.add_done_callback(lambda task: self._has_ended(operation, task))
        return operation

    def _has_ended(self, operation: RunningOperation, task: asyncio.Task[ServerRecord]) -> None:
        operation.ended = self._clock.monotonic()
        if self._operations.get(operation.server_id) is operation:
            del self._operations[operation.server_id]
        error = None if task.cancelled() else task.exception()
        outcome = "cancelled" if task.cancelled() else "failed" if error else "done"
        self._events.publish(
            "flight.ended",
            server=operation.server_id,
            request=operation.running.request_id,
            outcome=outcome,
            error=str(error) if error else None,
        )
        # An operation that failed by its callers' fault leaves nothing of their requests behind.
        operation.release_waiters(undo=isinstance(error, SupervisorError) and error.fault is Fault.CALLER)
        self.on_ended(operation.server_id, None if isinstance(error, SupervisorError) else error)

    def _refuse(self, admitted: AdmittedRequest, error: SupervisorError) -> SupervisorError:
        """Publish that a request is refused before it was accepted, and return the error."""
        self._publish("flight.refused", admitted, error=error.code, reason=error.message)
        return error

    def _publish(self, event: str, admitted: AdmittedRequest, **details: str) -> None:
        request = admitted.request
        self._events.publish(
            event,
            server=admitted.server_id,
            method=request.operation,
            request=admitted.request_id,
            holder=request.requested_by,
            **details,
        )
